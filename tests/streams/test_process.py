"""The service as a process: it ends, whatever is left in it."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio
from streams import process
from streams.settings import Settings
from streams.worker import WorkerError

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def serve(settings, source=None):
    tasks.append(asyncio.create_task(stubborn()))
    await asyncio.sleep(0)
    if {fails}:
        raise WorkerError("no more Kafka")

tasks, process.serve, process.END_S = [], serve, 0.5
raise SystemExit(process.run_service(Settings()))
"""


@pytest.mark.parametrize("fails", [False, True])
def test_a_task_that_does_not_let_go_keeps_no_process_alive(fails: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(fails=fails)], timeout=60, capture_output=True, text=True, check=False
    )

    assert done.returncode == fails
    assert "it ends all the same" in done.stderr
