"""The teams' partitions that this worker owns: merged counters in, team decisions out."""

import logging
from collections.abc import Callable, Mapping

from msgspec import DecodeError, json, msgpack

from alerts.gateway.wire import Command, State
from alerts.observed import ACTION_OF
from alerts.policy import RuleBook
from detectors.judge import Judge
from streams.outlet import Message, Outlet
from streams.records import RecordBatch
from streams.state import StateRows
from streams.teams import TeamRecord, Teams

PREFIX = b"team\0"

log = logging.getLogger(__name__)
_records = msgpack.Decoder(TeamRecord)


class Teamwork:
    """Team stages by partition. Their rows lie in the first events topic's table, which is partitioned alike."""

    def __init__(
        self, new_teams: Callable[[], Teams], rows: StateRows, outlet: Outlet, named: Mapping[str, str]
    ) -> None:
        self.stages: dict[int, Teams] = {}
        self._new_teams = new_teams
        self._rows = rows
        self._outlet = outlet
        self._named = named
        self._ordered: dict[str, Command] = {}

    def restore(self, partition: int) -> Teams:
        """Build the stage of a partition from its rows."""
        stage = self.stages[partition] = self._new_teams()
        held = self._rows.rows_of(partition).items()
        stage.restore([(key[len(PREFIX) :], value) for key, value in held if key.startswith(PREFIX)])
        if trouble := stage.layout.trouble(self._named["teams"], partition):
            log.warning(trouble)
        for command in self._ordered.values():
            _inform(stage, command)
        return stage

    def hear(self, command: Command) -> None:
        """Tell the stages what a person did to a team, also those that are restored later."""
        if not command.scope.startswith("team:"):
            return
        if command.actor == "detector":
            self._ordered.pop(command.scope, None)
            return
        self._ordered[command.scope] = command
        for stage in self.stages.values():
            _inform(stage, command)

    def reconfigure(self, rules: RuleBook, judge: Judge) -> None:
        """Have all stages judge by these from their next batch on."""
        for stage in self.stages.values():
            stage.reconfigure(rules, judge)

    def drop(self, partition: int) -> None:
        """Forget a partition that another worker has now."""
        self.stages.pop(partition, None)

    async def take(self, batch: RecordBatch) -> None:
        """Merge a batch; when this returns, its decisions and rows are acknowledged."""
        stage = self.stages.get(batch.partition) or self.restore(batch.partition)
        decisions = stage.merge([record for value in batch.values if (record := _decode(value)) is not None])
        if decisions:
            topic = self._named["decisions"]
            await self._outlet.send([Message(topic, d.scope.encode(), json.encode(d), 0) for d in decisions])
        rows = {PREFIX + key: value for key, value in stage.drain().items()}
        await self._rows.write(batch.partition, rows)


def _decode(value: bytes | None) -> TeamRecord | None:
    try:
        return None if value is None else _records.decode(value)
    except DecodeError:
        return None


def _inform(stage: Teams, command: Command) -> None:
    team = command.scope.partition(":")[2]
    # Each team belongs to one partition: a stage that doesn't know it has nothing to judge it by.
    if team in stage.rows:
        until_s = None if command.ends_s == float("inf") else command.ends_s
        planned = command.state is State.RELEASED and bool(command.evidence.get("planned"))
        stage.control(team, ACTION_OF[command.state], command.issued_at, until_s, planned=planned)
