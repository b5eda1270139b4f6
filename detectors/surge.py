"""Spend far above the scope's own recent normal, on several horizons."""

from dataclasses import dataclass
from math import log1p, sqrt
from typing import ClassVar, Literal

from msgspec import Struct

from detectors.contract import CALM, Call, Score


class Horizon(Struct, array_like=True, gc=False, frozen=True):
    """One tumbling window, open, and what closed ones were like: logarithms of micro-dollars."""

    start_s: float = 0.0
    micro_usd: int = 0
    windows: int = 0
    log_mean: float = 0.0
    log_variance: float = 0.0


class SurgeMemory(Struct, array_like=True, gc=False, frozen=True):
    """One horizon each, shortest first."""

    horizons: tuple[Horizon, ...] = ()


@dataclass(frozen=True, slots=True)
class Surge:
    """Flag spend far above the agent's own recent normal.

    Spend is heavy-tailed, so logarithms are compared: a doubling weighs the same for a $20 agent and for a
    $2,000 one. Windows without a call teach nothing: a job that was silent for days isn't judged by silence.

    Catches: loops and bursts that multiply what an agent usually spends in a minute, ten minutes, an hour.
    Fooled by: a rise slow enough to be learned; the first day of an agent.
    """

    name: ClassVar[str] = "surge"
    watches: ClassVar[Literal["agent"]] = "agent"
    memory_type: ClassVar[type[Struct]] = SurgeMemory

    horizons_s: tuple[float, ...] = (60.0, 600.0, 3600.0)
    warmup_windows: int = 30
    half_life_windows: float = 60.0
    breach_sigmas: float = 7.0
    learn_sigmas: float = 2.0
    log_sd_min: float = 0.35  # An idle agent must not make pennies look wild.

    def begin(self, call: Call) -> SurgeMemory:
        """Start with windows that open at the first call."""
        return SurgeMemory(tuple(Horizon(call.now_s - call.now_s % width) for width in self.horizons_s))

    def step(self, memory: SurgeMemory, call: Call) -> tuple[SurgeMemory, Score]:
        """Score the open windows with this call in them; a window is learned, clipped, when it closes."""
        worst, after = CALM, []
        for width, horizon in zip(self.horizons_s, memory.horizons, strict=True):
            start = call.now_s - call.now_s % width
            held = self._close(horizon, start) if start > horizon.start_s else horizon
            spend = held.micro_usd + call.list_micro_usd
            after.append(Horizon(held.start_s, spend, held.windows, held.log_mean, held.log_variance))
            score = self._judge(held, spend, width)
            if score.value > worst.value:
                worst = score
        return SurgeMemory(tuple(after)), worst

    def _judge(self, usual: Horizon, micro_usd: int, width: float) -> Score:
        if usual.windows < self.warmup_windows:
            return CALM
        log_sd = max(self.log_sd_min, sqrt(usual.log_variance))
        sigmas = (log1p(micro_usd) - usual.log_mean) / log_sd
        if sigmas < 0.3 * self.breach_sigmas:
            return CALM
        seen, normal = micro_usd / 1e6, 2.718281828**usual.log_mean / 1e6
        return Score(sigmas / self.breach_sigmas, f"${seen:,.2f} in {width / 60:.0f} min, usual is ${normal:,.4f}")

    def _close(self, horizon: Horizon, start_s: float) -> Horizon:
        if horizon.micro_usd == 0:
            return Horizon(start_s, 0, horizon.windows, horizon.log_mean, horizon.log_variance)
        value = log1p(horizon.micro_usd)
        # Learn a clipped value: a runaway must not teach us that it is normal.
        if horizon.windows >= self.warmup_windows:
            reach = self.learn_sigmas * max(self.log_sd_min, sqrt(horizon.log_variance))
            value = min(horizon.log_mean + reach, max(horizon.log_mean - reach, value))
        windows = horizon.windows + 1
        rate = max(1.0 / windows, 1.0 - 0.5 ** (1.0 / self.half_life_windows))
        delta = value - horizon.log_mean
        mean = horizon.log_mean + rate * delta
        variance = (1.0 - rate) * (horizon.log_variance + rate * delta * delta)
        return Horizon(start_s, 0, windows, mean, variance)
