"""The table of agents, runs or teams: filtered, sorted by what they burn, and cut into pages."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct, structs

from alerts.decision import Evidence
from alerts.incident import Incident
from streams.attribution import Payer
from streams.web.agents import Agent
from streams.web.board import Board
from streams.web.standing import Level, Stand, Stands

PAGE = 50
SPARK_MIN = 30
CHOICES_MAX = 200
FACETS = ("team", "product", "environment", "model")
STATES: Mapping[str, Level] = {"stopped": Level.DOWNGRADED, "would": Level.WOULD, "watch": Level.WATCH}
"""What the state filter means: that level or worse."""


Kind = Literal["agent", "run", "team"]
Show = Literal["all", "agents", "runs", "teams"]
"""All is agents, and the runs that are stopped or that the judge looks askance at."""
SHOWS: Mapping[str, Show] = {"agents": "agents", "runs": "runs", "teams": "teams"}


class Wanted(Struct, frozen=True):
    """What the address asks for."""

    show: Show = "all"
    team: str = ""
    product: str = ""
    environment: str = ""
    model: str = ""
    state: str = ""
    q: str = ""
    sort: str = "burn"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wanted":
        """Read a query; what makes no sense is as if it weren't there."""
        told = {name: query.get(name, "")[:256] for name in (*FACETS, "state", "q")}
        page = query.get("page", "1")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
        sort = query.get("sort", "burn")
        return cls(
            **told,
            show=SHOWS.get(query.get("show", ""), "all"),
            sort=sort if sort in _SORTS else "burn",
            page=max(1, number),
        )

    def query(self, **changes: Any) -> dict[str, str]:
        """Return the address's query with changes; a change of anything else goes to the first page."""
        changed = structs.replace(self, **{"page": 1, **changes})
        usual = Wanted()
        fields = structs.asdict(changed)
        return {name: str(value) for name, value in fields.items() if value != getattr(usual, name)}


class Row(Struct, frozen=True):
    """One agent, or one run or team as if it were one, as the table shows it."""

    agent: Agent
    stand: Stand
    usd_per_min: float
    times: float
    """How many times the usual; 0 where nothing is usual yet."""
    score: float
    spark: tuple[float, ...] = ()
    members: tuple[str, ...] = ()
    """The agents of a team."""
    kind: Kind = "agent"
    owner: str = ""
    """The agent of a run."""

    @property
    def scope(self) -> str:
        """What the row is about."""
        return f"{self.kind}:{self.agent.name}"


class Sheet(Struct, frozen=True):
    """One page of the table."""

    rows: tuple[Row, ...]
    matching: int
    page: int
    pages: int


# Who is stopped burns nothing, and is what one looks for: it comes first.
_SORTS = {
    "burn": lambda row: (row.stand.level < Level.DOWNGRADED, -row.usd_per_min, row.agent.name),
    "times": lambda row: (-row.times, row.agent.name),
    "score": lambda row: (-row.score, -row.usd_per_min, row.agent.name),
    "state": lambda row: (-row.stand.level, -row.usd_per_min, row.agent.name),
    "name": lambda row: row.agent.name,
}


