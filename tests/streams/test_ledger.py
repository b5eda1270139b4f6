"""What is delivered next, and how far a partition may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from streams.ledger import Ledger, Verdict


class Message:
    def __init__(self) -> None:
        self.acked = False


def opened(position: int) -> Ledger:
    ledger = Ledger()
    ledger.open(position)
    return ledger


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=30))
def test_a_commit_is_the_end_of_the_acked_prefix(ranges: list[tuple[int, bool]]) -> None:
    ledger, position, prefix, whole = opened(7), 7, None, True
    for size, acked in ranges:
        message, position = Message(), position + size
        ledger.deliver(message, position)
        message.acked = acked
        whole = whole and acked
        prefix = position if whole else prefix

    assert ledger.committable == prefix
    assert ledger.done == (7 if prefix is None else prefix)


def test_a_range_fetched_before_a_seek_is_not_delivered_after_it() -> None:
    ledger = opened(0)
    ledger.deliver(Message(), 100)

    ledger.open(0)

    assert ledger.judge(100) is Verdict.REWIND
    assert ledger.judge(0) is Verdict.DELIVER


def test_a_range_is_not_delivered_past_one_that_was_dropped() -> None:
    ledger = opened(0)

    assert ledger.judge(100) is Verdict.REWIND
    assert ledger.position == 0


def test_offsets_that_the_broker_no_longer_has_are_passed_over_when_they_are_still_missing_after_going_back() -> None:
    ledger = opened(0)

    assert [ledger.judge(100), ledger.judge(100)] == [Verdict.REWIND, Verdict.DELIVER]


def test_the_ack_of_a_forgotten_delivery_does_not_count() -> None:
    ledger, forgotten, again = opened(0), Message(), Message()
    ledger.deliver(forgotten, 100)
    ledger.open(0)
    ledger.deliver(again, 100)

    forgotten.acked = True

    assert ledger.committable is None


def test_a_range_without_records_needs_no_ack() -> None:
    ledger, message = opened(0), Message()
    ledger.deliver(message, 10)
    ledger.deliver(None, 12)
    message.acked = True

    assert ledger.committable == 12


def test_nothing_is_delivered_or_committed_while_closed() -> None:
    ledger, message = opened(0), Message()
    ledger.deliver(message, 10)
    message.acked = True
    ledger.close()

    assert ledger.judge(10) is Verdict.DROP
    assert ledger.committable is None
    assert ledger.done is None
