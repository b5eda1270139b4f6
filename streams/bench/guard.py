"""What a gateway's check costs with 10,000 kills in force, in a process that holds nothing else."""

import gc
import json
import subprocess
import sys
import time
from array import array
from pathlib import Path
from random import Random
from typing import Any

from alerts.gateway.guard import Guard
from alerts.gateway.identity import Identity
from alerts.gateway.keys import Role, SigningKey, Trust
from alerts.gateway.wire import HEARTBEAT_KEY, VERSION, Command, Heartbeat, State

KILLS = 10_000
CHECKS = 200_000
ENV = "bench"


def guard() -> dict[str, Any]:
    """Return p50 and p99 of one check in microseconds, what a snapshot takes, and the process' memory."""
    command = [sys.executable, "-m", "streams.bench.guard"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - our own
    return found


def loaded(kills: int = KILLS) -> Guard:
    """Return a live guard with that many agents killed."""
    detector, commander = SigningKey.make(Role.DETECTOR), SigningKey.make(Role.COMMANDER)
    made = Guard(ENV, Trust.of(detector, commander), 0.0)
    common: dict[str, Any] = {"v": VERSION, "env": ENV, "writer": "bench", "epoch": 1, "issued_at": 1.0}
    for number in range(kills):
        command = Command(
            **common, scope=f"agent:killed-{number}", state=State.KILLED, seq=1, reason="38 calls in a row",
            incident_id=f"{number:016x}", actor="detector", expires_at=1e9,
        )  # fmt: skip
        made.apply(command.scope, detector.sign(command), 1.0)
    made.begin_sync()
    made.reach_end()
    active, digest = made.book.digest(1.0)
    beat = Heartbeat(**common, max_seq=1, active=active, digest=digest)
    made.apply(HEARTBEAT_KEY, commander.sign(beat), 1.0)
    return made


def callers(count: int, kills: int = KILLS) -> list[Identity]:
    """Return callers of whom one in ten is killed, in runs three deep."""
    rng = Random(7)
    return [
        Identity(
            agent=f"killed-{rng.randrange(kills)}" if rng.random() < 0.1 else f"agent-{rng.randrange(100_000)}",
            team=f"team-{rng.randrange(500)}",
            run=f"run-{number}",
            parents=(f"run-{number // 2}", f"run-{number // 4}"),
            model="gpt-4.1",
        )
        for number in range(count)
    ]


def measure(checks: int = CHECKS) -> dict[str, Any]:
    """Time each check by itself, within this process."""
    made = loaded()
    clock, samples = time.perf_counter_ns, array("q")
    for _ in range(checks // 10_000):
        for who in callers(10_000):
            begun = clock()
            made.check(who, 2.0)
            samples.append(clock() - begun)
    gc.collect()
    rss_mb = _rss_mb()
    begun_s = time.perf_counter()
    size = len(made.snapshot())
    taken = sorted(samples)
    return {
        "n": checks,
        "kills": KILLS,
        "p50_us": taken[checks // 2] / 1000,
        "p99_us": taken[checks * 99 // 100] / 1000,
        "rss_mb": rss_mb,
        "snapshot_ms": round((time.perf_counter() - begun_s) * 1000, 1),
        "snapshot_mb": round(size / 2**20, 1),
    }


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kilobytes) / 1024, 1)


if __name__ == "__main__":
    print(json.dumps(measure()))
