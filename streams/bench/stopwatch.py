"""How long a number of events takes, from the first of them on."""

import time


class Stopwatch:
    """Begins with the first events and ends once `events` more were counted."""

    def __init__(self, events: int) -> None:
        self._left = events
        self._events = 0
        self._begun: tuple[float, float] | None = None
        self._ended = (0.0, 0.0)

    def count(self, number: int) -> bool:
        """Count events; tell whether that is all. The first to be counted only start the watch."""
        if self._begun is None:
            self._begun = time.perf_counter(), time.process_time()
            return False
        self._events += number
        if self._events < self._left:
            return False
        self._ended = time.perf_counter(), time.process_time()
        return True

    def figures(self) -> dict[str, float]:
        """Return events, and seconds of the clock and of the processor."""
        begun = self._begun or self._ended
        return {"events": self._events, "wall_s": self._ended[0] - begun[0], "cpu_s": self._ended[1] - begun[1]}
