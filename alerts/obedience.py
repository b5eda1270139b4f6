"""PURE: calls that were made in spite of a kill, and the incident of their own that they are."""

from msgspec import Struct, json

from alerts.coverage import Coverage, clock, named
from alerts.decision import OBEDIENCE, Action, Decision, Evidence, incident_id
from alerts.gateway.wire import Command, State

GRACE_S = 10.0
"""Calls that began so soon after a kill may have passed a gateway before it heard of it, or by another clock."""


class Disobedience(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="disobedience"):
    """What one worker saw of a scope that it knows to be stopped; a record of the acks topic. Times are Unix seconds.

    `calls` and `spend_usd` count since the kill, `new_calls` since the last such record. `gateways` are those
    that the events name.
    """

    scope: str
    calls: int
    new_calls: int
    last_began_s: float
    at_s: float
    spend_usd: float = 0.0
    usd_per_min: float = 0.0
    agent: str = ""
    team: str = ""
    run: str = ""
    model: str = ""
    gateways: tuple[str, ...] = ()


_disobedience = json.Decoder(Disobedience)


def decode_disobedience(value: bytes) -> Disobedience:
    """Parse a record; raise DecodeError for any other, an ack too."""
    return _disobedience.decode(value)


def not_obeyed(seen: Disobedience, command: Command | None, coverage: Coverage, now_s: float) -> Decision | None:
    """Return the warning that a kill is not obeyed, and by whom; None if no command was disobeyed after all.

    The worker judges by its own view of what is stopped; the command on the topic, and when it was issued,
    is what counts.
    """
    if command is None or command.state not in (State.KILLED, State.HELD) or seen.at_s >= command.ends_s:
        return None
    if seen.last_began_s <= command.issued_at + GRACE_S:
        return None
    calls = f"{seen.calls:,} {'call' if seen.calls == 1 else 'calls'}"
    return Decision(
        at_s=seen.at_s,
        scope=f"{OBEDIENCE}:{command.scope}",
        action=Action.WARN,
        reason=f"{_culprit(seen, command, coverage, now_s)}: {calls} began after it ({clock(command.issued_at)})",
        incident_id=incident_id(command.scope, OBEDIENCE, command.issued_at),
        detector=OBEDIENCE,
        window_start_s=command.issued_at,
        evidence=Evidence(
            team=seen.team,
            agent=seen.agent,
            run=seen.run,
            model=seen.model,
            calls=seen.calls,
            spend_usd=seen.spend_usd,
            seen_usd_per_min=seen.usd_per_min,
        ),
    )


def _culprit(seen: Disobedience, command: Command, coverage: Coverage, now_s: float) -> str:
    """Say who let the calls through: as the events name it, else as the gateways' reports suggest."""
    what = "kill" if command.state is State.KILLED else "hold"
    others = coverage.disobeying(command.kill_id, now_s)
    if seen.gateways:
        known = {gateway: others[gateway] for gateway in seen.gateways if gateway in others}
        return f"{what} not obeyed by {', '.join([*named(known), *(g for g in seen.gateways if g not in known)])}"
    if others:
        return f"{what} not obeyed by {', '.join(named(others))}"
    if not coverage.live(now_s):
        return f"{what} not obeyed, and no gateway has reported"
    return f"{what} not obeyed, though {coverage.text(command.kill_id, now_s)}: the calls go around the gateways"
