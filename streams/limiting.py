"""Publishes the configured limits to the gateways, and shares them out as gateways report their use."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import time
from typing import Any

from aiokafka.errors import KafkaError
from msgspec import Struct

from alerts.apportion import Apportioner, Holding
from alerts.gateway.keys import Role, SigningKey, Trust
from alerts.gateway.limits import RULES_KEY, Gate, Limit, PriceTable, Rules, Shares, digest, key_of, read, sign
from alerts.gateway.pricing import UnitPrice
from alerts.gateway.wire import VERSION, Ack, WireError
from streams.assembly import prices_of
from streams.commander import Commander
from streams.compacted import read_compacted
from streams.gating import gates_of
from streams.outlet import Message, Outlet
from streams.prices import listed_models
from streams.settings import Settings

TICK_S = 0.2
MODELS_A_RECORD = 400

log = logging.getLogger(__name__)


def limits_of(settings: Settings) -> tuple[Limit, ...]:
    """Return the limits as gateways hold them; none in shadow mode, where gateways are told nothing."""
    if settings.mode == "shadow":
        return ()
    made = []
    for each in settings.limits:
        if each.usd is not None and each.per is not None:
            made.append(Limit(each.scope, "micro_usd", each.per, round(each.usd * 1e6)))
        if each.tokens is not None and each.per is not None:
            made.append(Limit(each.scope, "tokens", each.per, each.tokens))
        if each.steps is not None:
            made.append(Limit(each.scope, "steps", "run", each.steps))
        if each.depth is not None:
            made.append(Limit(each.scope, "depth", "run", each.depth))
    return tuple(made)


class Sharing(Struct, frozen=True):
    """What it takes to publish limits: `client` are the arguments of any aiokafka client."""

    settings: Settings
    keys: Mapping[Role, SigningKey]
    trust: Trust
    client: Mapping[str, Any]
    topic: str
    clock: Callable[[], float] = time


async def share_limits(sharing: Sharing, outlet: Outlet, commander: Commander) -> "Limiting":
    """Publish the limits, and go on sharing them out for the commander until stopped."""
    made = Limiting(sharing, outlet, commander)
    await made.start()
    return made


class Limiting:
    """Owned by the worker that commands. Without an approver's key limits can't be signed: that is said."""

    def __init__(self, sharing: "Sharing", outlet: Outlet, commander: Commander) -> None:
        self._sharing, self._settings, self._keys, self._topic = sharing, sharing.settings, sharing.keys, sharing.topic
        self._prices = prices_of(sharing.settings)
        self._outlet = outlet
        self._commander = commander
        self._epoch = commander.orders.epoch
        self._seq = 0
        self._clock = sharing.clock
        self._apportioner: Apportioner | None = None
        self._waiting: list[Ack] = []
        self._written: dict[str, Rules | PriceTable] = {}
        self._had: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn what was given before, publish the limits and the prices, and begin to share out."""
        env, given = self._settings.keys.env, []
        try:
            rows = await read_compacted(self._sharing.client, self._topic)
        except KafkaError as error:
            if limits_of(self._settings) or gates_of(self._settings):
                log.error(
                    "Limits and gates do not reach the gateways: %s; create it with brakeline topics --create", error
                )
            return
        for key, value in rows.items():
            try:
                payload = read(self._sharing.trust, value or b"", key, env)
            except WireError as error:
                log.warning("Ignored a record of the limits topic under %s: %s", key, error)
                continue
            if isinstance(payload, Shares):
                given.append(payload)
        self._had = set(rows)
        self._apportioner = Apportioner(env, self._epoch, self._clock(), given)
        await self._publish()
        self._commander.on_ack = self.hear
        self._task = asyncio.create_task(self._run(self._apportioner))
        self._task.add_done_callback(self._commander.note_failure)

    def stop(self) -> None:
        """Share out no longer."""
        if self._task is not None:
            self._task.cancel()

    async def reconfigure(self, settings: Settings) -> None:
        """Publish what other settings change; what gateways have used counts on."""
        self._settings, self._prices = settings, prices_of(settings)
        await (self.start() if self._apportioner is None else self._publish())

    def hear(self, ack: Ack) -> None:
        """Take in a gateway's report."""
        self._waiting.append(ack)

    def holdings(self) -> tuple[list[Holding], dict[str, int]]:
        """Return what each gateway holds of each limit, and its calls that hold reservations."""
        shared = self._apportioner
        if shared is None:
            return [], {}
        names = {limit.name: None for limit in limits_of(self._settings) if limit.measure != "depth"}
        calls = {name: member.open_calls for name, member in shared.members.items() if not member.gone}
        return shared.holdings(names, self._clock()), calls

    async def _run(self, apportioner: Apportioner) -> None:
        looked_s = self._clock()
        while True:
            await asyncio.sleep(TICK_S)
            if not self._commander.rules:
                self._waiting.clear()
                continue
            now_s = self._clock()
            for ack in self._waiting:
                apportioner.hear(ack, now_s)
            self._waiting.clear()
            apportioner.tick(now_s - looked_s, now_s)
            looked_s = now_s
            records = [(key_of(each), sign(each, self._keys[Role.COMMANDER])) for each in apportioner.due(now_s)]
            buried = [(f"shares:{name}", None) for name in apportioner.gone()]
            await self._write([*records, *buried])

    async def _publish(self) -> None:
        limits, gates = limits_of(self._settings), gates_of(self._settings)
        approver, commander = self._keys.get(Role.APPROVER), self._keys.get(Role.COMMANDER)
        if not limits and not gates and not self._had:
            return
        if approver is None or commander is None:
            log.error(
                "Limits and gates do not reach the gateways: "
                "the approver's and the commander's key are needed to sign them"
            )
            return
        self._seq += 1
        # Prices first: limits that hold without them would count every model at the ceiling price.
        made: list[Rules | PriceTable] = [*self._price_tables(), self._rules(limits, gates)]
        news = [each for each in made if not _same(each, self._written.get(key_of(each)))]
        signers = {key_of(each): approver if isinstance(each, Rules) else commander for each in news}
        await self._write([(key_of(each), sign(each, signers[key_of(each)])) for each in news])
        self._written |= {key_of(each): each for each in news}
        self._had |= signers.keys()
        rules = self._written[RULES_KEY]
        assert isinstance(rules, Rules)
        self._commander.rules = digest(rules) if limits or gates else ""

    def _rules(self, limits: tuple[Limit, ...], gates: tuple[Gate, ...]) -> Rules:
        return Rules(
            v=VERSION, env=self._settings.keys.env, writer="service", epoch=self._epoch, seq=self._seq,
            issued_at=self._clock(), limits=limits, gates=gates, unknown=_plain(self._prices.of("", self._clock())),
        )  # fmt: skip

    def _price_tables(self) -> list[PriceTable]:
        now_s = self._clock()
        names = sorted({*listed_models(), *self._settings.prices.models})
        table = {name: _plain(price) for name in names if (price := self._prices.of(name, now_s)).known}
        parts = [list(table)[i : i + MODELS_A_RECORD] for i in range(0, len(table), MODELS_A_RECORD)]
        # A table that has become shorter must leave no old prices behind.
        parts += [[]] * (sum(key.startswith("prices:") for key in self._had) - len(parts))
        return [
            PriceTable(
                v=VERSION, env=self._settings.keys.env, part=number, epoch=self._epoch, seq=self._seq,
                models={name: table[name] for name in part},
            )
            for number, part in enumerate(parts)
        ]  # fmt: skip

    async def _write(self, records: list[tuple[str, bytes | None]]) -> None:
        if records:
            await self._outlet.send([Message(self._topic, key.encode(), value, 0) for key, value in records])


def _plain(price: Any) -> UnitPrice:
    """Return a price as it travels."""
    return UnitPrice(
        price.input, price.cached, price.output, price.cache_write, price.tier_tokens, price.tier_input,
        price.tier_cached, price.tier_output, price.known,
    )  # fmt: skip


def _same(new: Rules | PriceTable, old: Rules | PriceTable | None) -> bool:
    """Tell whether two records say the same, whenever they were written."""
    match new, old:
        case Rules(), Rules():
            return digest(new) == digest(old)
        case PriceTable(), PriceTable():
            return new.models == old.models
    return False
