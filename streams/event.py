"""One token event as the compiled core reads it: unpacked once, instead of field by field."""

from typing import Any

from mypy_extensions import mypyc_attr

from detectors.contract import Call


@mypyc_attr(acyclic=True, free_list_len=1)
class Event(Call):
    """The fields of a TokenEvent that are counted, priced and judged; see there for their meaning.

    It becomes the call that is judged once it is priced: one object a call, not two. Until then the fields that a
    TokenEvent doesn't have are 0; where one names no run, or no prompt, that is "" as in a call.
    """

    def __init__(self, fields: tuple[Any, ...]) -> None:
        """`fields` are those of a TokenEvent, all of them, in its order."""
        self.event_id: str = fields[0]
        self.ts: float = fields[1]
        self.agent = fields[2]
        self.team = fields[3]
        self.model = fields[4]
        self.input_tokens = fields[5]
        self.output_tokens = fields[6]
        self.cached_tokens = fields[7]
        self.run = fields[8] or ""
        self.step = fields[9]
        self.parent_run = fields[10] or ""
        self.status: str = fields[11]
        latency_ms: float = fields[12]
        self.latency_s = latency_ms / 1000.0
        self.product: str | None = fields[13]
        self.environment: str | None = fields[14]
        self.use_case: str | None = fields[15]
        self.cost_usd: float | None = fields[19]
        self.cache_write_tokens: int = fields[21]
        self.prompt_hash = fields[23] or ""
        self.cost_center: str | None = fields[24]
        self.gateway: str | None = fields[25]
        self.now_s = self.at_s = 0.0
        self.spend_micro_usd = self.list_micro_usd = self.input_micro_usd_per_mtok = 0
        self.failed = False
