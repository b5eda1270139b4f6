"""Settings that are read again: a good file is put into force, a broken one is said and changes nothing."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from streams.reload import Reader, Reading, Reloader
from streams.settings import Settings


class Counting(Reader):
    """Counts how often the file is looked at."""

    looks = 0

    def look(self) -> bytes | None:
        self.looks += 1
        return super().look()


class Site:
    """A settings file, a service that takes what it is given, and a clock."""

    def __init__(self, file: Path) -> None:
        self.file, self.now_s = file, 1_000.0
        if not file.exists():
            file.write_text("mode: shadow\n")
        self.source = Counting(file)
        self.in_force = self.source.read()
        self.noted: list[Reading] = []
        self.reloader = Reloader(self.source, self.in_force, self.apply, self.noted.append, lambda: self.now_s)

    async def apply(self, settings: Settings, changes: Sequence[str]) -> None:
        self.in_force = settings

    async def watched(self) -> "asyncio.Future[None]":
        """Begin to watch, and wait until a change in the folder is noticed."""
        watching = asyncio.ensure_future(self.reloader.run())
        before = self.source.looks
        async with asyncio.timeout(20):
            while self.source.looks == before:
                self.file.with_name("other").write_text("x")
                await wait_a_little()
        return watching

    async def reload(self, text: str) -> bool:
        self.file.write_text(text)
        self.now_s += 10
        return await self.reloader.reload()


async def wait_a_little() -> None:
    await asyncio.sleep(0.05)


async def until(holds: Callable[[], bool], limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("streams.reload.LOOK_AGAIN_MS", 120_000)
    return Site(tmp_path / "brakeline.yaml")


async def test_a_good_file_is_put_into_force(site: Site) -> None:
    assert await site.reload("mode: armed\nlimits: [{scope: 'agent:*', usd: 5, per: hour}]\n")

    assert site.in_force.mode == "armed"
    assert site.in_force.limits[0].usd == 5
    reading = site.reloader.reading
    assert (reading.file, reading.good_at_s, reading.tried_at_s) == (str(site.file), 1_010.0, 1_010.0)
    assert reading.changes == (
        "everybody: runaways are stopped (armed); until now: only spoken of (shadow)",
        "agent:*: at most $5 an hour; until now: no limit",
    )


async def test_a_broken_file_is_refused_with_its_line_and_the_last_good_one_stays(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.reload("mode: armed\n")
    assert not await site.reload("mode: shadow\npolicy:\n  cooldown_s: -1\n")

    assert site.in_force.mode == "armed"
    reading = site.noted[-1]
    assert not reading.ok
    assert reading.problems == (f"{site.file}:3: policy.cooldown_s: -1: must be at least 0",)
    assert (reading.good_at_s, reading.tried_at_s) == (1_010.0, 1_020.0)
    assert f"{site.file}:3: policy.cooldown_s" in caplog.text
    assert "stay in force" in caplog.text


async def test_a_mended_file_is_in_force_and_its_problems_are_gone(site: Site) -> None:
    await site.reload("mode: [")
    assert await site.reload("mode: armed\n")

    assert site.in_force.mode == "armed"
    assert site.reloader.reading.ok


async def test_what_can_not_change_live_is_named_and_the_rest_is_applied(site: Site) -> None:
    await site.reload("mode: armed\nkafka: {bootstrap: 'other:9092'}\nservice: {web_port: 1}\nlogs: {format: json}\n")

    assert site.in_force.mode == "armed"
    assert site.in_force.kafka.bootstrap == ("127.0.0.1:9092",)
    assert site.reloader.reading.needs_restart == ("kafka.bootstrap", "service.web_port", "logs.format")
    assert site.reloader.reading.ok
    assert site.reloader.reading.restart == (
        "Restart the workers for kafka.bootstrap, service.web_port and logs.format: "
        "until then the service goes on with their old values."
    )


async def test_a_change_taken_back_needs_no_restart_any_more(site: Site) -> None:
    await site.reload("topics: {partitions: 9}\n")
    await site.reload("mode: shadow\n")

    assert site.reloader.reading.needs_restart == ()


async def test_what_the_command_line_said_stays(tmp_path: Path) -> None:
    file = tmp_path / "brakeline.yaml"
    file.write_text("logs: {level: debug}\n")
    source = Reader(file, lambda settings: settings.model_copy(update={"mode": "armed"}))

    assert source.read().mode == "armed"
    assert source.read().logs.level == "debug"


async def test_a_rewritten_file_is_seen_without_being_asked(site: Site) -> None:
    watching = await site.watched()
    new = site.file.with_suffix(".new")
    new.write_text("mode: armed\n")
    new.replace(site.file)

    await until(lambda: site.in_force.mode == "armed")
    await ended(watching)


async def test_each_swap_of_a_mounted_config_map_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes writes a new folder and renames a link to it: the file's own path never changes."""
    monkeypatch.setattr("streams.reload.LOOK_AGAIN_MS", 120_000)

    def swap(version: int, text: str) -> None:
        folder = tmp_path / f"..v{version}"
        folder.mkdir()
        (folder / "brakeline.yaml").write_text(text)
        link = tmp_path / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(tmp_path / "..data")

    swap(0, "mode: shadow\n")
    (tmp_path / "brakeline.yaml").symlink_to("..data/brakeline.yaml")
    site = Site(tmp_path / "brakeline.yaml")
    watching = await site.watched()
    for version, mode in enumerate(("armed", "shadow", "armed"), 1):
        swap(version, f"mode: {mode}\n")
        await until(lambda mode=mode: site.in_force.mode == mode)
    await ended(watching)


async def test_sighup_reads_the_file_even_if_it_did_not_change(site: Site) -> None:
    watching = asyncio.ensure_future(site.reloader.run())
    await until(lambda: signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL)
    before = len(site.noted)

    os.kill(os.getpid(), signal.SIGHUP)

    await until(lambda: len(site.noted) > before)
    await ended(watching)


async def ended(task: "asyncio.Future[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
