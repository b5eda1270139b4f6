"""What the scopes of incidents spent by the minute: kept with the incident, whatever the table forgets."""

from collections.abc import Iterator, Mapping

from msgspec import MsgspecError, Struct, field, msgpack

from alerts.incident import Incident
from streams.web.board import Board
from streams.web.series import MINUTES
from streams.web.table import agents_of
from streams.windows import MINUTE_S

KEY = b"chart@"
"""Begins the key of a history's record, which lies on the topic of the hours' spend."""
POINTS_MAX = 720
INCIDENTS_MAX = 500
LATE_MIN = 8
"""Minutes that may still grow."""
AFTER_S = 3_600.0
"""For so long after an incident is over its chart goes on."""
KEEP_MIN = 15
"""Between two records of a history; what came since is in the pulses, which are kept longer."""


class History(Struct, array_like=True):
    """Micro-dollars by slot of `step` minutes, from slot `first` (Unix minutes / step) up to minute `until`.

    At first a slot is a minute; once there are more than `POINTS_MAX`, slots become twice as long.
    """

    step: int = 1
    first: int = 0
    until: int = 0
    slots: list[int] = field(default_factory=list)
    usual_usd_per_min: float = 0.0
    peak_usd_per_min: float = 0.0

    def fold(self, minutes: Mapping[int, float], until: int) -> None:
        """Take in dollars by minute, of those from `self.until` up to `until` that fill whole slots."""
        if not self.until:
            self.first = self.until = min(minutes, default=until)
        while self.until + self.step <= until:
            slot = sum(minutes.get(minute, 0.0) for minute in range(self.until, self.until + self.step))
            self.slots.append(round(1e6 * slot))
            self.until += self.step
            if len(self.slots) > POINTS_MAX and self.first % 2 == len(self.slots) % 2 == 0:
                self._halve()
            elif len(self.slots) > POINTS_MAX + 1:
                self.first += 1
                del self.slots[0]

    def _halve(self) -> None:
        self.slots = [one + other for one, other in zip(self.slots[::2], self.slots[1::2], strict=True)]
        self.first, self.step = self.first // 2, 2 * self.step

    def points(self) -> Iterator[tuple[int, float]]:
        """Yield the minute each slot begins with, and its dollars a minute."""
        for number, spent in enumerate(self.slots, self.first):
            yield number * self.step, spent / 1e6 / self.step


_histories = msgpack.Decoder(History)


class Histories:
    """A history for each of the 500 latest incidents that anything happens to, or happened to lately."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._of: dict[str, History] = {}
        self._kept: dict[str, int] = {}
        self._minute = 0

    def note(self, board: Board, now_s: float) -> None:
        """Take down the minutes that have passed; called often, it does something once a minute."""
        minute = int(now_s) // MINUTE_S
        if minute == self._minute:
            return
        self._minute = minute
        incidents = board.book.incidents
        going_on = [each for each in incidents.values() if each.kind == "single" and goes_on(each, now_s)]
        for incident in sorted(going_on, key=lambda incident: -incident.heard_s)[:INCIDENTS_MAX]:
            self._note(board, incident, now_s)
        for gone in self._of.keys() - incidents.keys():
            del self._of[gone]
        if len(self._kept) > 10 * INCIDENTS_MAX:
            self._kept.clear()

    def _note(self, board: Board, incident: Incident, now_s: float) -> None:
        names = agents_of(board, incident)
        history = self._of.setdefault(incident.id, History())
        values = board.agents.minutes(names, now_s, MINUTES)[:-1]
        last = int(now_s) // MINUTE_S
        history.fold(dict(enumerate(values, last - len(values))), last - LATE_MIN)
        known = [agent for name in names if (agent := board.agents.known.get(name))]
        history.usual_usd_per_min = sum(a.usual_usd_per_min for a in known) or history.usual_usd_per_min
        history.peak_usd_per_min = sum(a.peak_usd_per_min for a in known) or history.peak_usd_per_min

    def of(self, incident: str) -> History:
        """Return what is known of an incident."""
        return self._of.get(incident, History())

    # Kept on a topic, so that a restart forgets nothing

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take in a record; the one that knows most counts."""
        name = key.removeprefix(KEY).decode("utf-8", "replace")
        try:
            found = _histories.decode(value or b"")
        except MsgspecError:
            return
        if found.until > self.of(name).until:
            self._of[name] = found
            self._kept[name] = found.until

    def to_keep(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the records (key, value) that are to be written; without a value for those of incidents long over."""
        for name in [name for name in self._kept if name not in self._of]:
            del self._kept[name]
            yield KEY + name.encode(), None
        for name, history in self._of.items():
            if history.until - self._kept.get(name, 0) >= KEEP_MIN:
                self._kept[name] = history.until
                yield KEY + name.encode(), msgpack.encode(history)


def goes_on(incident: Incident, now_s: float) -> bool:
    """Whether an incident's chart still grows."""
    return incident.active or bool(incident.in_force) or now_s - incident.status_s < AFTER_S
