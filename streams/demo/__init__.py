"""The whole path on one machine: a fleet, a runaway among it, the kill, the refusals, the release."""

from streams.demo.show import main

__all__ = ["main"]
