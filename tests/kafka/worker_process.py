"""A worker for the contract tests: sums the events of each partition, with the offset that it has applied.

Arguments: bootstrap, group, topic, partitions, then options as name=value: `instance`, `fail_at` (raise on that offset
of partition 0), `pause_s` (wait so long in each batch), `lease` ("endless": it never knows that it slept).
It prints a line when it is ready, and when it begins and ends a batch.
"""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streams.records import RecordBatch
from streams.state import StateRows
from streams.transport import TopicPartition
from streams.worker import WorkerError, make_app, on_batches, run


def total(row: bytes | None) -> tuple[int, int, int]:
    """Decode a row: last offset applied, number of events, sum of their values."""
    applied, count, value = (row or b"-1 0 0").split()
    return int(applied), int(count), int(value)


async def wait_s(seconds: float) -> None:
    """Make a batch take long enough to be interrupted."""
    await asyncio.sleep(seconds)


async def main(bootstrap: str, group: str, topic: str, partitions: int, options: dict[str, str]) -> int:
    totals: dict[int, tuple[int, int, int]] = {}
    client = {"bootstrap_servers": bootstrap}

    async def restored(tps: frozenset[TopicPartition]) -> None:
        totals.clear()
        totals.update({number: total(rows.rows_of(number).get(b"total")) for _, number in tps})
        print("restored", *sorted(totals), flush=True)

    async def revoked(_: frozenset[TopicPartition]) -> None:
        totals.clear()

    async def add(batch: RecordBatch) -> None:
        applied, count, value = totals[batch.partition]
        for offset, number in zip(batch.offsets, batch.values, strict=True):
            if batch.partition == 0 and offset == int(options.get("fail_at", -1)):
                raise ValueError("this event can't be judged")
            if offset > applied:
                applied, count, value = offset, count + 1, value + int(number or 0)
        print("adding", batch.partition, batch.offsets[0], flush=True)
        await wait_s(float(options.get("pause_s", 0)))
        await rows.write(batch.partition, {b"total": b"%d %d %d" % (applied, count, value)})
        totals[batch.partition] = applied, count, value
        print("batch", batch.partition, batch.offsets[0], batch.last_offset, flush=True)

    app = make_app(
        group,
        client,
        instance=options.get("instance"),
        session_s=4,
        commit_s=0.3,
        on_restored=restored,
        on_revoked=revoked,
    )
    if options.get("lease") == "endless":
        app.lease.session_s = float("inf")
    rows = StateRows(app, partitions, client)
    on_batches(app, topic, add)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await rows.start()
    try:
        await run(app, stop)
    except WorkerError as error:
        print("failed", error, flush=True)
        return 1
    finally:
        await rows.stop()
    return 0


if __name__ == "__main__":
    arguments = dict(argument.split("=", 1) for argument in sys.argv[5:])
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), arguments)))
