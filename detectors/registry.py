"""Every detector by name, for settings, documentation and the contract suite."""

from typing import Any

from detectors.ceiling import Ceiling
from detectors.surge import Surge

DETECTORS: dict[str, type[Any]] = {Ceiling.name: Ceiling, Surge.name: Surge}
