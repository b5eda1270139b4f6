"""The agents of a fleet and what they do on an ordinary day."""

from collections.abc import Iterator
from heapq import merge
from itertools import count
from math import cos, pi
from random import Random

from msgspec import Struct

from streams.simulate.calls import Call, Run, Start, around, latency, run_name

HOUR_S = 3_600.0
DAY_S = 86_400.0


class Kind(Struct, frozen=True):
    """What agents of a kind have in common; sizes are medians, `rhythm` is how far nights differ from days (0 to 1)."""

    share: float
    runs_per_min: float
    steps: tuple[int, int]
    gap_s: float
    input_tokens: int
    growth_tokens: int
    output_tokens: int
    cached: float
    models: tuple[str, ...]
    rhythm: float = 0.0
    helpers: float = 0.0
    """Chance that a run calls in a helper run."""


KINDS = {
    "service": Kind(0.35, 5.0, (1, 2), 1.5, 700, 200, 90, 0.3, ("gpt-4.1-nano", "gpt-4o-mini")),
    "chat": Kind(0.35, 1.5, (1, 5), 25.0, 1_200, 400, 300, 0.5, ("gpt-4o-mini", "gpt-4.1-mini"), rhythm=0.6),
    "coder": Kind(0.2, 0.06, (8, 45), 9.0, 14_000, 1_800, 450, 0.85, ("claude-sonnet-4-5",), rhythm=0.7, helpers=0.25),
    "batch": Kind(0.1, 3.0, (6, 14), 3.0, 5_000, 900, 350, 0.6, ("gpt-4.1-mini", "gpt-4o")),
}


class Agent(Struct, frozen=True):
    """One agent: `pace` and `size` are how it differs from others of its kind, `skew_s` how wrong its clock is."""

    name: str
    team: str
    kind: str
    model: str
    pace: float
    size: float
    skew_s: float
    seed: str

    def rng(self, purpose: str) -> Random:
        """Return the agent's own source of chance for a purpose: what others do doesn't change it."""
        return Random(f"{self.seed}/{self.name}/{purpose}")


def make_fleet(seed: int, agents: int, teams: int) -> list[Agent]:
    """Return `agents` agents of all kinds, spread over `teams` teams."""
    names = {kind: count(1) for kind in KINDS}
    kinds = [kind for kind, traits in KINDS.items() for _ in range(round(traits.share * agents))][:agents]
    kinds += ["service"] * (agents - len(kinds))
    Random(f"{seed}/fleet").shuffle(kinds)
    return [
        make_agent(seed, f"{kind}-{next(names[kind])}", f"team-{index % teams + 1}", kind)
        for index, kind in enumerate(kinds)
    ]


def make_agent(seed: int, name: str, team: str, kind: str) -> Agent:
    """Draw an agent's traits from its name."""
    rng = Random(f"{seed}/{name}")
    return Agent(
        name=name,
        team=team,
        kind=kind,
        model=rng.choice(KINDS[kind].models),
        pace=rng.lognormvariate(0.0, 0.4),
        size=rng.lognormvariate(0.0, 0.3),
        skew_s=rng.uniform(-60.0, 60.0) if rng.random() < 0.05 else 0.0,
        seed=str(seed),
    )


def usual(agent: Agent, purpose: str, start_s: float, end_s: float, factor: float = 1.0) -> Iterator[Start]:
    """Yield the agent's ordinary runs between two times, at `factor` times its usual pace."""
    rng = agent.rng(purpose)
    kind = KINDS[agent.kind]
    if agent.kind == "batch":
        yield from _batches(agent, rng, start_s, end_s, factor)
        return
    most_per_s = kind.runs_per_min * agent.pace * factor / 60.0
    now_s = start_s
    while (now_s := now_s + rng.expovariate(most_per_s)) < end_s:
        if rng.random() < day_share(now_s, kind.rhythm):
            yield from with_helpers(agent, rng, now_s)


def day_share(at_s: float, rhythm: float) -> float:
    """Return the share of the busiest hour's traffic at a time of the day; the afternoon is busiest.

    >>> day_share(14 * 3600.0, 0.6), round(day_share(2 * 3600.0, 0.6), 2)
    (1.0, 0.4)
    """
    return 1.0 - rhythm * (1.0 - cos((at_s % DAY_S - 14 * HOUR_S) / DAY_S * 2 * pi)) / 2


def _batches(agent: Agent, rng: Random, start_s: float, end_s: float, factor: float) -> Iterator[Start]:
    """A job that is silent for hours, then does everything at once; the same minute every six hours."""
    period_s = 6 * HOUR_S
    at_s = start_s - start_s % period_s + agent.rng("schedule").uniform(0.0, period_s)
    while at_s < end_s:
        runs = sorted(at_s + rng.uniform(0.0, 300.0) for _ in range(round(20 * agent.pace * factor)))
        for run_s in runs:
            if start_s <= run_s < end_s:
                yield run_s, conversation(agent, rng, run_s)
        at_s += period_s


def with_helpers(agent: Agent, rng: Random, start_s: float) -> list[Start]:
    """Return an ordinary run, and perhaps a helper run that it called in."""
    run = run_name(rng)
    starts: list[Start] = [(start_s, conversation(agent, Random(rng.getrandbits(64)), start_s, run))]
    if rng.random() < KINDS[agent.kind].helpers:
        helper = Random(rng.getrandbits(64))
        starts.append((start_s, conversation(agent, helper, start_s + 20.0, run_name(rng), parent=run, share=0.3)))
    return starts


def conversation(
    agent: Agent, rng: Random, start_s: float, run: str = "", *, parent: str = "", share: float = 1.0
) -> Run:
    """Yield the calls of one ordinary run: some steps, each with what was said before as its input."""
    kind = KINDS[agent.kind]
    run = run or run_name(rng)
    context = around(rng, kind.input_tokens * agent.size)
    cached, now_s = 0, start_s
    for step in range(max(1, round(rng.randint(*kind.steps) * share))):
        now_s += rng.expovariate(1.0 / kind.gap_s) + 0.4
        output = around(rng, kind.output_tokens, 0.8)
        status = "ok" if rng.random() > 0.006 else rng.choice(("error_429", "error_5xx", "timeout"))
        yield Call(
            at_s=now_s,
            agent=agent.name,
            team=agent.team,
            model=agent.model,
            run=run,
            step=step,
            parent_run=parent,
            input_tokens=context,
            cached_tokens=cached,
            output_tokens=output if status == "ok" else 0,
            status=status,
            latency_ms=latency(rng, output),
            prompt_hash=f"{rng.getrandbits(64):016x}",
        )
        cached = round(context * kind.cached)
        context += output + around(rng, kind.growth_tokens * agent.size, 0.8)
        if context > 160_000:
            context, cached = 30_000, 0


def in_order(*sources: Iterator[Start]) -> Iterator[Start]:
    """Merge sources of runs by their start."""
    return merge(*sources, key=lambda start: start[0])
