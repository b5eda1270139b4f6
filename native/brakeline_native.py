"""Import the compiled core of a checkout, as long as it was made from the very sources that are there.

All or nothing: once a single source has changed, everything runs as plain Python until `make compile`.
`BRAKELINE_NATIVE=0` does the same for one process.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from zlib import crc32


class NativeFinder:
    """Finds the modules of a manifest; reads it when the first of them is asked for."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._libraries: dict[str, str] | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the compiled module is; None leaves it to Python."""
        if not name.startswith(("detectors.", "streams.", "brakeline__mypyc")):
            return None
        if self._libraries is None:
            self._libraries = _fresh(self._folder)
        library = self._libraries.get(name)
        if library is None:
            return None
        return spec_from_file_location(name, library, loader=ExtensionFileLoader(name, library))


def _fresh(folder: str) -> dict[str, str]:
    libraries = {}
    try:
        with open(os.path.join(folder, "manifest"), encoding="utf-8") as lines:  # noqa: PTH118, PTH123 - runs at start
            for line in lines.read().split("\n"):
                name, library, source, checksum = line.split("\t")
                if source:
                    with open(source, "rb") as file:  # noqa: PTH123
                        if str(crc32(file.read())) != checksum:
                            return {}
                libraries[name] = library
    except (OSError, ValueError):
        return {}
    return libraries


def install(folder: str) -> None:
    """Ask this finder first, unless the environment says no."""
    if os.environ.get("BRAKELINE_NATIVE", "1") != "0":
        sys.meta_path.insert(0, NativeFinder(folder))
