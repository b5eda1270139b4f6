"""PURE: what an event must be beside well-formed: names, status, sums and times."""

import re
from typing import Final

from mypy_extensions import i32

from streams.event import Event

LATE_INGEST_S: Final = 24 * 3600.0
EARLY_INGEST_S: Final = 300.0

_NAME_MAX: Final = 128
_STATUS: Final = re.compile(r"(ok|timeout|partial|cancelled|error|error_[a-z0-9_]{1,32})\Z")


class Rejected(Exception):
    """A record or event that can't be used; `reason` is the quarantine's label, `detail` names field and mend."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Validator:
    """Checks what the decoder can't: names, status, sums and times. Names it has passed are remembered.

    The memory is bounded: `names_max` distinct names and `runs_max` runs, few enough for the processor's caches, as
    each run is soon over; then it starts anew (the check itself stays exact).
    """

    def __init__(self, names_max: int = 200_000, runs_max: int = 8_192) -> None:
        self._names_max = names_max
        self._runs_max = runs_max
        self._names: dict[str, str] = {"": ""}
        self._runs: set[str] = {""}
        self._statuses: set[str] = set()

    def check(self, event: Event, append_s: float) -> Rejected | None:
        """Return why `event`, appended at `append_s` (Unix seconds), can't be used; None if it can."""
        names = self._names
        if not event.agent:
            return Rejected("no_agent", "agent is empty: name the agent that made the call")
        # Spelled out: this is asked of every event, and nearly all names are known.
        if event.agent not in names and (bad := self._learn("agent", event.agent)):
            return bad
        if event.team not in names and (bad := self._learn("team", event.team)):
            return bad
        run, runs = event.run, self._runs
        if run not in runs and (bad := self._learn_run("run_id", run)):
            return bad
        parent = event.parent_run
        if parent not in runs and (bad := self._learn_run("parent_run_id", parent)):
            return bad
        if event.model not in names and (bad := self._learn("model", event.model)):
            return bad
        return self._check_rest(event, append_s)

    def check_again(self, event: Event, append_s: float, run: str) -> Rejected | None:
        """Do as `check` for an event whose agent, team and model have passed, and with them this run."""
        of_run, runs = event.run, self._runs
        if of_run == run:
            event.run = run  # Its hash is known already.
        elif of_run not in runs and (bad := self._learn_run("run_id", of_run)):
            return bad
        parent = event.parent_run
        if parent and parent not in runs and (bad := self._learn_run("parent_run_id", parent)):
            return bad
        return self._check_rest(event, append_s)

    def share_names(self, event: Event) -> None:
        """Have a valid event name its team and model by the strings that all events share: they lie in the caches."""
        event.team = self._names.get(event.team, event.team)
        event.model = self._names.get(event.model, event.model)

    def _check_rest(self, event: Event, append_s: float) -> Rejected | None:
        if event.status != "ok" and event.status not in self._statuses:
            if not _STATUS.match(event.status):
                return Rejected(
                    "bad_status", f"status is {event.status[:40]!r}: use ok, timeout, partial, cancelled, error_*"
                )
            self._statuses.add(event.status)
        if event.cached_tokens > event.input_tokens:
            return Rejected(
                "bad_tokens",
                f"cached_tokens {event.cached_tokens} exceeds input_tokens {event.input_tokens}: input includes cached",
            )
        if not append_s - LATE_INGEST_S <= event.ts <= append_s + EARLY_INGEST_S:
            return Rejected(
                "bad_ts", f"ts is {event.ts:.0f}, appended at {append_s:.0f}: send Unix seconds, at most 24 h old"
            )
        return None

    def _learn(self, field: str, name: str) -> Rejected | None:
        if not _is_name(name):
            return _bad_name(field, name)
        if len(self._names) >= self._names_max:
            self._names = {"": ""}
        self._names[name] = name
        return None

    def _learn_run(self, field: str, name: str) -> Rejected | None:
        if not _is_name(name):
            return _bad_name(field, name)
        if len(self._runs) >= self._runs_max:
            self._runs = {""}
        self._runs.add(name)
        return None


def _is_name(name: str) -> bool:
    """Tell whether it is a name; a regular expression would take longer, and each run has a new one."""
    if not 0 < len(name) <= _NAME_MAX:
        return False
    for i in range(len(name)):
        letter: i32 = ord(name[i])
        lower, upper, digit = 97 <= letter <= 122, 65 <= letter <= 90, 48 <= letter <= 57
        if not (lower or digit or upper or letter == 45 or letter in (46, 47, 58, 64, 95)):
            return False
    return True


def _bad_name(field: str, name: str) -> Rejected:
    return Rejected("bad_name", f"{field} is {name[:40]!r}: use 1 to 128 of A-Z a-z 0-9 . _ : / @ -")
