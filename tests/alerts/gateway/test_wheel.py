"""What customers install: one wheel that needs nothing else of ours."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_gateways_wheel_imports_without_brakeline(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "--quiet", "-w", tmp_path, ROOT / "deploy" / "gateway"], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    names = {path.name for path in (tmp_path / "site" / "brakeline_gateway").iterdir()}
    assert {"guard.py", "feed.py", "sidecar.py", "fake.py"} <= names

    code = f"""
import sys
sys.path[:] = [p for p in sys.path if p and p != {str(ROOT)!r}] + [{str(tmp_path / "site")!r}]
from brakeline_gateway.fake import FakeGateway
from brakeline_gateway.identity import Identity
from brakeline_gateway import main, sidecar
gateway = FakeGateway()
gateway.kill("agent:a")
assert not gateway.check(Identity(agent="a")).allowed
assert not {{"alerts", "detectors", "streams", "brakeline"}} & set(sys.modules), "brakeline came along"
"""
    subprocess.run([sys.executable, "-I", "-c", code], check=True, cwd=tmp_path)


def test_the_command_says_what_has_to_be_installed_for_it() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; from alerts.gateway.__main__ import run; sys.exit(run())"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 2
    assert done.stderr.strip().endswith("aiohttp, which isn't installed: pip install 'brakeline-gateway[sidecar]'")
