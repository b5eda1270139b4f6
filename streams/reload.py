"""The settings in force: read again when their file changes or on SIGHUP; a broken file leaves the last good one."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from watchfiles import awatch

from streams.settings import Settings, SettingsError, load
from streams.settings.compare import compare
from streams.settings.live import merged

LOOK_AGAIN_MS = 5_000
"""What the watch doesn't see is found by looking this often: a file system like NFS, a change before it began."""

log = logging.getLogger(__name__)


class Reader:
    """Where the settings come from: their file, and what the command line says on top of it.

    `seen` is what stood in the file when it was read last; None if it wasn't there. Without a file the settings
    are the defaults, and there is nothing to watch.
    """

    def __init__(self, file: Path | None, amend: Callable[[Settings], Settings] | None = None) -> None:
        self.file = file
        self.seen: bytes | None = None
        self._amend = amend

    def read(self) -> Settings:
        """Read the file; raises SettingsError."""
        self.seen = self.look()
        settings = Settings() if self.file is None else load(self.file)
        return settings if self._amend is None else self._amend(settings)

    def look(self) -> bytes | None:
        """Return what stands in the file now."""
        try:
            return None if self.file is None else self.file.read_bytes()
        except OSError:
            return None


class Reading(Struct, frozen=True, kw_only=True):
    """How the last reading went, to be shown to people; times are Unix seconds.

    `good_at_s` is when the settings in force were read. `problems` are of the last attempt, each with its file and
    line; while there are any, the last good settings stay in force. `changes` says what the last good one changed, in
    words. `needs_restart` names what the file says otherwise than the running service.
    """

    file: str = ""
    good_at_s: float = 0.0
    tried_at_s: float = 0.0
    problems: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()

    @property
    def restart(self) -> str:
        """Say in a sentence what needs a restart; empty where nothing does."""
        names = self.needs_restart
        listed = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
        goes_on = f"until then the service goes on with {'its' if len(names) == 1 else 'their'} old value"
        return f"Restart the workers for {listed}: {goes_on}{'s' if len(names) > 1 else ''}." if names else ""

    @property
    def ok(self) -> bool:
        """Whether what the file says is what was read last."""
        return not self.problems


Apply = Callable[[Settings, Sequence[str]], Awaitable[None]]
"""Puts settings into force; is told what changes, in words."""


class Reloader:
    """Holds what is in force. `apply` puts new settings into force, `noted` is told how each reading went."""

    def __init__(
        self,
        source: Reader,
        settings: Settings,
        apply: Apply,
        noted: Callable[[Reading], None],
        clock: Callable[[], float],
    ) -> None:
        self.reading = Reading(file=str(source.file or ""), good_at_s=clock(), tried_at_s=clock())
        self._source = source
        self._running = settings
        self._apply = apply
        self._noted = noted
        self._clock = clock
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()
        noted(self.reading)

    async def run(self) -> None:
        """Watch the file's folder, and wait for SIGHUP, until cancelled."""
        file = self._source.file
        if file is None:
            await asyncio.Event().wait()
            return
        with suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(file))
            group.create_task(self._obey())

    async def _watch(self, file: Path) -> None:
        """Look at the folder, not the file: a ConfigMap is swapped by renaming a link beside it."""
        try:
            async for _ in awatch(
                *_folders(file), watch_filter=None, recursive=False, yield_on_timeout=True, rust_timeout=LOOK_AGAIN_MS
            ):
                if await asyncio.to_thread(self._source.look) != self._source.seen:
                    await self.reload()
        except OSError as error:
            log.error("Changes of %s can't be watched (%s); send SIGHUP after a change", file, error)

    async def _obey(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            log.info("SIGHUP: reading %s again", self._source.file)
            await self.reload()

    async def reload(self) -> bool:
        """Read the file and put it into force; a broken one is said and changes nothing. Tell whether it was good."""
        async with self._turn:
            now_s = self._clock()
            try:
                wanted = await asyncio.to_thread(self._source.read)
            except SettingsError as error:
                self._refused(error, now_s)
                return False
            running, needs_restart = merged(self._running, wanted)
            changes = tuple(f"{change.whom}: {change.words}" for change in compare(self._running, running))
            if running != self._running:
                await self._apply(running, changes)
                self._running = running
            self._accepted(changes, needs_restart, now_s)
            return True

    def _refused(self, error: SettingsError, now_s: float) -> None:
        problems = tuple(map(str, error.problems))
        for problem in problems:
            log.error("Settings refused: %s", problem)
        log.error("The settings read %.0f s ago stay in force", now_s - self.reading.good_at_s)
        self.reading = replace(self.reading, tried_at_s=now_s, problems=problems)
        self._noted(self.reading)

    def _accepted(self, changes: tuple[str, ...], needs_restart: tuple[str, ...], now_s: float) -> None:
        self.reading = Reading(
            file=self.reading.file, good_at_s=now_s, tried_at_s=now_s, changes=changes, needs_restart=needs_restart
        )
        log.info("Settings read again from %s: %d changes", self._source.file, len(changes))
        for change in changes:
            log.info("Settings in force: %s", change)
        if needs_restart:
            log.warning("%s", self.reading.restart)
        self._noted(self.reading)


def _folders(file: Path) -> list[Path]:
    """Return where a change of the file shows: its folder, and the one of what it links to if that lies elsewhere."""
    folder, real = file.absolute().parent, file.resolve().parent
    return [folder] if real.is_relative_to(folder.resolve()) else [folder, real]
