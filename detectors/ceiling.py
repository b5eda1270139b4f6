"""Hard limits that a customer sets; none unless configured."""

from dataclasses import dataclass

from msgspec import Struct, field, msgpack

from detectors.contract import CALM, Scene, Score
from detectors.row import Row

_WINDOWS_S = (60, 3600, 86_400)
_WORDS = ("this minute", "this hour (UTC)", "this day (UTC)")


class CeilingMemory(Struct, array_like=True, gc=False):
    """Totals of the minute, hour and day that are open, each with its start."""

    starts_s: list[int] = field(default_factory=lambda: [0, 0, 0])
    micro_usd: list[int] = field(default_factory=lambda: [0, 0, 0])
    tokens: list[int] = field(default_factory=lambda: [0, 0, 0])


def ceiling_carried(row: Row, memory: CeilingMemory | None) -> CeilingMemory | None:
    """Carry the totals as part of a row; few scopes have a ceiling."""
    packed = row.blob(b"" if memory is None else msgpack.encode(memory))
    return msgpack.decode(packed, type=CeilingMemory) if packed else None


@dataclass(frozen=True)
class Ceiling:
    """Catches whatever passes a limit that the customer has set: sure, whatever is usual.

    Windows are the clock's minutes, hours and days (UTC), so a limit can be checked by hand. Fooled by nothing;
    it also stops honest work that needs more than its limit. `step` counts for an agent, a run or a team alike.
    """

    usd_per_minute: float | None = None
    usd_per_hour: float | None = None
    usd_per_day: float | None = None
    tokens_per_minute: int | None = None
    tokens_per_hour: int | None = None
    tokens_per_day: int | None = None

    @property
    def active(self) -> bool:
        """Tell whether any limit is set."""
        return any(limit is not None for limit in (*self._usd(), *self._tokens()))

    def _usd(self) -> tuple[float | None, ...]:
        return self.usd_per_minute, self.usd_per_hour, self.usd_per_day

    def _tokens(self) -> tuple[int | None, ...]:
        return self.tokens_per_minute, self.tokens_per_hour, self.tokens_per_day

    def begin(self) -> CeilingMemory:
        """Return empty windows."""
        return CeilingMemory()

    def step(self, memory: CeilingMemory, scene: Scene) -> tuple[CeilingMemory, Score]:
        """Count the call, then compare: the call that crosses a limit is already made."""
        call = scene.call
        return memory, self.add(memory, call.now_s, call.input_tokens + call.output_tokens, call.spend_micro_usd)

    def add(self, memory: CeilingMemory, now_s: float, tokens: int, micro_usd: int) -> Score:
        """Count what was used at `now_s`, and compare."""
        for i, window_s in enumerate(_WINDOWS_S):
            start_s = int(now_s) // window_s * window_s
            if start_s > memory.starts_s[i]:
                memory.starts_s[i], memory.micro_usd[i], memory.tokens[i] = start_s, 0, 0
            memory.micro_usd[i] += micro_usd
            memory.tokens[i] += tokens
        return self._score(memory)

    def _score(self, memory: CeilingMemory) -> Score:
        limits = zip(memory.micro_usd, self._usd(), memory.tokens, self._tokens(), _WORDS, strict=True)
        for micro_usd, usd_max, tokens, tokens_max, window in limits:
            if usd_max is not None and micro_usd > usd_max * 1e6:
                return Score(2.0, f"${micro_usd / 1e6:,.2f} spent {window}, over the ceiling of ${usd_max:,.2f}")
            if tokens_max is not None and tokens > tokens_max:
                return Score(2.0, f"{tokens:,} tokens {window}, over the ceiling of {tokens_max:,}")
        return CALM


@dataclass(frozen=True)
class RunCeiling:
    """Catches a run that passes a limit on its steps, spend, tokens, tokens of one call, wall time or depth.

    A run is what the open-run table holds of it: a run that was silent for a day begins anew.
    """

    steps: int | None = None
    usd: float | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    wall_s: float | None = None
    depth: int | None = None

    @property
    def active(self) -> bool:
        """Tell whether any limit is set."""
        return any(
            v is not None for v in (self.steps, self.usd, self.tokens, self.input_tokens, self.wall_s, self.depth)
        )

    def score(self, scene: Scene, depth: int) -> Score:
        """Judge the run of the scene's call, this call included; `depth` is 0 for a root run."""
        call, run = scene.call, scene.run
        checks = (
            (max(run.calls + 1, call.step), self.steps, "steps"),
            ((run.spend_micro_usd + call.spend_micro_usd) / 1e6, self.usd, "dollars"),
            (run.tokens + call.input_tokens + call.output_tokens, self.tokens, "tokens"),
            (call.input_tokens, self.input_tokens, "input tokens in one call"),
            (call.now_s - run.first_s, self.wall_s, "seconds"),
            (depth, self.depth, "levels below its root"),
        )
        for seen, limit, what in checks:
            if limit is not None and seen > limit:
                return Score(2.0, f"a run of {seen:,.6g} {what}, over the ceiling of {limit:,.6g}", "run")
        return CALM
