"""What travels on the kill topic: nothing is believed that wasn't signed for this scope by this role."""

import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing import APPROVER, COMMANDER, DETECTOR, STRANGER, TRUST, command, heartbeat

from alerts.gateway.book import Book
from alerts.gateway.keys import Role, SigningKey, Trust, write_keys
from alerts.gateway.wire import SCOPE_KINDS, Command, State, WireError, scope_of, split_scope

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=60)
scopes = st.builds(scope_of, st.sampled_from(sorted(SCOPE_KINDS)), names)
commands = st.builds(
    command,
    scope=scopes,
    state=st.sampled_from(State),
    seq=st.integers(0, 2**53),
    epoch=st.integers(0, 2**53),
    expires_at=st.just(msgspec.UNSET) | st.floats(0, 1e12),
    reason=st.text(max_size=200).filter(lambda text: text.isprintable()),
    evidence=st.dictionaries(names, st.floats(0, 1e9) | names, max_size=4),
    models=st.dictionaries(names, names, max_size=3),
)


@given(commands)
def test_a_signed_command_is_read_as_it_was_written(written: Command) -> None:
    assert TRUST.verify(APPROVER.sign(written), written.scope).payload == written


@given(commands, st.data())
def test_no_byte_of_a_record_can_be_changed_to_another_command(written: Command, data: st.DataObject) -> None:
    value = bytearray(APPROVER.sign(written))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = TRUST.verify(bytes(value), written.scope).payload
    except WireError:
        return
    assert read == written


@given(st.binary(max_size=300))
def test_garbage_is_refused_in_one_way(value: bytes) -> None:
    with pytest.raises(WireError):
        TRUST.verify(value, "agent:a")


@given(st.sampled_from(sorted(SCOPE_KINDS)), names)
def test_a_scope_splits_into_what_it_was_joined_from(kind: str, name: str) -> None:
    assert split_scope(scope_of(kind, name)) == (kind, name)


@pytest.mark.parametrize("scope", ["agent", "agent:", ":a", "pod:a", "agent:a\nb", "agent:" + "a" * 600])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(WireError):
        split_scope(scope)


@pytest.mark.parametrize(
    ("key", "signed", "found_under"),
    [
        (DETECTOR, command(state=State.RELEASED), "agent:a"),
        (DETECTOR, command("global:all"), "global:all"),
        (COMMANDER, command(), "agent:a"),
        (STRANGER, command(), "agent:a"),
        (APPROVER, command(), "agent:b"),
        (APPROVER, command(v=2), "agent:a"),
    ],
)
def test_no_key_can_do_more_than_its_role(key: SigningKey, signed: Command, found_under: str) -> None:
    with pytest.raises(WireError):
        TRUST.verify(key.sign(signed), found_under)


def test_a_heartbeat_stands_under_its_own_key_only() -> None:
    with pytest.raises(WireError):
        TRUST.verify(heartbeat(Book(), 100.0), "agent:a")


def test_an_oversized_record_is_refused_unread() -> None:
    with pytest.raises(WireError, match="oversized"):
        TRUST.verify(b"{" * 70_000, "agent:a")


def test_key_files_are_private_complete_and_never_replaced(tmp_path: Path) -> None:
    paths = {path.name: path for path in write_keys(tmp_path / "keys")}

    trust = Trust.parse(paths["trust.json"].read_bytes())
    for role in Role:
        path = paths[f"{role}.key"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = SigningKey.parse(path.read_text())
        assert key.role is role
    assert b"private" not in paths["trust.json"].read_bytes()
    approver = SigningKey.parse(paths["approver.key"].read_bytes())
    assert trust.verify(approver.sign(command()), "agent:a").role is Role.APPROVER
    with pytest.raises(FileExistsError):
        write_keys(tmp_path / "keys")
