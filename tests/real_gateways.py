"""Gateways as customers run them, from the environment that `make gateways` makes, or from PATH."""

import os
import shutil
from pathlib import Path

import pytest

BIN = Path(__file__).resolve().parent.parent / ".venv-gateways" / "bin"
SYSTEM = ("/usr/sbin", "/usr/local/sbin")


def tool(name: str) -> str | None:
    """Return the path of a gateway's program, or None."""
    return shutil.which(name, path=os.pathsep.join((str(BIN), os.environ.get("PATH", ""), *SYSTEM)))


def needs(name: str) -> pytest.MarkDecorator:
    """Skip without that program, unless BRAKELINE_REQUIRE_GATEWAYS=1: then let it fail."""
    absent = tool(name) is None and os.environ.get("BRAKELINE_REQUIRE_GATEWAYS") != "1"
    return pytest.mark.skipif(absent, reason=f"{name} is not installed: `make gateways`, or the system's package")
