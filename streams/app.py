"""The service: one worker with its shards, its teams and, where it owns the decisions, the control plane."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from alerts.commands import Orders
from alerts.gateway.ending import end
from alerts.gateway.wire import Command
from streams import audit, probes
from streams.assembly import engine_of, judge_of, keys_of, links_of, prices_of, rules_of
from streams.commander import Commander
from streams.control import Control
from streams.fenced_outlet import commanding_outlet
from streams.gating import Gating
from streams.hearing import Hearing
from streams.kill_topic import View
from streams.kill_topic import Wiring as Wires
from streams.limiting import Sharing, share_limits
from streams.logs import set_level
from streams.metrics import Metrics
from streams.notifier import Notifier
from streams.noting import note_reading, note_shard
from streams.outlet import Outlet
from streams.people import People
from streams.probes import make_web
from streams.reload import Reader, Reloader
from streams.settings import Settings
from streams.shards import Shards
from streams.state import StateRows
from streams.teams import Teams
from streams.teamwork import Teamwork
from streams.topology import NAMES, state_name
from streams.transport import TopicPartition
from streams.watchdog import Liveness, Watchdog, underway
from streams.web.assembly import WorkersPage
from streams.worker import BatchApp, WorkerError, make_app, on_batches, run

LATENESS_S = 300.0

log = logging.getLogger(__name__)


class Service:
    """All parts of one worker, wired. `clock` returns Unix seconds."""

    def __init__(
        self,
        settings: Settings,
        partitions: dict[str, int],
        clock: Callable[[], float] = time.time,
        source: Reader | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.clock = clock
        self.stopping = asyncio.Event()
        self.named = {what: settings.topics.named(what) for what in NAMES}
        self.client = settings.kafka.client_kwargs()
        self.keys, self.trust = keys_of(settings)
        self.app = self._make_app()
        self.outlet = Outlet(self.client, lease=self.app.lease)
        self.control: Control | None = None
        self.web_port = 0
        self.liveness: Liveness | None = None
        self.metrics.armed.set(settings.mode == "armed")
        note = partial(note_reading, self.metrics)
        self.reloader = Reloader(source or Reader(None), settings, self._reconfigure, note, clock)
        self._wire_app(partitions)
        self.page = WorkersPage(
            lambda: self.settings, lambda: self.reloader.reading, self.troubles, self.shards.engines,
            client=self.client, named=self.named, partitions=partitions, trust=self.trust, outlet=self.outlet,
            clock=clock, commands=lambda: self.control is not None,
        )  # fmt: skip
        self.people = People(settings, clock, self.page.history)
        self.hearing = Hearing(settings, self.people, self._notifier, self.page.board, self.outlet, self.named, clock)

    def _make_app(self) -> BatchApp:
        return make_app(
            self.settings.service.app_id,
            self.client,
            instance=self.settings.service.instance_id,
            session_s=self.settings.kafka.session_timeout_ms / 1000,
            on_restored=self._on_restored,
            on_revoked=self._on_revoked,
        )

    def _wire_app(self, partitions: dict[str, int]) -> None:
        events = self.settings.topics.event_topics
        rows = {
            topic: StateRows(self.app, partitions[topic], self.client, name=state_name(i))
            for i, topic in enumerate(events)
        }
        self.rows = list(rows.values())
        width, shards = partitions[self.named["teams"]], sum(partitions[topic] for topic in events)
        self.shards = Shards(
            lambda: engine_of(self.settings, shards), rows, self.outlet, self.metrics, self.client, self.named, width
        )
        self.teamwork = Teamwork(
            lambda: Teams(rules_of(self.settings), judge_of(self.settings), shards, LATENESS_S),
            rows[events[0]],
            self.outlet,
            self.named,
        )
        for topic in events:
            on_batches(self.app, topic, self.shards.take)
        on_batches(self.app, self.named["teams"], self.teamwork.take)
        on_batches(self.app, self.named["decisions"], self._command)

    async def _reconfigure(self, settings: Settings, changes: Sequence[str]) -> None:
        """Put new settings into force; what is known and what is in work stays."""
        self.settings = settings
        rules, judge = rules_of(settings), judge_of(settings)
        self.shards.reconfigure(rules, judge, prices_of(settings))
        self.teamwork.reconfigure(rules, judge)
        for part in (self.people, self.hearing, self.page):
            part.reconfigure(settings)
        self.metrics.armed.set(settings.mode == "armed")
        set_level(settings.logs.level)
        if self.control is not None:
            self.control.notifier.rewire(links_of(self.settings), self.people.routes())
            if self.control.limiting is not None:
                await self.control.limiting.reconfigure(settings)
            # Every worker reads the same file: the one that commands speaks for all in the audit.
            line = audit.of_settings(self.reloader.reading.file, changes, self.clock())
            await audit.note(self.outlet, self.named["audit"], line)

    async def _command(self, batch: Any) -> None:
        control = self.control or await self._take_control()
        self.shards.way_is_free.clear()
        try:
            await control.take(batch)
        finally:
            self.shards.way_is_free.set()

    async def _on_restored(self, tps: frozenset[TopicPartition]) -> None:
        for topic, partition in sorted(tps):
            if topic == self.named["decisions"]:
                await self._take_control()
            elif topic == self.named["teams"]:
                self.teamwork.restore(partition)
            else:
                await self.shards.restore(topic, partition)

    async def _on_revoked(self, tps: frozenset[TopicPartition]) -> None:
        for topic, partition in tps:
            if topic == self.named["decisions"]:
                await self._drop_control()
            elif topic == self.named["teams"]:
                self.teamwork.drop(partition)
            else:
                self.shards.drop(topic, partition)

    def orders(self) -> Orders:
        """Return an empty view of the kill topic, to be filled by reading it."""
        writer = self.settings.service.instance_id or socket.gethostname()
        return Orders(self.settings.keys.env, writer, self.keys)

    async def _take_control(self) -> Control:
        if self.control is None:
            wires = Wires(self.client, self.named["kills"], self.named["acks"])
            outlet = commanding_outlet(self.settings, self.app.lease)
            commander = Commander(wires, self.trust, self.orders(), outlet, self.clock, self._covered)
            routes = self.people.routes()
            notifier = Notifier(
                outlet.put, routes, now_s=self.clock, wiring=links_of(self.settings), counted=self._told
            )
            control = Control(commander, notifier, self.metrics, self.clock, outlet)
            control.gating = Gating(commander, notifier, self.metrics, lambda: self.settings, self.clock)
            await control.start(self.client, self.named["incidents"])
            shared = Sharing(self.settings, self.keys, self.trust, self.client, self.named["limits"], self.clock)
            control.limiting = await share_limits(shared, outlet, commander)
            self.control = control
            self.hearing.listen()
            log.info("This worker commands: epoch %d", commander.orders.epoch)
        return self.control

    async def _drop_control(self) -> None:
        if self.control is not None:
            control, self.control = self.control, None
            self.hearing.stop()
            await control.stop()

    def _notifier(self) -> Notifier | None:
        return None if self.control is None else self.control.notifier

    def _covered(self, command: Command, text: str) -> None:
        if self.control is not None:
            self.control.covered(command, text)

    def _told(self, sink: str, outcome: str) -> None:
        self.metrics.told.labels(sink, outcome).inc()
        if sink == self.people.chat_name and outcome != "sent":
            self.metrics.slack_failures.labels(outcome).inc()

    # What runs beside the worker

    async def watch_kills(self) -> None:
        """Tell the engines what is in force, whoever ordered it."""
        view = View(Wires(self.client, self.named["kills"], self.named["acks"]), self.trust, self.orders())
        view.on_command = self._heard
        await view.start()
        try:
            while True:
                await view.poll(1000)
        finally:
            await view.stop()

    def _heard(self, command: Command) -> None:
        self.shards.hear(command)
        self.teamwork.hear(command)

    async def keep_time(self) -> None:
        """Let the clocks of silent shards go on: of those that are read to their end, and run on the broker's clock."""
        while self.settings.topics.timestamp_type == "append":
            await asyncio.sleep(10.0)
            silent = {
                tp for tp, progress in self.app.progress().items() if progress.end is not None and not progress.lag
            }
            await self.shards.beat(silent, self.clock(), LATENESS_S)
        await asyncio.Event().wait()

    async def keep_gauges(self) -> None:
        """Bring the gauges up to date."""
        while True:
            now_s = self.clock()
            for (topic, partition), progress in self.app.progress().items():
                self.metrics.lag.labels(topic, str(partition)).set(progress.lag)
            for (topic, partition), engine in self.shards.engines.items():
                note_shard(self.metrics, f"{topic}/{partition}", engine, now_s)
            if self.control is not None:
                self.control.note(now_s)
            await asyncio.sleep(1.0)

    async def watch_progress(self) -> None:
        """End the process when there is work and none of it is done: a restart is the way out of a silent stall."""
        watchdog = Watchdog(self.clock, self.settings.service.watchdog_s)
        while True:
            self.liveness = watchdog.look(underway(self.app.progress(), self.shards.applied()))
            if self.liveness.stalled:
                raise WorkerError(self.liveness.trouble)
            await asyncio.sleep(2.0)

    def troubles(self) -> list[str]:
        """Say what holds progress back."""
        found = [str(self.app.failure)] if self.app.failure is not None else []
        if self.liveness is not None and self.liveness.stalled:
            found.append(self.liveness.trouble)
        if self.control is not None and self.control.commander.failure is not None:
            found.append(f"the commander failed: {self.control.commander.failure}")
        return found

    def unready(self) -> list[str]:
        """Say why this worker isn't at work yet."""
        return self.troubles() or ([] if self.app.progress() else ["no partition is assigned yet"])

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error("A part of the worker ended, and so does the worker: %r", task.exception())
            self.stopping.set()

    async def serve(self) -> None:
        """Run until `stopping` is set. Raises WorkerError when the worker can't go on."""
        await self.outlet.start()
        for rows in self.rows:
            await rows.start()
        service = self.settings.service
        web = make_web(self.metrics, self.troubles, self.unready)
        web.router.add_post("/slack/actions", self.hearing.handle)
        self.page.mount(web)
        runner, self.web_port = await probes.serve(web, service.web_host, service.web_port)
        beside = [
            asyncio.create_task(step())
            for step in (
                *(self.watch_kills, self.keep_time, self.keep_gauges, self.watch_progress),
                *(self.reloader.run, self.page.run, *(rows.keep for rows in self.rows)),
            )
        ]
        for task in beside:
            task.add_done_callback(self._part_ended)
        try:
            await run(self.app, self.stopping)
        finally:
            failures = [f for f in await end(beside) if isinstance(f, Exception)]
            await self._drop_control()
            await runner.cleanup()
            for rows in self.rows:
                await rows.stop()
            await self.outlet.stop()
        if failures:
            raise WorkerError(str(failures[0])) from failures[0]
