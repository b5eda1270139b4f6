"""The README's example of a process of one's own: the OpenAI SDK, our transport, and a real Kafka."""

import asyncio
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer
from sdk_provider import SdkProvider
from signing import ENV, KEYS, TRUST
from waiting import until

import alerts.gateway.connect
import alerts.gateway.httpx2  # noqa: F401
from alerts.commands import Orders
from alerts.decision import Action, Decision
from alerts.gateway.keys import TrustRecord
from streams.commander import order_directly
from streams.events import TokenEvent, decode
from streams.kill_topic import Wiring
from streams.topics import TopicSpec, ensure_topics

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[2]
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def example(kafka: str, trust: Path, prefix: str) -> dict[str, Any]:
    """Run the README's lines as they stand, with this site's Kafka, keys and topics; return their names."""
    names: dict[str, Any] = {}
    lines = EXAMPLE.replace('"kafka-1:9092"', repr(kafka)).replace('"trust.json"', repr(str(trust)))
    exec(lines.replace('env="production"', f"env={ENV!r}, prefix={prefix!r}"), names)
    return names


def as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the kit's modules the name that they have in a customer's environment."""
    for name, module in list(sys.modules.items()):
        if name == "alerts.gateway" or name.startswith("alerts.gateway."):
            monkeypatch.setitem(sys.modules, name.replace("alerts.gateway", "brakeline_gateway", 1), module)


async def order(wiring: Wiring, action: Action, **more: Any) -> None:
    decision = Decision(
        at_s=time.time(), scope="agent:coder-7", action=action, reason="a loop", incident_id=uuid.uuid4().hex, **more
    )
    assert await order_directly(wiring, TRUST, Orders(ENV, "cli", KEYS), decision, time.time) is not None


async def works(create: Any) -> bool:
    try:
        await asyncio.to_thread(create)
    except openai.PermissionDeniedError:
        return False
    return True


async def test_the_sdk_of_a_process_of_ones_own_obeys(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix, provider = f"test-{uuid.uuid4().hex[:8]}", SdkProvider()
    wiring = Wiring({"bootstrap_servers": kafka}, f"{prefix}.kills", f"{prefix}.acks")
    topics = [TopicSpec(wiring.kills, compacted=True), TopicSpec(wiring.acks), TopicSpec(f"{prefix}.events")]
    await ensure_topics(wiring.client, topics)
    trust = tmp_path / "trust.json"
    trust.write_bytes(msgspec.json.encode(TrustRecord([key.public() for key in KEYS.values()])))
    as_installed(monkeypatch)
    await order(wiring, Action.KILL)
    async with TestServer(provider.app) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", str(server.make_url("/v1")))
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        made = await asyncio.to_thread(example, kafka, trust, prefix)
        said: Any = [{"role": "user", "content": "Say yes."}]

        def create() -> Any:
            return made["openai"].chat.completions.create(model="m", messages=said)

        try:
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await asyncio.to_thread(create)
            assert refused.value.code == "agent_killed"
            assert provider.calls == 0
            await order(wiring, Action.RELEASE, actor="user:x")
            await until(lambda: works(create))
        finally:
            made["openai"].close()
            await asyncio.to_thread(made["brakes"].close)
    await says_what_was_used(wiring, f"{prefix}.events", provider.calls)


async def says_what_was_used(wiring: Wiring, topic: str, calls: int) -> None:
    """Closing has written the event of each call that went out, and of none that was refused."""
    async with AIOKafkaConsumer(topic, auto_offset_reset="earliest", **wiring.client) as consumer:
        async with asyncio.timeout(20):
            records = [await consumer.getone() for _ in range(calls)]
        (end,) = (await consumer.end_offsets(consumer.assignment())).values()
    assert end == calls > 0
    for record in records:
        (event,) = decode(record.value)
        assert isinstance(event, TokenEvent), event
        assert (event.agent, event.team, event.model, event.status) == ("coder-7", "research", "m", "ok")
        assert (record.key, event.input_tokens, event.output_tokens) == (b"coder-7", 1, 1)
