"""What looks like a runaway and is none: nobody may be killed for it."""

from collections.abc import Callable, Iterator
from random import Random

from msgspec.structs import replace

from streams.simulate.calls import Call, Run, Start, run_name
from streams.simulate.fleet import KINDS, Agent, make_agent, usual


def deploy(fleet: list[Agent], start_s: float, end_s: float) -> Iterator[Iterator[Start]]:
    """Everybody does twice the usual for ten minutes."""
    until_s = min(end_s, start_s + 600.0)
    return (usual(agent, "deploy", start_s, until_s) for agent in fleet if agent.kind != "batch")


def huge_document(fleet: list[Agent], start_s: float, _end_s: float) -> Iterator[Iterator[Start]]:
    """One call of one agent with a whole book in it."""
    agent = next((each for each in fleet if each.kind == "chat"), fleet[0])
    yield iter([(start_s, _book(agent, start_s))])


def _book(agent: Agent, at_s: float) -> Run:
    rng = agent.rng("book")
    yield Call(
        at_s=at_s,
        agent=agent.name,
        team=agent.team,
        model=agent.model,
        run=run_name(rng),
        step=0,
        input_tokens=120_000,
        output_tokens=2_000,
        latency_ms=24_000,
        prompt_hash=f"{rng.getrandbits(64):016x}",
    )


def newcomer(fleet: list[Agent], start_s: float, end_s: float) -> Iterator[Iterator[Start]]:
    """A new agent that behaves like others of its kind from the first minute."""
    for kind in ("service", "coder"):
        yield usual(make_agent(int(fleet[0].seed), f"{kind}-new", fleet[0].team, kind), "new", start_s, end_s)


def burst(fleet: list[Agent], start_s: float, end_s: float) -> Iterator[Iterator[Start]]:
    """A job that was silent so far works through its queue for five minutes."""
    agent = make_agent(int(fleet[0].seed), "job-1", fleet[0].team, "service")
    factor = 15.0 / KINDS["service"].runs_per_min
    yield usual(agent, "before", start_s - 1_800.0, start_s - 1_500.0, factor)
    yield usual(agent, "burst", start_s, min(end_s, start_s + 300.0), factor)


def brownout(starts: Iterator[Start], start_s: float, seed: int) -> Iterator[Start]:
    """A provider fails a third of all calls for five minutes."""
    rng = Random(f"{seed}/brownout")

    def calls(run: Run) -> Run:
        for call in run:
            fails = start_s <= call.at_s < start_s + 300.0 and rng.random() < 0.33
            yield replace(call, status="error_5xx", output_tokens=0) if fails else call

    for begin_s, run in starts:
        yield begin_s, calls(run)


ADDED: dict[str, Callable[[list[Agent], float, float], Iterator[Iterator[Start]]]] = {
    "deploy": deploy,
    "huge_document": huge_document,
    "newcomer": newcomer,
    "burst": burst,
}
LOOKALIKES = (*ADDED, "brownout")
