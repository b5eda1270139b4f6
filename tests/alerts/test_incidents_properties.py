"""Whatever happens in whatever order, what must hold of incidents holds."""

from hypothesis import given, settings
from hypothesis import strategies as st
from incident_life import decision

from alerts.decision import Action
from alerts.incident import CHAT, Act, Outcome, Status, decode_row, encode_row
from alerts.incidents import Book, Rules
from alerts.lifecycle import ALIASES_MAX, TIMELINE_MAX
from alerts.notices import Telling, due, told
from alerts.passing import tick

SCOPES = ("a", "b", "c", "d", "run:r", "team:x", "team:y", "global:all")
ACTIONS = st.sampled_from([action for action in Action if action is not Action.OBSERVE])
VERBS = st.sampled_from(["acknowledge", "snooze", "plan", "note"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), st.sampled_from(SCOPES), ACTIONS, st.booleans(), st.sampled_from(["x", "y", ""])),
        st.tuples(st.just("act"), st.sampled_from(SCOPES), VERBS),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 40.0, 1_000.0, 90_000.0])),
        st.tuples(st.just("tell")),
    ),
    max_size=60,
)


class Story:
    """Plays steps on a book whose rows are kept beside, as the notifier keeps them."""

    def __init__(self) -> None:
        self.book = Book(Rules(incidents_max=50))
        self.rows: dict[str, bytes] = {}
        self.now_s, self.offset = 1_000.0, 0

    def play(self, step: tuple) -> None:  # type: ignore[type-arg]
        match step:
            case ("decide", scope, action, shadow, team):
                self.offset += 1
                made = decision(scope, action, self.now_s, shadow=shadow, team=team, window_s=float(self.offset // 5))
                self._keep(self.book.decided(made, self.now_s, Outcome(1, self.offset), offset=self.offset))
            case ("act", scope, verb):
                incident = self.book.current(f"agent:{scope}" if ":" not in scope else scope)
                if incident:
                    act = Act(verb, incident.id, "slack:U1", "because", self.now_s + 100)
                    self._keep(self.book.acted(act, self.now_s))
            case ("wait", span_s):
                self.now_s += span_s
            case ("tell",):
                for notice in due(self.book, CHAT, Telling(), self.now_s):
                    incident = self.book.incidents[notice.incident]
                    self._keep(self.book.update(told(incident, CHAT, incident, ("C", "1"), self.now_s)))
        self._keep(tick(self.book, self.now_s))

    def _keep(self, names: set[str]) -> None:
        for name in names:
            incident = self.book.incidents.get(name)
            if incident is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = encode_row(incident)


def played(steps: list[tuple]) -> Story:  # type: ignore[type-arg]
    story = Story()
    for step in steps:
        story.play(step)
    return story


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_the_rows_say_all_that_the_book_knows(steps: list) -> None:  # type: ignore[type-arg]
    story = played(steps)
    restored = Book(story.book.rules, map(decode_row, story.rows.values()))

    assert restored.incidents == story.book.incidents
    for scope in {incident.scope for incident in restored.incidents.values()}:
        assert restored.current(scope) == story.book.current(scope)
    for name in restored.incidents:
        assert restored.members(name) == story.book.members(name)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_scope_has_one_active_incident_and_everything_is_bounded(steps: list) -> None:  # type: ignore[type-arg]
    book = played(steps).book
    active = [i.scope for i in book.incidents.values() if i.active and i.kind == "single"]

    assert len(active) == len(set(active))
    assert len(book.incidents) <= 50
    for incident in book.incidents.values():
        assert len(incident.timeline) <= TIMELINE_MAX
        assert len(incident.also) <= ALIASES_MAX
        assert incident.urgent <= incident.revision
        assert incident.status is not Status.RELEASED or not incident.in_force


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_every_active_incident_is_told_or_somebody_active_speaks_for_it(steps: list) -> None:  # type: ignore[type-arg]
    story = played(steps)
    story.play(("wait", 40.0))
    story.play(("tell",))

    for incident in story.book.incidents.values():
        speaker = story.book.incidents.get(incident.parent)
        if incident.active:
            assert CHAT in incident.deliveries or (speaker is not None and speaker.active)
        if speaker is not None:
            assert story.book.incidents.get(speaker.parent) != incident, "nobody speaks for who speaks for them"


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_telling_comes_to_rest(steps: list) -> None:  # type: ignore[type-arg]
    story = played(steps)
    for _ in range(4):
        story.play(("wait", 40.0))
        story.play(("tell",))

    assert [n for n in due(story.book, CHAT, Telling(), story.now_s + 31) if n.need != "nudge"] == []


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(0, 59))
def test_replayed_decisions_change_no_status(steps: list, since: int) -> None:  # type: ignore[type-arg]
    story = Story()
    decided = []
    for step in steps:
        story.play(step)
        if step[0] == "decide":
            decided.append((step, story.now_s, story.offset))
    before = {name: (i.status, i.in_force, i.revision) for name, i in story.book.incidents.items()}
    for (_, scope, action, shadow, team), at_s, offset in decided[since:]:
        made = decision(scope, action, at_s, shadow=shadow, team=team, window_s=float(offset // 5))
        if story.book.find(made.incident_id):
            story.book.decided(made, story.now_s, Outcome(1, offset), offset=offset)

    after = {name: (i.status, i.in_force, i.revision) for name, i in story.book.incidents.items()}
    assert after == before
