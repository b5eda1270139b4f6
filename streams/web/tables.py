"""The dear questions, answered at most once in two seconds however many ask."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from streams.web.accounts import Dimension, Span, Statement
from streams.web.board import Board
from streams.web.standing import Level, Stands
from streams.web.table import Row, Sheet, Show, Wanted, agents_in, choices, lately, runs_of, sheet, teams_of

SHEETS_MAX = 64
TURN_S = 2.0


class Crowd(Struct, frozen=True):
    """All agents at one time."""

    turn: int
    rows: tuple[Row, ...]
    runs: tuple[Row, ...]
    stands: Stands
    usd_per_min: float
    usual_usd_per_min: float
    spark: tuple[float, ...]
    """What all spent, by minute."""
    counts: Mapping[Level, int]
    choices: Mapping[str, tuple[str, ...]]


class Tables:
    """Remembers the answers of this turn of two seconds."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._crowd: Crowd | None = None
        self._sheets: dict[Wanted, Sheet] = {}
        self._statements: dict[tuple[Dimension, Span], tuple[int, Statement]] = {}

    def crowd(self, now_s: float) -> Crowd:
        """Return everybody."""
        if self._crowd is None or self._crowd.turn != int(now_s / TURN_S):
            self._crowd = _crowd(self._board, now_s)
            self._sheets.clear()
        return self._crowd

    def sheet(self, wanted: Wanted, now_s: float) -> Sheet:
        """Return a page of the table."""
        crowd = self.crowd(now_s)
        found = self._sheets.get(wanted)
        if found is None:
            if len(self._sheets) >= SHEETS_MAX:
                self._sheets.clear()
            rows = self._rows(crowd, wanted.show)
            found = self._sheets[wanted] = sheet(self._board, rows, wanted, now_s)
        return found

    def _rows(self, crowd: Crowd, show: Show) -> Sequence[Row]:
        if show == "teams":
            return teams_of(self._board, crowd.rows, crowd.stands)
        return {"agents": crowd.rows, "runs": crowd.runs}.get(show, crowd.rows + crowd.runs)

    def statement(self, by: Dimension, span: Span, now_s: float) -> Statement:
        """Return who spent how much; a statement changes each few seconds at most."""
        at_s, found = self._statements.get((by, span), (0, None))
        if found is None or int(now_s) - at_s >= 5:
            found = self._board.accounts.statement(by, span, now_s)
            self._statements[by, span] = (int(now_s), found)
        return found


def _crowd(board: Board, now_s: float) -> Crowd:
    agents = board.agents
    stands = Stands(board, now_s)
    rows = tuple(agents_in(board, stands, now_s))
    counts: dict[Level, int] = {}
    for row in rows:
        counts[row.stand.level] = counts.get(row.stand.level, 0) + 1
    usual = sum(agent.usual_usd_per_min for agent in agents.known.values())
    total = sum(row.usd_per_min for row in rows)
    spark = lately(board, agents.known, total, now_s)
    runs = tuple(runs_of(board, stands, now_s))
    return Crowd(int(now_s / TURN_S), rows, runs, stands, total, usual, spark, counts, choices(board))
