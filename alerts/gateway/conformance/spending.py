"""Gates and limits, tried from outside."""

import asyncio
from collections import Counter
from uuid import uuid4

from .caller import Answer, Broken, Caller, NotTried
from .provider import Provider

HELD, OVER = "approval_needed", "limit_reached"
BURST = 3
"""So many times the calls that a limit leaves are made at once."""


class Spending:
    """Tries a call that a gate holds, and a run's calls beyond its limit."""

    def __init__(self, caller: Caller, provider: Provider | None) -> None:
        self._caller = caller
        self._target = caller.target
        self._provider = provider
        self._approval = ""

    async def is_held(self) -> str:
        """The call is refused, with the id by which a person approves it."""
        if not self._target.gated and not self._target.gated_body:
            raise NotTried("give --gated or --gated-body, of a call that a gate holds")
        before = self._calls
        answer = await self._held_call()
        _must_be(answer, HELD)
        approval = answer.error.get("approval_id")
        if not isinstance(approval, str) or answer.headers.get("x-brakeline-approval-id") != approval:
            raise Broken(f"approval_id is {approval!r}, the header {answer.headers.get('x-brakeline-approval-id')!r}")
        if self._calls != before:
            raise Broken("it reached the provider")
        self._approval = approval
        return f"approval {approval}"

    async def goes_out(self) -> str:
        """What is approved passes."""
        if not self._approval:
            raise NotTried("no call was held")
        if self._target.approve is None:
            raise NotTried("give --approve, with {id} for the request's id")
        await self._target.approve(self._approval)
        headers, body = self._target.gated or self._target.caller, self._target.gated_body
        answer, took_ms = await self._caller.until(lambda answer: answer.status < 400, headers, body)
        if answer.status >= 400:
            raise Broken(answer.seen)
        return f"within {took_ms:,.0f} ms"

    async def stays_within(self) -> str:
        """Of many calls at once as many pass as the limit leaves, at most; each gateway has a share of it."""
        fit = self._target.limit_calls
        if not fit:
            raise NotTried("give --limit-calls N, and set the limit {scope: 'run:conformance-*', steps: N}")
        before = self._calls
        headers = {**self._target.caller, self._target.run_header: f"conformance-{uuid4().hex[:8]}"}
        answers = await asyncio.gather(*(self._caller.call(headers) for _ in range(fit * BURST)))
        passed = sum(answer.status < 400 for answer in answers)
        for answer in answers:
            if answer.status >= 400:
                _must_be(answer, OVER)
        seen = Counter(answer.status for answer in answers)
        if not 1 <= passed <= fit:
            raise Broken(f"{passed} of {len(answers)} calls passed, {fit} may: {dict(seen)}")
        if self._provider is not None and self._calls - before != passed:
            raise Broken(f"{passed} calls passed, {self._calls - before} reached the provider")
        return f"{passed} of {len(answers)} calls passed, {fit} may"

    @property
    def _calls(self) -> int:
        return 0 if self._provider is None else self._provider.calls

    async def _held_call(self) -> Answer:
        return await self._caller.call(self._target.gated or None, body=self._target.gated_body)


def _must_be(answer: Answer, code: str) -> None:
    if answer.status != 403:
        raise Broken(answer.seen)
    if answer.error.get("code") != code:
        raise Broken(f"code is {answer.error.get('code')!r}, not {code!r}: {answer.seen}")
    if answer.headers.get("x-should-retry") != "false":
        raise Broken("x-should-retry is not false")
