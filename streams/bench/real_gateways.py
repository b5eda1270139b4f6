"""Gateways as customers run them, by the examples of deploy/gateways: from `make gateways`, or from PATH."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from streams.demo.stage import free_ports, process, wait_ready

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy" / "gateways"
SEARCHED = (str(ROOT / ".venv-gateways" / "bin"), "/usr/sbin", "/usr/local/sbin")
IMPORT_S = 200.0
AUTH = """
from litellm.proxy._types import UserAPIKeyAuth

async def auth(request, api_key):
    return UserAPIKeyAuth(api_key=api_key, key_alias=api_key.removeprefix("sk-"), team_id="t")
"""


class Kills(Struct, frozen=True):
    """Where the commands come from: Kafka, the topics' prefix, the environment, and the trust file."""

    bootstrap: str
    prefix: str
    env: str
    trust: Path


def tool(name: str) -> str | None:
    """Return the path of a gateway's program, or None."""
    return shutil.which(name, path=os.pathsep.join((SEARCHED[0], os.environ.get("PATH", ""), *SEARCHED[1:])))


def rendered(text: str, *, proxy: int, sidecar: int = 0, provider: int) -> str:
    """Return an example with other ports: 8080 is the proxy's, 8181 the sidecar's and 9000 the provider's."""
    ports = {"8080": proxy, "8181": sidecar, "9000": provider}
    return re.sub(r"\b(8080|8181|9000)\b", lambda found: str(ports[found[0]]), text)


@asynccontextmanager
async def nginx(folder: Path, sidecar: int, provider: int) -> AsyncIterator[str]:
    """Run nginx in front of a provider on that port, which has to answer GET /; yields its URL."""
    (port,) = free_ports(1)
    (folder / "tmp").mkdir(exist_ok=True)
    text = (EXAMPLES / "nginx.conf").read_text()
    (folder / "nginx.conf").write_text(rendered(text, proxy=port, sidecar=sidecar, provider=provider))
    command = [tool("nginx") or "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    async with process("nginx", [*command, "-g", "daemon off; master_process off;"], folder):
        await wait_ready("nginx", f"http://127.0.0.1:{port}/", folder)
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def litellm(
    folder: Path, kills: Kills, provider: int, workers: int = 1, models: Mapping[str, Any] | None = None
) -> AsyncIterator[str]:
    """Run the LiteLLM proxy with our callback; a key `sk-NAME` has the alias NAME and the team t. Yields its URL."""
    (port,) = free_ports(1)
    config = yaml.safe_load(rendered((EXAMPLES / "litellm" / "config.yaml").read_text(), proxy=port, provider=provider))
    config["general_settings"]["custom_auth"] = "auth.auth"
    (first,) = config["model_list"]
    config["model_list"] += [{**first, "model_name": name, "litellm_params": {**first["litellm_params"], **changes}}
                             for name, changes in (models or {}).items()]  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "auth.py").write_text(AUTH)
    shutil.copy(EXAMPLES / "litellm" / "brakes.py", folder)
    (folder / "brakeline_gateway").symlink_to(ROOT / "alerts" / "gateway")
    command = [tool("litellm") or "litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    # A worker that is still importing doesn't answer its parent's pings, and would be started anew for ever.
    command += ["--num_workers", str(workers), "--timeout_worker_healthcheck", "200"]
    async with process("litellm", command, folder, _environment(folder, kills, provider)):
        await wait_ready("litellm", f"http://127.0.0.1:{port}/health/liveliness", folder, IMPORT_S)
        yield f"http://127.0.0.1:{port}"


def _environment(folder: Path, kills: Kills, provider: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(folder),
        "BRAKELINE_ENV": kills.env,
        "BRAKELINE_TRUST": str(kills.trust),
        "BRAKELINE_GATEWAY_ID": "litellm",
        "BRAKELINE_KAFKA": kills.bootstrap,
        "BRAKELINE_PREFIX": kills.prefix,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": "sk-master",
        "OPENAI_API_KEY": "x",
        "OPENAI_API_BASE": f"http://127.0.0.1:{provider}",
    }
