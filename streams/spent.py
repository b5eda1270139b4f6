"""PURE: what a scope has spent, and since when, for the people who read of it."""

from detectors.contract import Call, RunTrack
from detectors.state import JudgeState, family
from detectors.verdict import Verdict
from streams.rows import AgentRow
from streams.windows import MINUTE_S


def tracks_of(root: str, agent: str, state: JudgeState) -> list[RunTrack]:
    """Return what is known of a run and of its sub-runs of the same agent."""
    if family(agent) not in state.agents:
        return []
    runs, tree = state.agents.peek(family(agent)).runs, state.trees.get(root)
    members = [root] if tree is None else tree.depths
    return [runs[member] for member in members if member in runs]


def spent_of(verdict: Verdict, call: Call, row: AgentRow, state: JudgeState) -> tuple[float, float]:
    """Return (dollars, Unix seconds): of a run since it began, of an agent since the minute the verdict's window began.

    Zeros where nothing is known.
    """
    kind, _, name = verdict.scope.partition(":")
    tracks = tracks_of(name, call.agent, state) if kind == "run" else []
    if tracks:
        return sum(track.spend_micro_usd for track in tracks) / 1e6, min(track.first_s for track in tracks)
    minutes = row.ledger.minutes
    starts = [start_s for start_s in minutes if start_s + MINUTE_S > verdict.window_start_s]
    return sum(minutes[start_s].micro_usd for start_s in starts) / 1e6, float(min(starts, default=0))
