"""How many calls were refused, and for which command: whoever stopped a scope wants to know whether it still tries."""

from .identity import Answer

KEPT = 200
TOLD = 20
LATELY_S = 60.0


class Denied:
    """Counts refusals since the start; of commands the `KEPT` that refused something last."""

    def __init__(self) -> None:
        self.calls = 0
        self._of: dict[str, tuple[int, float]] = {}

    def count(self, answer: Answer, now_s: float) -> None:
        """Count one refusal."""
        self.calls += 1
        if answer.command is None:
            return
        name = answer.command.kill_id
        before, _ = self._of.pop(name, (0, 0.0))
        self._of[name] = before + 1, now_s
        if len(self._of) > KEPT:
            del self._of[next(iter(self._of))]

    def lately(self, now_s: float) -> dict[str, int]:
        """Return the refusals by kill id, of the commands that refused something within a minute, the latest 20."""
        latest = list(self._of.items())[-TOLD:]
        return {name: calls for name, (calls, at_s) in latest if now_s - at_s <= LATELY_S}
