"""What goes wrong: one function a behaviour, each from its onset until somebody stops it."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from streams.simulate.calls import Call, Run, Start, around, latency, run_name
from streams.simulate.fleet import HOUR_S, KINDS, Agent, make_agent, usual

DEAR_MODEL = "claude-opus-4-1"
FANOUT_RUNS_MAX = 400


class Episode(Struct, frozen=True):
    """The truth about one runaway: which scopes ran away, and when (Unix seconds)."""

    id: str
    kind: str
    agent: str
    team: str
    start_s: float
    end_s: float


Source = Callable[[Agent, Episode], Iterator[Start]]


def _step(agent: Agent, rng: Random, episode: Episode, at_s: float, run: str, step: int, input_tokens: int) -> Call:
    output = around(rng, KINDS[agent.kind].output_tokens, 0.3)
    return Call(
        at_s=at_s,
        agent=agent.name,
        team=agent.team,
        model=agent.model,
        run=run,
        step=step,
        input_tokens=input_tokens,
        output_tokens=output,
        latency_ms=latency(rng, output),
        prompt_hash=f"{rng.getrandbits(64):016x}",
        episode=episode.id,
    )


def loop(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Make the same call again and again, about two a second."""
    yield episode.start_s, _repeating(agent, episode, gap_s=0.5)


def slow_loop(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Repeat one call at three times the agent's usual rate."""
    kind = KINDS[agent.kind]
    calls_per_min = kind.runs_per_min * agent.pace * sum(kind.steps) / 2
    yield episode.start_s, _repeating(agent, episode, gap_s=60.0 / (3 * calls_per_min))


def _repeating(agent: Agent, episode: Episode, gap_s: float) -> Run:
    rng = agent.rng(episode.id)
    run, size, digest = run_name(rng), around(rng, 2.5 * KINDS[agent.kind].input_tokens), f"{rng.getrandbits(64):016x}"
    now_s, step = episode.start_s, 0
    while (now_s := now_s + (waited_s := gap_s * rng.uniform(0.5, 1.5))) < episode.end_s:
        call = _step(agent, rng, episode, now_s, run, step, round(size * rng.uniform(0.999, 1.001)))
        # A loop waits for each answer before it asks again.
        latency_ms = min(call.latency_ms, round(900 * waited_s))
        yield replace(call, prompt_hash=digest, cached_tokens=round(size * 0.9) if step else 0, latency_ms=latency_ms)
        step += 1


def snowball(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Hand every answer on as the next input, ever larger."""

    def calls() -> Run:
        rng = agent.rng(episode.id)
        run, context, now_s, step = run_name(rng), 6_000.0, episode.start_s, 0
        while (now_s := now_s + rng.uniform(1.5, 4.0)) < episode.end_s:
            yield _step(agent, rng, episode, now_s, run, step, round(context))
            context = min(900_000.0, context * rng.uniform(1.08, 1.16) + 500)
            step += 1

    yield episode.start_s, calls()


def fanout(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Spawn helpers that spawn helpers, each an agent by its own name."""
    rng = agent.rng(episode.id)
    waiting: list[tuple[float, int, str]] = [(episode.start_s, 0, "")]
    born = 0
    while waiting and born < FANOUT_RUNS_MAX:
        start_s, depth, parent = heappop(waiting)
        if start_s >= episode.end_s:
            continue
        run = run_name(rng)
        name = agent.name if born == 0 else f"{agent.name}/helper-{born}"
        yield start_s, _helper(replace(agent, name=name), episode, start_s, run, parent)
        born += 1
        for _ in range(rng.randint(2, 3) if depth < 8 else 0):
            heappush(waiting, (start_s + rng.uniform(8.0, 25.0), depth + 1, run))


def _helper(agent: Agent, episode: Episode, start_s: float, run: str, parent: str) -> Run:
    rng = agent.rng(run)
    now_s = start_s
    for step in range(rng.randint(6, 16)):
        now_s += rng.uniform(2.0, 8.0)
        if now_s >= episode.end_s:
            return
        size = around(rng, 9_000 + 1_500 * step, 0.2)
        yield replace(_step(agent, rng, episode, now_s, run, step, size), parent_run=parent)


def retry_storm(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Retry a failing call at once, without end."""

    def calls() -> Run:
        rng = agent.rng(episode.id)
        run, size = run_name(rng), around(rng, 2 * KINDS[agent.kind].input_tokens)
        now_s, step = episode.start_s, 0
        while (now_s := now_s + rng.uniform(0.05, 0.3)) < episode.end_s:
            status = rng.choice(("error_429", "error_5xx", "error_5xx", "timeout")) if rng.random() < 0.95 else "ok"
            call = _step(agent, rng, episode, now_s, run, step, size)
            yield replace(call, status=status, output_tokens=call.output_tokens if status == "ok" else 0)
            step += 1

    yield episode.start_s, calls()


def slow_burn(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Do a little more each hour: five percent, compounding."""
    hours = max(1, round((episode.end_s - episode.start_s) / HOUR_S))
    for hour in range(hours):
        begin_s = episode.start_s + hour * HOUR_S
        end_s = min(episode.end_s, begin_s + HOUR_S)
        yield from _marked(usual(agent, f"{episode.id}/{hour}", begin_s, end_s, 1.05 ** (hour + 1) - 1), episode)


def rise(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Do sixty percent more than usual: one agent's share of a rising team."""
    return _marked(usual(agent, episode.id, episode.start_s, episode.end_s, 0.6), episode)


def cold_start(agent: Agent, episode: Episode) -> Iterator[Start]:
    """Appear for the first time, and run away from the first minute."""
    newcomer = make_agent(int(agent.seed), episode.agent, agent.team, "coder")
    for worker in range(3):
        yield episode.start_s, _busy(newcomer, episode, worker)


def _busy(agent: Agent, episode: Episode, worker: int) -> Run:
    rng = agent.rng(f"{episode.id}/{worker}")
    run, now_s, step = run_name(rng), episode.start_s, 0
    while (now_s := now_s + rng.uniform(0.5, 2.0)) < episode.end_s:
        yield _step(agent, rng, episode, now_s, run, step, around(rng, 40_000, 0.3))
        step += 1


def _marked(starts: Iterator[Start], episode: Episode) -> Iterator[Start]:
    for start_s, run in starts:
        yield start_s, (replace(call, episode=episode.id) for call in run)


def swapped(starts: Iterator[Start], episode: Episode) -> Iterator[Start]:
    """Have an agent's ordinary runs use a model that is ten times as dear, while the episode lasts."""

    def calls(run: Run) -> Run:
        for call in run:
            within = episode.start_s <= call.at_s < episode.end_s
            yield replace(call, model=DEAR_MODEL, episode=episode.id) if within else call

    for start_s, run in starts:
        yield start_s, calls(run)


SOURCES: dict[str, Source] = {
    "loop": loop,
    "slow_loop": slow_loop,
    "snowball": snowball,
    "fanout": fanout,
    "retry_storm": retry_storm,
    "slow_burn": slow_burn,
    "team_rise": rise,
    "cold_start": cold_start,
}
RUNAWAYS = (*SOURCES, "model_swap")
VICTIMS = {"model_swap": ("service", "chat"), "slow_loop": ("service", "chat"), "slow_burn": ("service", "chat")}
"""Kinds of agents that a behaviour happens to; any but batch jobs if not named."""