def sheet(board: Board, everybody: Iterable[Row], wanted: Wanted, now_s: float) -> Sheet:
    """Return the page of the table that is asked for."""
    found = sorted(_matching(everybody, wanted), key=_SORTS[wanted.sort])
    pages = max(1, -(-len(found) // PAGE))
    page = min(wanted.page, pages)
    shown = found[(page - 1) * PAGE : page * PAGE]
    drawn = tuple(structs.replace(row, spark=_spark(board, row, now_s)) for row in shown)
    return Sheet(drawn, len(found), page, pages)


def _spark(board: Board, row: Row, now_s: float) -> tuple[float, ...]:
    if row.kind == "run":
        return board.agents.runs.lately(row.agent.name, now_s, SPARK_MIN)
    return lately(board, row.members or [row.agent.name], row.usd_per_min, now_s)


def lately(board: Board, names: Iterable[str], usd_per_min: float, now_s: float) -> tuple[float, ...]:
    """Return the last minutes for a spark line; it ends in what is spent now, since the last minute isn't over."""
    return (*board.agents.minutes(names, now_s, SPARK_MIN)[:-1], usd_per_min)


def agents_in(board: Board, stands: Stands, now_s: float) -> list[Row]:
    """Return a row for each agent that called within the hour, or is stopped: however long it has been silent."""
    known, rates = board.agents.known, board.agents.usd_per_min(now_s)
    silent = [_silent(board, name, stands) for name in stands.stopped_agents() if name not in known]
    return [row_of(board, agent, stands, rates.get(agent.name, 0.0)) for agent in (*known.values(), *silent)]


def _silent(board: Board, name: str, stands: Stands) -> Agent:
    incident = board.book.find(stands.of(Agent(name, Payer())).incident)
    evidence = Evidence() if incident is None else incident.evidence
    return Agent(name, Payer(evidence.team, model=evidence.model), evidence.usual_usd_per_min)


def row_of(board: Board, agent: Agent, stands: Stands, usd_per_min: float) -> Row:
    """Return an agent's row, without its spark line."""
    scored = board.agents.score(agent.name)
    usual = agent.usual_usd_per_min
    return Row(
        agent,
        stands.of(agent),
        usd_per_min,
        usd_per_min / usual if usual > 0 else 0.0,
        scored.value if scored else 0.0,
    )


def runs_of(board: Board, stands: Stands, now_s: float) -> list[Row]:
    """Return a row for each run that is stopped, in an incident, or lately spoken of by the judge."""
    owners = {name: run.agent for name, run in board.agents.runs.known.items()} | stands.agent_of
    stood = ((name, owner, stands.of_run(name)) for name, owner in owners.items())
    return [_run(board, name, owner, stand, now_s) for name, owner, stand in stood if stand.level > Level.OK]


def _run(board: Board, name: str, owner: str, stand: Stand, now_s: float) -> Row:
    agent, scored = board.agents.known.get(owner), board.agents.scores.get(f"run:{name}")
    payer, usual = (Payer(), 0.0) if agent is None else (agent.payer, agent.usual_usd_per_min)
    usd = board.agents.runs.usd_per_min(name, now_s)
    return Row(
        Agent(name, payer, usual),
        stand,
        usd,
        usd / usual if usual > 0 else 0.0,
        scored.value if scored else 0.0,
        kind="run",
        owner=owner,
    )


def teams_of(board: Board, everybody: Iterable[Row], stands: Stands) -> list[Row]:
    """Return a row for each team: its agents' sums, and where the team itself stands."""
    members: dict[str, list[Row]] = {}
    for row in everybody:
        if row.agent.payer.team:
            members.setdefault(row.agent.payer.team, []).append(row)
    return [_team(board, team, rows, stands) for team, rows in members.items()]


def _team(board: Board, team: str, rows: list[Row], stands: Stands) -> Row:
    usd, usual = sum(row.usd_per_min for row in rows), sum(row.agent.usual_usd_per_min for row in rows)
    scored = board.agents.scores.get(f"team:{team}")
    return Row(
        Agent(team, Payer(team), usual),
        stands.of_scope(f"team:{team}"),
        usd,
        usd / usual if usual > 0 else 0.0,
        scored.value if scored else 0.0,
        members=tuple(row.agent.name for row in rows),
        kind="team",
    )


def _matching(rows: Iterable[Row], wanted: Wanted) -> Iterator[Row]:
    least = STATES.get(wanted.state, Level.OK)
    text = wanted.q.lower()
    facets = [(name, value) for name in FACETS if (value := getattr(wanted, name))]
    for row in rows:
        payer = row.agent.payer
        if row.stand.level < least or any(getattr(payer, name) != value for name, value in facets):
            continue
        if text and all(text not in name.lower() for name in (row.agent.name, row.owner, payer.team)):
            continue
        yield row


def choices(board: Board) -> dict[str, tuple[str, ...]]:
    """Return what there is to filter by."""
    found: dict[str, set[str]] = {name: set() for name in FACETS}
    for agent in board.agents.known.values():
        for name in FACETS:
            found[name].add(getattr(agent.payer, name))
    return {name: tuple(sorted(values - {""}))[:CHOICES_MAX] for name, values in found.items()}


def agents_of(board: Board, incident: Incident) -> list[str]:
    """Return the agents that an incident is about, for its chart."""
    kind, _, name = incident.scope.partition(":")
    if kind == "agent":
        return [name]
    if kind == "team":
        return [agent.name for agent in board.agents.known.values() if agent.payer.team == name]
    if incident.scope == "global:all":
        return list(board.agents.known)
    return [incident.evidence.agent] if incident.evidence.agent else []
