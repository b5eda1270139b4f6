"""One token event as the compiled core reads it: unpacked once, instead of field by field."""

from typing import Any

from mypy_extensions import mypyc_attr


@mypyc_attr(acyclic=True, free_list_len=1)
class Event:
    """The fields of a TokenEvent that are counted, priced and judged; see there for their meaning."""

    def __init__(self, fields: tuple[Any, ...]) -> None:
        """`fields` are those of a TokenEvent, all of them, in its order."""
        self.event_id: str = fields[0]
        self.ts: float = fields[1]
        self.agent: str = fields[2]
        self.team: str = fields[3]
        self.model: str = fields[4]
        self.input_tokens: int = fields[5]
        self.output_tokens: int = fields[6]
        self.cached_tokens: int = fields[7]
        self.run_id: str | None = fields[8]
        self.step: int = fields[9]
        self.parent_run_id: str | None = fields[10]
        self.status: str = fields[11]
        self.latency_ms: float = fields[12]
        self.product: str | None = fields[13]
        self.environment: str | None = fields[14]
        self.use_case: str | None = fields[15]
        self.cost_usd: float | None = fields[19]
        self.cache_write_tokens: int = fields[21]
        self.prompt_hash: str | None = fields[23]
        self.cost_center: str | None = fields[24]
        self.gateway: str | None = fields[25]
