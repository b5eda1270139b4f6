"""Gateways as customers run them: what is there of them, for tests."""

import os

import pytest

from streams.bench.real_gateways import tool


def needs(name: str) -> pytest.MarkDecorator:
    """Skip without that program, unless BRAKELINE_REQUIRE_GATEWAYS=1: then let it fail."""
    absent = tool(name) is None and os.environ.get("BRAKELINE_REQUIRE_GATEWAYS") != "1"
    return pytest.mark.skipif(absent, reason=f"{name} is not installed: `make gateways`, or the system's package")
