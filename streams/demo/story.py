"""What happens in the demo, in numbers: pure, so that the screen and the summary tell the same."""

from collections import deque

from msgspec import Struct, field

RECENT_S = 10.0


class Caller(Struct):
    """One agent as the demo sees it."""

    name: str
    team: str
    calls: int = 0
    refused: int = 0
    micro_usd: int = 0
    twin_micro_usd: int = 0
    """What it would have burnt without a gateway that obeys."""
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    """When it called, and what was burnt."""
    state: str = "ok"
    why: str = ""

    def rate_per_min(self, now_s: float) -> float:
        """Return its calls a minute, allowed or not."""
        return len(self._latest(now_s)) * 60.0 / RECENT_S

    def usd_per_min(self, now_s: float) -> float:
        """Return what it burns a minute: refused calls cost nothing."""
        return sum(burnt for _, burnt in self._latest(now_s)) / 1e6 * 60.0 / RECENT_S

    def _latest(self, now_s: float) -> deque[tuple[float, int]]:
        while self.recent and self.recent[0][0] < now_s - RECENT_S:
            self.recent.popleft()
        return self.recent


class Story(Struct):
    """The demo's facts; times are Unix seconds."""

    runaway: str
    onset_s: float
    callers: dict[str, Caller] = field(default_factory=dict)
    refused_at_s: float | None = None
    released_at_s: float | None = None
    worked_again_at_s: float | None = None
    incident: str = ""
    false_kills: set[str] = field(default_factory=set)
    gateway: str = "starting"

    def caller(self, name: str, team: str) -> Caller:
        """Return the caller of that name, new if need be."""
        return self.callers.setdefault(name, Caller(name, team))

    def called(self, name: str, team: str, now_s: float, micro_usd: int, refusal: str | None) -> None:
        """Book one attempt to call a model: `refusal` says why the gateway refused it."""
        caller = self.caller(name, team)
        caller.recent.append((now_s, 0 if refusal else micro_usd))
        caller.twin_micro_usd += micro_usd
        if refusal is None:
            caller.calls += 1
            caller.micro_usd += micro_usd
            caller.state = "ok"
            if name == self.runaway and self.released_at_s is not None and self.worked_again_at_s is None:
                self.worked_again_at_s = now_s
            return
        caller.refused += 1
        caller.state, caller.why = "refused", refusal
        if name != self.runaway:
            self.false_kills.add(name)
        elif self.refused_at_s is None:
            self.refused_at_s = now_s

    def hour_usd(self, now_s: float) -> float:
        """Return what an hour of the runaway would cost at the pace that it has shown since its onset."""
        runaway = self.callers.get(self.runaway)
        until_s = self.released_at_s or now_s
        if runaway is None or until_s - self.onset_s < 1.0:
            return 0.0
        return runaway.twin_micro_usd / 1e6 * 3_600.0 / (until_s - self.onset_s)

    @property
    def killed_after_s(self) -> float | None:
        """Seconds from the runaway's onset to its first refused call."""
        return None if self.refused_at_s is None else self.refused_at_s - self.onset_s

    def summary(self) -> dict[str, object]:
        """Return the JSON line: dollars of the runaway only, since its onset."""
        runaway = self.callers.get(self.runaway) or Caller(self.runaway, "")
        after_s = self.killed_after_s
        return {
            "killed_after_s": None if after_s is None else round(after_s, 2),
            "refused_calls": runaway.refused,
            "released": self.worked_again_at_s is not None,
            "overspend_usd": round(runaway.micro_usd / 1e6, 4),
            "saved_usd": round((runaway.twin_micro_usd - runaway.micro_usd) / 1e6, 4),
            "false_kills": len(self.false_kills),
        }

    def succeeded(self, within_s: float) -> bool:
        """Tell whether the runaway was refused in time and works again, and nobody else was stopped."""
        after_s = self.killed_after_s
        in_time = after_s is not None and after_s <= within_s
        return in_time and self.worked_again_at_s is not None and not self.false_kills
