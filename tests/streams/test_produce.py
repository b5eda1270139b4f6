import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.broker import embedded_broker
from streams.partitioner import partition_of
from streams.produce import Pace, Tally, produce, records, retimed
from streams.replay import open_lines
from streams.simulate import Plan, simulate


@pytest.fixture(scope="module")
def broker() -> Iterator[dict[str, str]]:
    with embedded_broker() as bootstrap:
        yield {"bootstrap_servers": bootstrap}


def lines(minutes: float = 5.0) -> list[bytes]:
    return [msgspec.json.encode(each.event) for each in simulate(Plan(minutes=minutes, runaways=("fanout",)))]


async def read(client: dict[str, str], topic: str, number: int) -> list[tuple[int, bytes, bytes, int]]:
    async with AIOKafkaConsumer(topic, auto_offset_reset="earliest", **client) as consumer:
        return [(r.partition, r.key, r.value, r.timestamp) for _ in range(number) for r in [await consumer.getone()]]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.now_s += wait_s


async def test_every_line_arrives_once_in_the_order_of_its_family(broker: dict[str, str]) -> None:
    sent = lines()

    tally = await produce(records(sent), broker, "in-order")
    got = await read(broker, "in-order", len(sent))

    assert tally.records == len(sent)
    assert sorted(value for _, _, value, _ in got) == sorted(sent)
    families = {key for _, key, _, _ in got}
    for family in families:
        expected = [line for line in sent if msgspec.json.decode(line)["agent"].split("/")[0].encode() == family]
        assert [value for _, key, value, _ in got if key == family] == expected
    assert all(partition == partition_of(key.decode(), 4) for partition, key, _, _ in got)
    assert any(b"/" in value for _, key, value, _ in got if key in families)


async def test_a_record_has_the_time_of_its_ingestion(broker: dict[str, str]) -> None:
    await produce(records([b'{"agent":"a","ts":1700000000.0,"ingest_ts":1700000001.25}']), broker, "times")

    ((_, key, _, timestamp_ms),) = await read(broker, "times", 1)

    assert (key, timestamp_ms) == (b"a", 1_700_000_001_250)


async def test_what_is_no_event_is_sent_as_it_is(broker: dict[str, str]) -> None:
    garbage = [b"{", b'{"agent": 5}', b"\xff\xfe", b"[" * 100_000]

    tally = await produce(records([*garbage, b"\n"]), broker, "garbage")

    assert (tally.records, tally.unkeyed) == (4, 4)
    assert sorted(value for _, _, value, _ in await read(broker, "garbage", 4)) == sorted(garbage)


async def test_the_original_pace_is_kept_or_multiplied(broker: dict[str, str]) -> None:
    clock = Clock()
    events = [b'{"agent":"a","ts":%d}' % at for at in (100, 110, 130)]

    await produce(records(events), broker, "paced", Pace(speed=10.0, clock_s=clock, sleep=clock.sleep))

    assert clock.waits == pytest.approx([1.0, 2.0])


async def test_retimed_events_are_of_now(broker: dict[str, str]) -> None:
    clock = Clock()
    event = b'{"event_id":"e","agent":"a","ts":100.0,"ingest_ts":102.0}'

    await produce(records([event]), broker, "retimed", Pace(retime=True, clock_s=clock, sleep=clock.sleep))

    ((_, _, value, timestamp_ms),) = await read(broker, "retimed", 1)
    got = msgspec.json.decode(value)
    assert timestamp_ms == 1_000_000_000
    assert (got["ts"], got["ingest_ts"]) == (999_998.0, 1_000_000.0)
    assert got["event_id"].startswith("e.")


def test_what_can_not_be_retimed_stays_as_it_is() -> None:
    for value in (b"{", b"[]", b'{"event_id":"a"}', b'{"event_id":"a","ts":"now"}'):
        assert retimed(value, lambda at_s: at_s + 1.0, 5.0, "x") == value


async def test_a_repeated_event_is_still_a_repeat_when_retimed(broker: dict[str, str]) -> None:
    clock = Clock()
    twice = [b'{"event_id":"e","agent":"a","ts":100.0,"ingest_ts":%d}' % at for at in (102, 130)]

    await produce(records(twice), broker, "repeated", Pace(10.0, retime=True, clock_s=clock, sleep=clock.sleep))

    first, second = (msgspec.json.decode(value) for _, _, value, _ in await read(broker, "repeated", 2))
    assert (first["event_id"], first["ts"]) == (second["event_id"], second["ts"])


def test_gz_and_zst_are_read_too(tmp_path: Path) -> None:
    data = b"\n".join(lines(1.0))
    (tmp_path / "e.jsonl").write_bytes(data)
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(data))
    (tmp_path / "e.jsonl.zst").write_bytes(zstandard.compress(data))

    plain, *packed = [list(records(open_lines(str(path)))) for path in sorted(tmp_path.iterdir())]

    assert len(plain) == len(lines(1.0))
    assert packed == [plain, plain]


async def test_progress_is_told(broker: dict[str, str]) -> None:
    told: list[int] = []

    def note(tally: Tally) -> None:
        told.append(tally.records)

    await produce(records(lines(1.0)), broker, "told", progress=note)

    assert told[-1] == len(lines(1.0))


async def test_no_broker_is_an_error_at_once() -> None:
    with pytest.raises(KafkaError):
        await produce([], {"bootstrap_servers": "127.0.0.1:1", "request_timeout_ms": 1_000}, "t")  # type: ignore[dict-item]
