"""Spend by agent and minute, for reports: what a chart of an incident is drawn from."""

from msgspec import Struct, field


class History(Struct):
    """Micro-dollars by agent and minute (Unix minutes)."""

    spend: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, agent: str, at_s: float, micro_usd: int) -> None:
        """Book one call."""
        minutes = self.spend.setdefault(agent, {})
        minute = int(at_s // 60)
        minutes[minute] = minutes.get(minute, 0) + micro_usd

    def around(self, agent: str, at_s: float, before_s: float, after_s: float) -> tuple[list[float], list[float]]:
        """Return (Unix seconds, dollars) of each minute with spend around a moment."""
        minutes = self.spend.get(agent, {})
        low, high = int((at_s - before_s) // 60), int((at_s + after_s) // 60)
        found = sorted((m, v) for m, v in minutes.items() if low <= m <= high)
        return [60.0 * m for m, _ in found], [v / 1e6 for _, v in found]

    def after(self, agent: str, at_s: float, within_s: float) -> float:
        """Return the dollars that an agent spent within `within_s` after a moment: what a kill would have saved."""
        _, spent = self.around(agent, at_s, -60.0, within_s)
        return sum(spent)

    def total_usd(self) -> float:
        """Return everything spent, in dollars."""
        return sum(sum(minutes.values()) for minutes in self.spend.values()) / 1e6
