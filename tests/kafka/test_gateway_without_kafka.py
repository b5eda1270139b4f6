"""Kafka and the service are down for ten minutes, and the gateway is killed: nobody who is stopped gets through."""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka_service import ROOT
from real_kafka import free_ports, need_tools, running
from signing import ENV, KEYS, TRUST
from waiting import until

from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.keys import TrustRecord
from alerts.gateway.snapshot import Used, unseal
from streams.commander import Commander
from streams.kill_topic import Wiring
from streams.limiting import Sharing, share_limits
from streams.outlet import Outlet
from streams.settings import Settings
from streams.topics import TopicSpec, ensure_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
KILLED, SPENT, FREE = {"agent": "killed"}, {"agent": "spent", "run": "r"}, {"agent": "free"}
LIMIT = {"scope": "agent:spent", "tokens": 100, "per": "day"}
OUTAGE_S, APART_S, STEP_S = 600, 120, 5


class Answers(msgspec.Struct):
    """What the gateway said: its state, and of each caller whether it may call, and why not."""

    state: str
    allowed: list[bool]
    reasons: list[str]


class Gateway:
    """A gateway process; `late_s` is what its clock is ahead of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def asks(self, *callers: dict[str, str], late_s: float = 0.0, tokens: int = 0) -> Answers:
        load = {"input_tokens": tokens, "output_tokens": 0}
        asked = {"late_s": late_s, "callers": callers, "load": load}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return msgspec.json.decode(await self._process.stdout.readline(), type=Answers)

    async def dies(self) -> None:
        self._process.kill()
        await self._process.wait()


class Site:
    """A broker of its own that can be stopped, the service's commander, and a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.late_s, self.prefix = folder, 0.0, f"test-{uuid.uuid4().hex[:8]}"
        self.ports = free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.ports[0]}"
        self.wiring = Wiring({"bootstrap_servers": self.bootstrap}, f"{self.prefix}.kills", f"{self.prefix}.acks")
        self.trust = folder / "trust.json"
        self.trust.write_bytes(msgspec.json.encode(TrustRecord([key.public() for key in KEYS.values()])))

    def clock(self) -> float:
        return time.time() + self.late_s

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Commander]:
        """Kafka and the service."""
        async with AsyncExitStack() as stack:
            context = running(self.folder, self.ports[0], self.ports[1])
            await asyncio.to_thread(context.__enter__)
            stack.push_async_callback(asyncio.to_thread, context.__exit__, None, None, None)
            compacted = [TopicSpec(f"{self.prefix}.{name}", compacted=True) for name in ("kills", "limits")]
            await ensure_topics(self.wiring.client, [*compacted, TopicSpec(self.wiring.acks)])
            outlet = await stack.enter_async_context(Outlet(self.wiring.client))
            commander = Commander(self.wiring, TRUST, Orders(ENV, "w", KEYS), outlet, self.clock, lambda *_: None)
            await commander.start()
            stack.push_async_callback(commander.stop)
            settings = Settings(mode="armed", keys={"env": ENV}, limits=[LIMIT])
            wants = Sharing(settings, KEYS, TRUST, self.wiring.client, f"{self.prefix}.limits", self.clock)
            sharing = await share_limits(wants, outlet, commander)
            stack.callback(sharing.stop)
            yield commander

    async def gateway(self, snapshot: str) -> Gateway:
        command = (self.bootstrap, self.prefix, ENV, str(self.trust), str(self.folder / snapshot), str(self.late_s))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(__file__).with_name("gateway_process.py")), *command),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )  # fmt: skip
        return Gateway(process)


def order(action: Action, scope: str, **fields: Any) -> Decision:
    return Decision(at_s=time.time(), scope=scope, action=action, reason="a loop", incident_id="i", **fields)


async def outage(site: Site, gateway: Gateway) -> tuple[int, int]:
    """Let ten minutes pass, the gateway killed every two; return the calls let through, and those of the free."""
    through = others = 0
    for second in range(0, OUTAGE_S + 1, STEP_S):
        site.late_s = float(second)
        if 0 < second < OUTAGE_S and second % APART_S == 0:
            await gateway.dies()
            gateway = await site.gateway("snapshot")
        answers = await gateway.asks(KILLED, SPENT, FREE, late_s=site.late_s, tokens=60)
        through += answers.allowed[0] + answers.allowed[1]
        others += answers.allowed[2]
    assert answers.state != "live"
    await gateway.dies()
    return through, others


async def stop_two(site: Site, commander: Commander, gateway: Gateway) -> int:
    """Have one caller killed, another use up its limit, and both on the gateway's disk; return the kill's seq."""

    async def is_live() -> bool:
        answers = await gateway.asks(KILLED, SPENT, FREE)
        return answers.state == "live" and all(answers.allowed)

    async def has_a_share() -> bool:
        return (await gateway.asks(SPENT, tokens=60)).allowed == [True]

    async def are_stopped() -> bool:
        return (await gateway.asks(KILLED, SPENT, FREE, tokens=60)).allowed == [False, False, True]

    def are_saved() -> bool:
        kills, used = site.folder / "snapshot", site.folder / "snapshot.used"
        if not (kills.exists() and used.exists() and b"agent:killed" in kills.read_bytes()):
            return False
        return any(row[0] == "agent:spent" and row[3] == 60 for row in unseal(used.read_bytes(), Used).accounts)

    await until(is_live)
    await until(has_a_share)
    outcome = await commander.handle(order(Action.KILL, "agent:killed"))
    await until(are_stopped)
    await until(are_saved)
    return outcome.seq


async def release(site: Site, commander: Commander, gateway: Gateway, seq: int) -> None:
    """Once the gateway has read what is in force again, release who is killed, and see the call go out."""

    async def is_back() -> bool:
        answers = await gateway.asks(KILLED, FREE, late_s=site.late_s)
        assert not answers.allowed[0]
        return answers.state == "live"

    async def is_free() -> bool:
        return (await gateway.asks(KILLED, late_s=site.late_s)).allowed == [True]

    await until(is_back)
    await commander.handle(order(Action.RELEASE, "agent:killed", actor="user:x", releases_seq=seq))
    await until(is_free)


async def test_nobody_who_is_stopped_gets_through_while_all_is_down(tmp_path: Path) -> None:
    need_tools()
    site = Site(tmp_path)
    async with site.up() as commander:
        gateway = await site.gateway("snapshot")
        seq = await stop_two(site, commander, gateway)

    through, others = await outage(site, gateway)
    assert (through, others) == (0, OUTAGE_S // STEP_S + 1)
    fresh = await site.gateway("none")
    assert (await fresh.asks(KILLED, FREE, late_s=site.late_s)).allowed == [False, False], "it knows nothing"
    await fresh.dies()

    async with site.up() as commander:
        gateway = await site.gateway("snapshot")
        await release(site, commander, gateway, seq)
        await gateway.dies()
    killed = (OUTAGE_S - 1) // APART_S
    print(f"{OUTAGE_S} s without Kafka, {killed} times killed and started: {through} calls let through")
