"""What travels on the limits topic: limits, approval gates, prices, and each gateway's share of the limits; signed.

Limits and gates need the approver's key, as a release does: raising one gives back. Shares and prices need the
commander's; a record of either kind counts only if its order is above what is held under its key.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from .keys import Role, SigningKey, Trust
from .pricing import UNKNOWN, UnitPrice
from .wire import VERSION, Counter, ShortText, WireError, fingerprint

RULES_KEY = "rules"
Measure = Literal["micro_usd", "tokens", "steps", "depth"]
Period = Literal["minute", "hour", "day", "run"]
Share = Annotated[float, Meta(ge=0, le=1)]


class Limit(Struct, frozen=True):
    """At most `amount` of a measure in each period for each scope that the glob names, over all gateways together.

    `per` run holds for the runs that the glob matches and for those of the agents and teams that it matches, with
    their sub-runs. `depth` counts the runs above a run.
    """

    scope: str
    measure: Measure
    per: Period
    amount: Counter

    @property
    def name(self) -> str:
        """Name it in a report; the amount is no part of it, so what is used counts on when that is changed."""
        return f"{self.measure}/{self.per}/{self.scope}"


class Gate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Calls that wait for a person: those to which all that is given applies.

    Of several globs one must match. `over_micro_usd` is the least estimated cost of a call, `output_usd_per_mtok` the
    least price of its model (USD a million output tokens), `open_s` how long a request stays open; `approvers` are
    globs over those who may approve, of all who may act.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    agents: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    over_micro_usd: int | None = None
    output_usd_per_mtok: float | None = None
    open_s: Annotated[float, Meta(gt=0)] = 3_600.0
    approvers: tuple[str, ...] = ()


class Rules(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="rules"):
    """The configuration's limits and gates. An empty one takes all back."""

    v: int
    env: ShortText
    writer: ShortText
    epoch: Counter
    seq: Counter
    issued_at: float
    limits: tuple[Limit, ...] = ()
    gates: tuple[Gate, ...] = ()
    unknown: UnitPrice = UNKNOWN
    """The price of a model that the table doesn't have."""


class PriceTable(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="prices"):
    """A part of the price table."""

    v: int
    env: ShortText
    part: int
    epoch: Counter
    seq: Counter
    models: dict[str, UnitPrice] = {}


class Shares(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="shares"):
    """What one gateway may use of each limit: `usual` of every one, but for those named by scope and limit.

    `retired` stands for a gateway that is gone: it names what that has used in periods that still run.
    """

    v: int
    env: ShortText
    gateway: ShortText
    epoch: Counter
    seq: Counter
    usual: Share
    shares: dict[str, dict[str, Annotated[float, Meta(ge=0)]]] = {}
    retired: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """The later of two is the one that holds."""
        return self.epoch, self.seq

    def of(self, scope: str, limit: str) -> float:
        """Return the share of one limit for one scope."""
        return self.shares.get(scope, {}).get(limit, self.usual)


def changed(old: Shares | None, new: Shares) -> set[str] | None:
    """Return the scopes whose shares differ; None if any may."""
    if old is None or old.usual != new.usual:
        return None
    return {each for each in (*old.shares, *new.shares) if old.shares.get(each) != new.shares.get(each)}


Payload = Rules | PriceTable | Shares
_payloads = msgspec.json.Decoder(Payload)
_encoder = msgspec.json.Encoder()
_SIGNERS = {
    Rules: (Role.APPROVER,),
    PriceTable: (Role.COMMANDER, Role.APPROVER),
    Shares: (Role.COMMANDER, Role.APPROVER),
}


def key_of(payload: Payload) -> str:
    """Return the key of a payload's record."""
    match payload:
        case Rules():
            return RULES_KEY
        case PriceTable(part=part):
            return f"prices:{part}"
        case Shares(gateway=gateway):
            return f"shares:{gateway}"


def sign(payload: Payload, key: SigningKey) -> bytes:
    """Return a record's value."""
    return key.sign_bytes(_encoder.encode(payload))


def read(trust: Trust, value: bytes, record_key: str, env: str) -> Payload:
    """Verify a record, then parse it; raise WireError if it is not what its key, signature and role allow."""
    role, raw = trust.authenticate(value)
    try:
        payload: Payload = _payloads.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a payload of the limits topic: {error}") from error
    if payload.v != VERSION:
        raise WireError(f"version {payload.v}; this gateway understands {VERSION}")
    if payload.env != env:
        raise WireError(f"meant for environment {payload.env!r}")
    if key_of(payload) != record_key:
        raise WireError(f"signed for {key_of(payload)!r} but found under {record_key!r}")
    if role not in _SIGNERS[type(payload)]:
        raise WireError(f"a {role} key can't sign {record_key!r}")
    return payload


def digest(rules: Rules) -> str:
    """Return what a heartbeat says of the rules in force, so that an erased record shows."""
    content = _encoder.encode((rules.limits, rules.gates, rules.unknown))
    return f"{fingerprint(content):032x}"
