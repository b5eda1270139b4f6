"""What one writes first with Faust: an agent that adds tokens up in a windowed table, an event at a time.

`python -m streams.bench.faust_agent BOOTSTRAP TOPIC GROUP EVENTS CORE` prints how long EVENTS took, as JSON.
"""

import json
import os
import sys
from typing import Any

import faust

from streams.bench.stopwatch import Stopwatch


class Event(faust.Record, serializer="json"):  # type: ignore[misc, call-arg]
    """The fields that are used."""

    agent: str
    input_tokens: int
    output_tokens: int


def make(bootstrap: str, topic: str, group: str, events: int) -> Any:
    """Return the app; it prints its figures and ends after that many events."""
    app = faust.App(
        group, broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False, autodiscover=False,
        consumer_auto_offset_reset="earliest", topic_partitions=4,
    )  # fmt: skip
    table = app.Table("tokens", default=int, partitions=4).tumbling(60.0, expires=3600.0)
    watch = Stopwatch(events)

    @app.agent(app.topic(topic, value_type=Event, partitions=4))  # type: ignore[untyped-decorator]
    async def add_up(stream: Any) -> None:
        async for event in stream:
            table[event.agent] += event.input_tokens + event.output_tokens
            if watch.count(1):
                sys.stdout.write(json.dumps(watch.figures()) + "\n")
                sys.stdout.flush()
                os._exit(0)

    return app


def main() -> None:
    """Run until the events are counted."""
    bootstrap, topic, group, events, core = sys.argv[1:6]
    os.sched_setaffinity(0, {int(core)})
    app = make(bootstrap, topic, group, int(events))
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
