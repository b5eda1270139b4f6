"""A gateway's promises, tried from outside, in an order in which each can rely on those before it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from msgspec import Struct

from .caller import KILLED, Answer, Broken, Caller, NotTried, Stream
from .provider import Provider
from .spending import Spending

FIELDS = ("type", "code", "message", "scope", "reason", "kill_id", "until", "release_url")
LIES = ("x-brakeline-agent", "x-brakeline-team", "x-claimed-agent", "x-claimed-team")
CHUNKS_AFTER = 1


class Result(Struct, frozen=True):
    """One row of the table."""

    promise: str
    outcome: Literal["ok", "broken", "not tried"]
    why: str


class Trial:
    """One run. `provider` stands for the gateway's upstream, if the gateway was pointed at it."""

    def __init__(self, caller: Caller, provider: Provider | None = None) -> None:
        self._caller = caller
        self._target = caller.target
        self._provider = provider
        self._refusal: Answer | None = None
        self._stream: Stream | None = None
        self._killed = False

    async def run(self) -> AsyncIterator[Result]:
        """Yield a result for each promise; raise OrderError or aiohttp.ClientError when nothing can be said."""
        spending = Spending(self._caller, self._provider)
        steps: dict[str, Callable[[], Awaitable[str]]] = {
            "a call passes before the kill": self._passes,
            "a stream passes before the kill": self._streams,
            "a kill refuses the next call with 403": self._refuses,
            "a refused call never reaches the provider": self._spares_the_provider,
            "no SDK retries: x-should-retry is false": self._is_not_retried,
            "the body is JSON and says which kill, why and until when": self._explains,
            "a stream is refused before it begins": self._refuses_streams,
            "a stream in flight is cut within one chunk": self._cuts,
            "what a client says of itself frees nobody": self._sees_through_lies,
            "others work on": self._lets_others_work,
            "a release lets it work again": self._releases,
            "a gate holds a call until a person decides": spending.is_held,
            "an approval lets the call out": spending.goes_out,
            "a burst of calls doesn't pass a limit": spending.stays_within,
        }
        try:
            for promise, step in steps.items():
                yield await _tried(promise, step)
        finally:
            if self._stream is not None:
                await self._stream.close()
            if self._killed and self._target.release is not None:
                await self._target.release()

    async def _passes(self) -> str:
        if self._target.kill is None:
            raise NotTried("the caller is killed already; give --kill")
        answer = await self._caller.call()
        if answer.status >= 400:
            raise Broken(f"{answer.seen}: is the caller free, are its headers right?")
        return str(answer.status)

    async def _streams(self) -> str:
        if self._target.kill is None or not self._target.cuts_streams:
            raise NotTried("give --kill and --cuts-streams, if your gateway cuts streams")
        self._stream = await self._caller.stream()
        if not await self._stream.goes_on(self._target.deadline_s):
            raise Broken("no first chunk came")
        return "the first chunk came"

    async def _refuses(self) -> str:
        if self._target.kill is not None:
            await self._target.kill()
            self._killed = True
        answer, took_ms = await self._caller.until(lambda answer: answer.status >= 400)
        if self._stream is not None:
            self._stream.mark()
        if answer.status != 403:
            raise Broken(f"{answer.seen}, {took_ms:,.0f} ms after the kill")
        self._refusal = answer
        return f"within {took_ms:,.0f} ms"

    def _refused(self) -> Answer:
        if self._refusal is None:
            raise NotTried("no call was refused")
        return self._refusal

    async def _spares_the_provider(self) -> str:
        self._refused()
        if self._provider is None:
            raise NotTried("give --provider HOST:PORT, and point the gateway at it")
        before = self._provider.calls
        for _ in range(5):
            await self._caller.call()
        if self._provider.calls != before:
            raise Broken(f"{self._provider.calls - before} of 5 refused calls reached it")
        return "0 of 5 calls"

    async def _is_not_retried(self) -> str:
        value = self._refused().headers.get("x-should-retry")
        if value != "false":
            raise Broken("the header is missing" if value is None else f"it is {value!r}")
        return ""

    async def _explains(self) -> str:
        answer = self._refused()
        error = answer.error
        missing = [field for field in FIELDS if field not in error]
        if missing:
            raise Broken(f"missing in error: {', '.join(missing)}")
        if error["code"] != KILLED or error["type"] != KILLED:
            raise Broken(f"type and code are {error['type']!r} and {error['code']!r}, not {KILLED!r}")
        if "json" not in answer.headers.get("content-type", ""):
            raise Broken(f"content-type is {answer.headers.get('content-type')!r}")
        return str(error["kill_id"])

    async def _refuses_streams(self) -> str:
        self._refused()
        answer = await self._caller.call(stream=True)
        if answer.status != 403:
            raise Broken(answer.seen)
        return ""

    async def _cuts(self) -> str:
        if self._stream is None:
            raise NotTried("no stream was begun before the kill")
        self._refused()
        after = await self._stream.rest(self._target.deadline_s)
        if after is None:
            raise Broken(f"it still went on {self._target.deadline_s:g} s after the kill")
        if after > CHUNKS_AFTER:
            raise Broken(f"{after} chunks came after the first refusal")
        return f"{after} chunks came after the first refusal"

    async def _sees_through_lies(self) -> str:
        self._refused()
        for name in LIES:
            answer = await self._caller.call({**self._target.caller, name: "conformance-somebody-else"})
            if answer.status != 403:
                raise Broken(f"with {name} of somebody else: {answer.seen}")
        return f"{len(LIES)} headers tried"

    async def _lets_others_work(self) -> str:
        if not self._target.other:
            raise NotTried("give --other, the headers of a caller who isn't killed")
        answer = await self._caller.call(self._target.other)
        if answer.status >= 400:
            raise Broken(answer.seen)
        return str(answer.status)

    async def _releases(self) -> str:
        if self._target.release is None:
            raise NotTried("give --release")
        await self._target.release()
        self._killed = False
        self._refused()
        answer, took_ms = await self._caller.until(lambda answer: answer.status != 403)
        if answer.status >= 400:
            raise Broken(answer.seen)
        return f"within {took_ms:,.0f} ms"


async def _tried(promise: str, step: Callable[[], Awaitable[str]]) -> Result:
    try:
        return Result(promise, "ok", await step())
    except NotTried as reason:
        return Result(promise, "not tried", str(reason))
    except Broken as seen:
        return Result(promise, "broken", str(seen))
