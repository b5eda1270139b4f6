"""Event to refusal: from producing the event that passes a limit to the sidecar's first 403."""

import asyncio
import tempfile
import time
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.bench.broker import kafka
from streams.bench.figures import percentile, spread
from streams.bench.load import calm, event
from streams.bench.parts import Place, gateway, place, service
from streams.partitioner import partition_of
from streams.produce import Sender

PARTITIONS = 4
AGENTS = 1000
TICK_S = 0.01
LIMIT_TOKENS = 20_000_000
POLL_S = 0.005
REFUSED_S = 30.0
WARM_S = 5.0


def latency(address: str | None = None, runaways: int = 200, per_s: float = 2000.0) -> dict[str, Any]:
    """Measure `runaways` kills, one after another, beside `per_s` ordinary events a second.

    `floor_p50_ms` is a bare produce and consume of one record on the same broker under the same load.
    """
    with kafka(address) as bootstrap, tempfile.TemporaryDirectory(prefix="brakeline-bench-") as folder:
        return asyncio.run(_measure(place(bootstrap, Path(folder)), runaways, per_s))


async def _measure(where: Place, runaways: int, per_s: float) -> dict[str, Any]:
    limits = [{"scope": "agent:*", "tokens": LIMIT_TOKENS, "per": "minute"}]
    settings = where.settings(limits=limits)
    async with service(where, settings), gateway(where) as sidecar:
        producer = AIOKafkaProducer(acks="all", linger_ms=0, **where.client)
        await producer.start()
        background = asyncio.create_task(_background(producer, where.topic("events"), per_s))
        try:
            await asyncio.sleep(WARM_S)
            samples = await _runaways(producer, where.topic("events"), sidecar, runaways)
            floor = await _floor(producer, where, 100)
        finally:
            background.cancel()
            sent = (await asyncio.gather(background, return_exceptions=True))[0]
            await producer.stop()
        if isinstance(sent, Exception):
            raise sent
    return {**spread(samples), "floor_p50_ms": round(percentile(floor, 0.5) * 1000, 2), "background_per_s": per_s}


async def _background(producer: AIOKafkaProducer, topic: str, per_s: float) -> None:
    sender, encode = Sender(producer, topic, PARTITIONS), msgspec.json.encode
    begun_s, sent = time.time(), 0
    for number, (agent, fields) in zip(count(), calm(AGENTS), strict=False):
        if sent <= number:
            await sender.flush()
            await asyncio.sleep(TICK_S)
            sent = int((time.time() - begun_s) * per_s)
        now_s = time.time()
        value = encode(event(number, now_s, agent, **fields))
        await sender.put(agent.encode(), value, round(now_s * 1000))


async def _runaways(producer: AIOKafkaProducer, topic: str, sidecar: str, runaways: int) -> list[float]:
    """One after another at random moments, so that no rhythm of the service is met always or never."""
    rng, samples = Random(7), []
    async with aiohttp.ClientSession() as client:
        for number in range(runaways):
            await asyncio.sleep(rng.uniform(0.02, 0.2))
            agent = f"runaway-{number}"
            begun_s = time.time()
            breach = event(number, begun_s, agent, event_id=f"breach-{number}", input_tokens=2 * LIMIT_TOKENS)
            partition = partition_of(agent, PARTITIONS)
            await producer.send(topic, msgspec.json.encode(breach), agent.encode(), partition=partition)
            await refused(client, sidecar, agent)
            samples.append(time.time() - begun_s)
    return samples


async def refused(client: aiohttp.ClientSession, sidecar: str, agent: str) -> None:
    """Ask the sidecar for an agent until it refuses. Raises TimeoutError after 30 s."""
    async with asyncio.timeout(REFUSED_S):
        while True:
            async with client.get(f"{sidecar}/check", headers={"x-brakeline-agent": agent}) as answer:
                if answer.status == 403:
                    return
            await asyncio.sleep(POLL_S)


async def _floor(producer: AIOKafkaProducer, where: Place, number: int) -> list[float]:
    """Produce one record at a time and wait for it in a bare consumer of one partition."""
    rng, samples = Random(11), []
    topic, partition = where.topic("audit"), TopicPartition(where.topic("audit"), 0)
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **where.client)
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_end(partition)
        for _ in range(number):
            await asyncio.sleep(rng.uniform(0.01, 0.05))
            begun_s = time.time()
            await producer.send(topic, b"floor", partition=0)
            await consumer.getone()
            samples.append(time.time() - begun_s)
    finally:
        await consumer.stop()
    return samples
