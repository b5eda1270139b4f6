"""A worker process of the service. Argument: the settings file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streams.app import run_service
from streams.logs import set_up
from streams.settings import load

if __name__ == "__main__":
    settings = load(sys.argv[1])
    set_up(settings.logs.level, settings.logs.format)
    sys.exit(run_service(settings))
