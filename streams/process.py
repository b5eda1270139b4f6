"""The service as a process: its signals, its memory and its exit code."""

import asyncio
import logging
import os
import signal
import threading
from contextlib import suppress

from streams import rights
from streams.app import Service
from streams.assembly import prices_of
from streams.garbage import collect_seldom
from streams.reload import Reader
from streams.settings import Settings
from streams.topology import prepare_topics
from streams.worker import WorkerError

END_S = 5.0

log = logging.getLogger(__name__)


async def serve(settings: Settings, source: Reader | None = None) -> None:
    """Run one worker until SIGTERM or SIGINT; `source` is read again when it changes.

    Raises RightsError when Kafka doesn't allow what a worker does.
    """
    await rights.check(settings)
    service = Service(settings, await prepare_topics(settings), source=source)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, service.stopping.set)
    await service.serve()


def run_service(settings: Settings, source: Reader | None = None) -> int:
    """Run the service; return the process's exit code."""
    collect_seldom()
    prices_of(settings)  # Reads the price list, which takes a tenth of a second, before there is work.
    try:
        asyncio.run(_served(settings, source))
    except WorkerError as error:
        log.error("The worker ends, its work is delivered again: %s", error)
        return 1
    return 0


async def _served(settings: Settings, source: Reader | None) -> None:
    """Serve, and have the process end soon after: a task of Faust's can swallow that it is cancelled."""
    code = 1
    try:
        await serve(settings, source)
        code = 0
    finally:
        ending = threading.Timer(END_S, _end, (code,))
        ending.daemon = True
        ending.start()


def _end(code: int) -> None:
    log.error("Something does not let this process end: it ends all the same, with exit code %d", code)
    logging.shutdown()
    os._exit(code)
