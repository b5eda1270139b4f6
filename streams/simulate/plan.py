"""What is to be simulated, and the whole of it as one stream."""

from collections.abc import Iterator
from random import Random

from msgspec import Struct, structs

from streams.simulate.calls import Start, weave
from streams.simulate.fleet import Agent, in_order, make_fleet, usual
from streams.simulate.lookalikes import ADDED, LOOKALIKES, brownout
from streams.simulate.runaways import RUNAWAYS, SOURCES, VICTIMS, Episode, swapped
from streams.simulate.wire import Labelled, delivered

MONDAY_MORNING_S = 1_767_603_600.0
"""2026-01-05, 09:00 UTC."""


class Plan(Struct, frozen=True, kw_only=True):
    """A simulation, reproducible from these values alone.

    The runaways begin one after another from `onset_min` on (by default after 40 % of the time) and go on for
    `episode_min` minutes or to the end. `pace` multiplies the ordinary rate of everybody.
    Raises ValueError for an unknown kind.
    """

    seed: int = 1
    agents: int = 40
    teams: int = 4
    minutes: float = 60.0
    start_s: float = MONDAY_MORNING_S
    runaways: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()
    onset_min: float | None = None
    episode_min: float = 1e9
    pace: float = 1.0
    victims: tuple[str, ...] = ()
    """Kinds of agents that run away; without it those that the runaway befits."""
    models: tuple[tuple[str, str], ...] = ()
    """Models that all agents of a kind use: (kind, model)."""

    def __post_init__(self) -> None:
        for kind, known in ((set(self.runaways), RUNAWAYS), (set(self.lookalikes), LOOKALIKES)):
            if unknown := kind - set(known):
                raise ValueError(f"{', '.join(sorted(unknown))}: no such kind; known: {', '.join(known)}")
        if self.agents < 1 or self.teams < 1 or self.minutes <= 0 or self.pace <= 0:
            raise ValueError("agents, teams, minutes and pace must be positive")

    @property
    def end_s(self) -> float:
        """When the simulation ends, in Unix seconds."""
        return self.start_s + self.minutes * 60.0


def fleet_of(plan: Plan) -> list[Agent]:
    """Return the agents of the plan."""
    models = dict(plan.models)
    fleet = make_fleet(plan.seed, plan.agents, plan.teams)
    return [structs.replace(agent, model=models.get(agent.kind, agent.model)) for agent in fleet]


def episodes(plan: Plan) -> list[Episode]:
    """Return the truth: one episode for each runaway of the plan."""
    return [episode for episode, _ in _cast(plan, fleet_of(plan))]


def simulate(plan: Plan) -> Iterator[Labelled]:
    """Yield the events of the plan in ingest order, each with its label."""
    fleet = fleet_of(plan)
    cast = _cast(plan, fleet)
    swaps = {victim.name: episode for episode, victim in cast if episode.kind == "model_swap"}
    sources = [_ordinary(agent, plan, swaps) for agent in fleet]
    sources += [source for episode, victim in cast for source in _gone_wrong(episode, victim, fleet)]
    at_s = plan.start_s + plan.minutes * 30.0
    for kind in plan.lookalikes:
        if kind in ADDED:
            sources += ADDED[kind](fleet, at_s, plan.end_s)
    starts = in_order(*sources)
    if "brownout" in plan.lookalikes:
        starts = brownout(starts, at_s, plan.seed)
    calls = (call for call in weave(starts) if plan.start_s <= call.at_s < plan.end_s)
    return delivered(calls, plan.seed, {agent.name: agent.skew_s for agent in fleet})


def _ordinary(agent: Agent, plan: Plan, swaps: dict[str, Episode]) -> Iterator[Start]:
    starts = usual(agent, "usual", plan.start_s, plan.end_s, plan.pace)
    return swapped(starts, swaps[agent.name]) if agent.name in swaps else starts


def _gone_wrong(episode: Episode, victim: Agent, fleet: list[Agent]) -> Iterator[Iterator[Start]]:
    if episode.kind == "model_swap":
        return
    members = [agent for agent in fleet if agent.team == victim.team] if episode.kind == "team_rise" else [victim]
    for member in members:
        yield SOURCES[episode.kind](member, episode)


def _cast(plan: Plan, fleet: list[Agent]) -> list[tuple[Episode, Agent]]:
    """Choose a victim for every runaway, as few twice as possible."""
    rng = Random(f"{plan.seed}/cast")
    free = rng.sample(fleet, len(fleet))
    first_s = plan.start_s + (plan.minutes * 0.4 if plan.onset_min is None else plan.onset_min) * 60.0
    apart_s = max(0.0, plan.end_s - first_s) / (2 * max(1, len(plan.runaways)))
    cast = []
    for index, kind in enumerate(plan.runaways):
        wanted = plan.victims or VICTIMS.get(kind, ("service", "chat", "coder"))
        victim = next((agent for agent in free if agent.kind in wanted), rng.choice(fleet))
        free = [agent for agent in free if agent is not victim]
        start_s = first_s + index * apart_s
        name = f"newcomer-{index + 1}" if kind == "cold_start" else victim.name
        end_s = min(plan.end_s, start_s + plan.episode_min * 60.0)
        cast.append((Episode(f"{kind}-{index + 1}", kind, name, victim.team, start_s, end_s), victim))
    return cast
