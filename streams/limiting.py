"""Publishes the configured limits to the gateways, and shares them out as gateways report their use."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import time
from typing import Any

from msgspec import Struct

from alerts.apportion import Apportioner
from alerts.gateway.keys import Role, SigningKey, Trust
from alerts.gateway.limits import RULES_KEY, Limit, PriceTable, Rules, Shares, digest, key_of, read, sign
from alerts.gateway.pricing import UnitPrice
from alerts.gateway.wire import VERSION, Ack, WireError
from streams.assembly import prices_of
from streams.commander import Commander
from streams.control import read_compacted
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


async def share_limits(sharing: Sharing, outlet: Outlet, commander: Commander) -> "asyncio.Task[None]":
    """Publish the limits, and go on sharing them out for the commander until cancelled."""
    made = Limiting(sharing, outlet, commander.orders.epoch)
    await made.start(sharing.client, sharing.trust)
    commander.rules, commander.on_ack = made.rules, made.hear
    return asyncio.create_task(made.run())


class Limiting:
    """Owned by the worker that commands. Without an approver's key limits can't be signed: that is said."""

    def __init__(self, sharing: "Sharing", outlet: Outlet, epoch: int) -> None:
        self._settings, self._keys, self._topic = sharing.settings, sharing.keys, sharing.topic
        self._prices = prices_of(sharing.settings)
        self._outlet = outlet
        self._epoch = epoch
        self._clock = sharing.clock
        self._apportioner: Apportioner | None = None
        self._waiting: list[Ack] = []
        self.rules = ""
        """Digest of the rules in force, for the heartbeat; empty if there are none."""

    async def start(self, client: Mapping[str, Any], trust: Trust) -> None:
        """Learn what was given before, then publish the limits and the prices."""
        rows = await read_compacted(client, self._topic)
        env, given = self._settings.keys.env, []
        for key, value in rows.items():
            try:
                payload = read(trust, value or b"", key, env)
            except WireError as error:
                log.warning("Ignored a record of the limits topic under %s: %s", key, error)
                continue
            if isinstance(payload, Shares):
                given.append(payload)
        self._apportioner = Apportioner(env, self._epoch, self._clock(), given)
        await self._publish(had=RULES_KEY in rows)

    def hear(self, ack: Ack) -> None:
        """Take in a gateway's report."""
        self._waiting.append(ack)

    async def run(self) -> None:
        """Share out until cancelled."""
        assert self._apportioner is not None
        looked_s = self._clock()
        while True:
            await asyncio.sleep(TICK_S)
            if not self.rules:
                self._waiting.clear()
                continue
            now_s = self._clock()
            for ack in self._waiting:
                self._apportioner.hear(ack, now_s)
            self._waiting.clear()
            self._apportioner.tick(now_s - looked_s, now_s)
            looked_s = now_s
            records = [(key_of(each), sign(each, self._keys[Role.COMMANDER])) for each in self._apportioner.due(now_s)]
            buried = [(f"shares:{name}", None) for name in self._apportioner.gone()]
            await self._write([*records, *buried])

    async def _publish(self, had: bool) -> None:
        limits = limits_of(self._settings)
        key = self._keys.get(Role.APPROVER)
        if not limits and not had:
            return
        if key is None or Role.COMMANDER not in self._keys:
            log.error(
                "Limits do not reach the gateways: the approver's and the commander's key are needed to sign them"
            )
            return
        rules = Rules(
            v=VERSION, env=self._settings.keys.env, writer="service", epoch=self._epoch, seq=1,
            issued_at=self._clock(), limits=limits, unknown=_plain(self._prices.of("", self._clock())),
        )  # fmt: skip
        await self._write([*self._price_records(), (RULES_KEY, sign(rules, key))])
        self.rules = digest(rules) if limits else ""

    def _price_records(self) -> list[tuple[str, bytes]]:
        now_s = self._clock()
        names = sorted({*listed_models(), *self._settings.prices.models})
        table = {name: _plain(price) for name in names if (price := self._prices.of(name, now_s)).known}
        parts = [list(table)[i : i + MODELS_A_RECORD] for i in range(0, len(table), MODELS_A_RECORD)]
        found = []
        for number, part in enumerate(parts):
            made = PriceTable(
                v=VERSION, env=self._settings.keys.env, part=number, epoch=self._epoch, seq=1,
                models={name: table[name] for name in part},
            )  # fmt: skip
            found.append((key_of(made), sign(made, self._keys[Role.COMMANDER])))
        return found

    async def _write(self, records: list[tuple[str, bytes | None]]) -> None:
        if records:
            await self._outlet.send([Message(self._topic, key.encode(), value, 0) for key, value in records])


def _plain(price: Any) -> UnitPrice:
    """Return a price as it travels."""
    return UnitPrice(
        price.input, price.cached, price.output, price.cache_write, price.tier_tokens, price.tier_input,
        price.tier_cached, price.tier_output, price.known,
    )  # fmt: skip
