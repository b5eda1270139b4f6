"""One worker for a measurement: `python -m streams.bench.service SETTINGS [CORE]`, pinned to that core."""

import os
import sys
from pathlib import Path

from streams.logs import set_up
from streams.process import run_service
from streams.settings import load


def main() -> int:
    """Run the service until SIGTERM."""
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    settings = load(Path(sys.argv[1]))
    set_up(settings.logs.level, settings.logs.format)
    return run_service(settings)


if __name__ == "__main__":
    sys.exit(main())
