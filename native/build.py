"""Compile the pure core with mypyc: the same Python files, faster. Without a C compiler they run as they are.

`python native/build.py FOLDER` puts the extension modules there, with a manifest that says from which sources they were
made, and tells this Python of them; the hook does the same for a wheel.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[1]
NATIVE = (
    "detectors/calibration.py",
    "detectors/contract.py",
    "detectors/drift.py",
    "detectors/echo.py",
    "detectors/errors.py",
    "detectors/evidence.py",
    "detectors/fanout.py",
    "detectors/judge.py",
    "detectors/likeness.py",
    "detectors/loop.py",
    "detectors/memory.py",
    "detectors/price.py",
    "detectors/rhythm.py",
    "detectors/row.py",
    "detectors/shares.py",
    "detectors/sizes.py",
    "detectors/snowball.py",
    "detectors/stall.py",
    "detectors/standing.py",
    "detectors/state.py",
    "detectors/surge.py",
    "detectors/table.py",
    "detectors/team.py",
    "detectors/tempo.py",
    "detectors/verdict.py",
    "streams/attribution.py",
    "streams/caller.py",
    "streams/decoding.py",
    "streams/duplicates.py",
    "streams/effects.py",
    "streams/engine.py",
    "streams/event.py",
    "streams/obedience.py",
    "streams/prices.py",
    "streams/rows.py",
    "streams/sentence.py",
    "streams/sightings.py",
    "streams/teams.py",
    "streams/validation.py",
    "streams/windows.py",
)
# The same bits on every machine: a fused multiply-add would round once where Python rounds twice. And nobody replaces
# a function of the library at load time, so a call of one can go straight there, or be inlined.
FLAGS = ["-ffp-contract=off", "-fno-semantic-interposition"]


class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the extension modules to a wheel; an editable install finds its own by the manifest."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, if that is possible here."""
        folder = ROOT / "build/native"
        if self.target_name != "wheel" or version == "editable":
            return
        if why_not():
            self.app.display_warning(f"The wheel holds no compiled core: {why_not()}.")
            return
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, __file__, str(folder)], check=True)  # noqa: S603
        for path in folder.rglob("*" + suffix()):
            build_data["force_include"][str(path)] = str(path.relative_to(folder))
        build_data["pure_python"], build_data["infer_tag"] = False, True


def why_not() -> str:
    """Say what is missing for compiling; empty when nothing is."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        return f"there is no C compiler ({compiler})"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python.h is missing (Debian: python3-dev)"
    absent = [name for name in ("mypyc", "setuptools", "msgspec") if find_spec(name) is None]
    return f"this Python lacks {', '.join(absent)}" if absent else ""


def suffix() -> str:
    """Return how an extension module's name ends."""
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def compile_into(folder: Path) -> None:
    """Translate and compile all modules of `NATIVE` as one library."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    work = ROOT / "build/mypyc"
    extensions = mypycify(
        ["--strict", *NATIVE], opt_level="3", debug_level="0", group_name="brakeline", target_dir=str(work)
    )
    for extension in extensions:
        extension.extra_compile_args += FLAGS
    command = build_ext(Distribution({"name": "brakeline", "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder), str(work / "objects")
    command.ensure_finalized()
    command.run()


def write_manifest(folder: Path) -> None:
    """Note each module's library, source and the source's checksum, and have this Python look there first."""
    lines = []
    for name in NATIVE:
        source, module = ROOT / name, name.removesuffix(".py")
        fields = (module.replace("/", "."), folder / (module + suffix()), source, crc32(source.read_bytes()))
        lines.append("\t".join(map(str, fields)))
    lines.append(f"brakeline__mypyc\t{folder / ('brakeline__mypyc' + suffix())}\t\t0")
    (folder / "manifest").write_text("\n".join(lines), encoding="utf-8")
    site = Path(sysconfig.get_path("purelib"))
    shutil.copy(ROOT / "native/brakeline_native.py", site)
    (site / "brakeline_native.pth").write_text(f"import brakeline_native; brakeline_native.install({str(folder)!r})\n")


def main() -> int:
    """Compile; where that is impossible, say so: everything works all the same."""
    if why_not():
        sys.stderr.write(f"The core is not compiled: {why_not()}. All works, but judging takes three times as long.\n")
        return 0
    folder = Path(sys.argv[1]).resolve()
    os.chdir(ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    sys.argv[1:] = []
    compile_into(folder)
    if folder.parent == Path(sys.prefix):
        write_manifest(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
