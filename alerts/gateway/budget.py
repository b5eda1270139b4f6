"""What the limits topic says, and what is used of it: whether a call may be afforded. Pure: it is told the time."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, structs

from .accounts import Caller, Over, Ticket, Use, over_text, until_s
from .ceilings import Ceilings
from .identity import ALLOWED, Answer, Denial
from .keys import Trust
from .limits import RULES_KEY, Gate, PriceTable, Rules, Shares, changed, digest, read
from .pricing import PriceList, Tokens
from .snapshot import Record, Used, seal, unseal
from .wire import Command

OUTPUT_TOKENS = 4_096
RELEASES_MAX = 50_000
REPORT_MAX, LAST_REPORT_MAX = 500, 5_000


class Load(Struct, frozen=True, gc=False):
    """What a call is thought to take before it goes out: its tokens at most, as far as its adapter can tell."""

    input_tokens: int = 4_096
    output_tokens: int = OUTPUT_TOKENS
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    tools: tuple[str, ...] | None = None
    """What it offers its model; None if that isn't known."""

    @property
    def takes(self) -> bool:
        """Whether a model is called at all; a list of models, say, takes nothing."""
        return self.input_tokens + self.output_tokens > 0


USUAL = Load()
NOTHING = Load(0, 0)


class Budget:
    """The rules in force, this gateway's shares, and the accounts. A gateway without shares may use nothing."""

    def __init__(self, env: str, trust: Trust, gateway: str = "") -> None:
        self.gateway = gateway
        self.rules: Rules | None = None
        self.gates: tuple[Gate, ...] = ()
        """The gates in force."""
        self.shares: Shares | None = None
        self.prices = PriceList()
        self.ceilings = Ceilings(usual=0.0)
        self.digest = ""
        self.reserved = self.settled = self.released = 0
        self.refused: Counter[str] = Counter()
        """Calls refused, by the name of the limit."""
        # The order of the last release of each scope that the accounts have heard of.
        self._released: dict[str, tuple[int, int]] = {}
        self._env = env
        self._trust = trust
        self._orders: dict[str, tuple[int, int]] = {}
        self._values: dict[str, bytes] = {}
        self._tables: dict[int, PriceTable] = {}

    @property
    def active(self) -> bool:
        """Whether there is anything that a call has to be checked against."""
        return self.ceilings.active

    @property
    def open_calls(self) -> int:
        """Calls that have reserved and aren't settled."""
        return self.reserved - self.settled

    @property
    def changes(self) -> int:
        """Rises with each call that reserves or settles, and with each release."""
        return self.reserved + self.settled + self.released

    @property
    def is_shared(self) -> bool:
        """Whether it knows what it may use."""
        return self.shares is not None or not self.ceilings.active

    def apply(self, key: str, value: bytes | None) -> bool:
        """Take in a record of the limits topic; tell whether it changed anything. Raises WireError.

        A tombstone carries no authority, and another gateway's shares are its own.
        """
        if value is None or (key.startswith("shares:") and key != f"shares:{self.gateway}"):
            return False
        payload = read(self._trust, value, key, self._env)
        order = (payload.epoch, payload.seq)
        if order <= self._orders.get(key, (-1, -1)):
            return False
        self._orders[key], self._values[key] = order, value
        match payload:
            case Rules():
                self.rules, self.gates = payload, payload.gates
                self.digest = digest(payload)
                self.ceilings.change(payload.limits)
            case Shares():
                before, self.shares = self.shares, payload
                self.ceilings.reshare(payload.usual, payload.shares, changed(before, payload))
            case PriceTable():
                self._tables[payload.part] = payload
        if not isinstance(payload, Shares):
            models = {name: price for table in self._tables.values() for name, price in table.models.items()}
            self.prices = PriceList(models, self.rules.unknown) if self.rules else PriceList(models)
        return True

    def admit(self, answer: Answer, model: str, caller: Caller, load: Load | None, now_s: float) -> Answer:
        """Reserve what the call may take where limits hold: `answer` with its ticket, or a refusal."""
        if not self.ceilings.active:
            return answer
        got = self.ceilings.reserve(caller, self.use_of(answer.model or model, load or USUAL), now_s)
        if isinstance(got, Over):
            return self._refusal(got, now_s)
        self.reserved += 1
        return Answer(True, ticket=got) if answer is ALLOWED else structs.replace(answer, ticket=got)

    def use_of(self, model: str, tokens: Tokens) -> Use:
        """Price a call's tokens."""
        return Use(self.prices.of(model).micro_usd(tokens), tokens.input_tokens + tokens.output_tokens)

    def settle(self, ticket: Ticket, actual: Use) -> None:
        """Replace a reservation with what the call really took."""
        if ticket.open:
            self.settled += 1
            self.ceilings.settle(ticket, actual)

    def release(self, scope: str, order: tuple[int, int], at_s: float) -> None:
        """Begin what a person has released anew, once: also over a restart, after which the topic is read again."""
        if order > self._released.get(scope, (-1, -1)):
            self._released[scope] = order
            if len(self._released) > RELEASES_MAX:
                self._released.pop(next(iter(self._released)))
            self.ceilings.release(scope, at_s)
            self.released += 1

    def report(self, now_s: float, *, whole: bool = False) -> tuple[tuple[int, int], dict[str, dict[str, float]]]:
        """Return the order of the shares gone by, and what is used of limits that are well used; `whole`: of all."""
        most = LAST_REPORT_MAX if whole else REPORT_MAX
        order = (0, 0) if self.shares is None else self.shares.order
        use = self.ceilings.report(now_s, whole=whole)
        if len(use) > most:
            # Whoever isn't told of all that is above its share must not take the share for confirmed.
            order = (-1, -1)
            hottest = sorted(use, key=lambda scope: -max(use[scope].values()))[:most]
            use = {scope: use[scope] for scope in hottest}
        return order, use

    def records(self) -> list[Record]:
        """Return the records in force, as they were read."""
        # The rules first: what is used is of their limits.
        return sorted(self._values.items(), key=lambda record: record[0] != RULES_KEY)

    def used(self, now_s: float) -> bytes:
        """Return what `restore_used` needs to go on counting, checksummed."""
        rows = self.ceilings.dump(now_s)
        return seal(Used(rows, self._released, self.ceilings.above(rows)))

    def restore_used(self, content: bytes, releases: Iterable[Command] = ()) -> dict[str, tuple[str, ...]]:
        """Take in what was used before a restart, and return what is above each scope; raise WireError if damaged.

        `releases` are those known by now: what was used before one of them doesn't count.
        """
        used = unseal(content, Used)
        self.ceilings.load(used.accounts, used.above)
        self._released = dict(used.released)
        for each in sorted(releases, key=lambda each: each.order):
            self.release(each.scope, each.order, each.issued_at)
        return used.above

    def _refusal(self, over: Over, now_s: float) -> Answer:
        self.refused[over.limit.name] += 1
        ends_s = until_s(over.limit, now_s)
        reason = over_text(over) if self.is_shared else f"this gateway has no share of {over.scope}'s limit yet"
        return Answer(
            False, Denial.CEILING, reason=reason, scope=over.scope, until_s=ends_s,
            retry_after_s=0.0 if ends_s is None else ends_s - now_s,
        )  # fmt: skip
