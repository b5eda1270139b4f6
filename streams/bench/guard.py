"""What a gateway's check costs with 10,000 kills in force and limits on, in a process that holds nothing else."""

import gc
import json
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from alerts.gateway.accounts import Ticket
from alerts.gateway.budget import Load
from alerts.gateway.guard import Guard
from alerts.gateway.identity import Identity
from alerts.gateway.keys import Role, SigningKey, Trust
from alerts.gateway.limits import Limit, PriceTable, Rules, Shares, key_of, sign
from alerts.gateway.pricing import UnitPrice
from alerts.gateway.quiet import quieten
from alerts.gateway.usage import Usage
from alerts.gateway.wire import HEARTBEAT_KEY, VERSION, Command, Heartbeat, State

KILLS = 10_000
CHECKS = 200_000
ENV = "bench"
LIMITS = (
    Limit("agent:*", "micro_usd", "hour", 50_000_000_000),
    Limit("team:*", "micro_usd", "day", 5_000_000_000_000),
    Limit("run:*", "tokens", "run", 10**12),
    Limit("run:*", "steps", "run", 10**9),
    Limit("run:*", "depth", "run", 8),
)
"""Never reached: a refusal is cheaper than a consent."""
LOAD = Load(1_500, 1_000)


def guard() -> dict[str, Any]:
    """Return p50 and p99 of one check (it reserves) and of one settlement in microseconds, and the process' memory.

    Each call is timed by itself. Half of them settle at once, the others 1,000 calls later, as calls under way do.
    """
    command = [sys.executable, "-m", "streams.bench.guard"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - our own
    return found


def loaded(kills: int = KILLS, limits: Sequence[Limit] = LIMITS) -> Guard:
    """Return a live guard with that many agents killed, and limits of which it has a third."""
    detector, commander, approver = (SigningKey.make(role) for role in (Role.DETECTOR, Role.COMMANDER, Role.APPROVER))
    made = Guard(ENV, Trust.of(detector, commander, approver), 0.0)
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
    made.budget.gateway = ENV
    ordered: dict[str, Any] = {"v": VERSION, "env": ENV, "epoch": 1, "seq": 1}
    prices = PriceTable(**ordered, part=0, models={"gpt-4.1": UnitPrice(2.0, 0.5, 8.0)})
    rules = Rules(**ordered, writer="bench", issued_at=1.0, limits=tuple(limits))
    share = Shares(**ordered, gateway=ENV, usual=1 / 3)
    for payload, key in ((prices, commander), (rules, approver), (share, commander)):
        made.apply_rules(key_of(payload), sign(payload, key), 1.0)
    return made


def callers(count: int, kills: int = KILLS) -> list[Identity]:
    """Return callers of whom one in ten is killed, in runs three deep, 20 of them below each root."""
    rng = Random(7)
    return [
        Identity(
            agent=f"killed-{rng.randrange(kills)}" if rng.random() < 0.1 else f"agent-{rng.randrange(100_000)}",
            team=f"team-{rng.randrange(500)}",
            run=f"run-{number}",
            parents=(f"parent-{number // 5}", f"root-{number // 20}"),
            model="gpt-4.1",
        )
        for number in range(count)
    ]


def measure(checks: int = CHECKS) -> dict[str, Any]:
    """Time each check and each settlement by itself, within this process."""
    made = loaded()
    quieten()
    took, settled = _timed(made, checks)
    gc.collect()
    rss_mb = _rss_mb()
    begun_s = time.perf_counter()
    size = len(made.snapshot())
    snapshot_ms = round((time.perf_counter() - begun_s) * 1000, 1)
    bare = loaded(limits=())
    quieten()
    alone, _ = _timed(bare, checks)
    return {
        "n": checks,
        "kills": KILLS,
        "limits": len(LIMITS),
        **_points("", took),
        **_points("settle_", settled),
        **_points("no_limits_", alone),
        "rss_mb": rss_mb,
        "snapshot_ms": snapshot_ms,
        "snapshot_mb": round(size / 2**20, 1),
    }


def _timed(made: Guard, checks: int) -> tuple["array[int]", "array[int]"]:
    clock, took, settled = time.perf_counter_ns, array("I"), array("I")
    under_way: deque[Ticket] = deque()
    usage = Usage(input_tokens=1_500, output_tokens=300)
    known = callers(min(checks, 10_000))
    for _ in range(checks // len(known)):
        for who in known:
            begun = clock()
            answer = made.check(who, 2.0, LOAD)
            took.append(clock() - begun)
            if answer.ticket is None:
                continue
            under_way.append(answer.ticket)
            if len(took) % 2 and len(under_way) < 1_000:
                continue
            ticket = under_way.popleft()
            begun = clock()
            made.budget.settle(ticket, made.budget.use_of(who.model, usage))
            settled.append(clock() - begun)
    return took, settled


def _points(what: str, taken: "array[int]") -> dict[str, float]:
    ordered = sorted(taken)
    points = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}
    return {what + name: ordered[int(len(ordered) * part)] / 1000 for name, part in points.items() if ordered}


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kilobytes) / 1024, 1)


if __name__ == "__main__":
    print(json.dumps(measure()))
