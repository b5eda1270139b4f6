"""A command read back from the kill topic says what its decision said."""

from incident_life import decision

from alerts.decision import Action
from alerts.gateway.wire import Command, State
from alerts.incident import Outcome
from alerts.observed import as_decision


def test_a_command_becomes_the_decision_it_carries_out() -> None:
    made = decision(expires_s=900.0, team="data")
    command = Command(
        v=1,
        env="test",
        scope=made.scope,
        state=State.KILLED,
        epoch=3,
        seq=9,
        writer="w",
        issued_at=100.0,
        reason=made.reason,
        incident_id=made.incident_id,
        actor="detector",
        expires_at=900.0,
        evidence={"team": "data", "detector": "surge", "unknown": 1},
    )
    found, outcome = as_decision(command)

    assert outcome == Outcome(3, 9, 900.0)
    assert (found.action, found.incident_id, found.reason) == (Action.KILL, made.incident_id, made.reason)
    assert (found.evidence.team, found.detector) == ("data", "surge")
