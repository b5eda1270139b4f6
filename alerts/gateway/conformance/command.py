"""`brakeline-gateway conformance`: options in, a table of promises and an exit code out."""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp
import msgspec

from .caller import Caller, Order, OrderError, Target
from .provider import Provider
from .trial import Result, Trial

BODY = '{"model": "conformance", "messages": [{"role": "user", "content": "Say yes."}]}'
EPILOG = """
What it needs: a test caller (its key in --caller) whose agent or team may be killed for a moment, and the commands
that do it:

  brakeline-gateway conformance --url https://gateway.example.com/v1/chat/completions \\
    --caller 'authorization: Bearer KEY-OF-TEST-AGENT' --other 'authorization: Bearer KEY-OF-ANOTHER' \\
    --kill 'brakeline kill agent:test-agent --reason conformance' \\
    --release 'brakeline release agent:test-agent --reason conformance'

Without --kill the caller has to be killed already, and less is tried. With --provider it is the model provider and
counts what reaches it: point the gateway there. Whatever happens, what was killed is released.

Gates and limits are tried where your settings have one for the purpose:

  --gated 'authorization: Bearer KEY-OF-GATED' --approve 'brakeline approve {id} --once --reason conformance'
  --limit-calls 5      with `limits: [{scope: "run:conformance-*", steps: 5}]`

Exit code: 0 all that was tried holds, 1 a promise is broken, 2 nothing could be said.
"""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "conformance",
        help="try a gateway's promises",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="what to POST a call to, at the gateway")
    parser.add_argument("--caller", action="append", default=[], metavar="'NAME: VALUE'", help="header of the caller")
    parser.add_argument(
        "--other", action="append", default=[], metavar="'NAME: VALUE'", help="header of another caller"
    )
    parser.add_argument("--kill", metavar="COMMAND", help="kills the caller's agent, team or run")
    parser.add_argument("--release", metavar="COMMAND", help="releases it")
    parser.add_argument("--body", default=BODY, help="JSON body of a call (a short chat completion)")
    parser.add_argument("--provider", metavar="HOST:PORT", help="be the provider there, and count what reaches it")
    parser.add_argument("--cuts-streams", action="store_true", help="the gateway promises to cut streams in flight")
    parser.add_argument(
        "--gated", action="append", default=[], metavar="'NAME: VALUE'", help="header of a caller whom a gate holds"
    )
    parser.add_argument("--gated-body", metavar="JSON", help="body of a call that a gate holds (as --body)")
    parser.add_argument("--approve", metavar="COMMAND", help="approves that call; {id} stands for the request's id")
    parser.add_argument("--limit-calls", type=int, default=0, metavar="N", help="calls that a limit leaves to a run")
    parser.add_argument("--run-header", default="x-run-id", metavar="NAME", help="what tells the run (x-run-id)")
    parser.add_argument("--deadline", type=float, default=5.0, metavar="S", help="how long a kill may take (5 s)")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON line a promise")


def run(given: argparse.Namespace) -> int:
    """Try all promises and print them; 0 if none is broken, 1 if one is, 2 if nothing can be said."""
    try:
        target = target_of(given)
        return asyncio.run(_run(target, given.provider, as_json=given.as_json))
    except (ValueError, OrderError, OSError, TimeoutError, aiohttp.ClientError) as error:
        print(f"brakeline-gateway: {error or type(error).__name__}", file=sys.stderr)
        return 2


def target_of(given: argparse.Namespace) -> Target:
    """Read the options; raise ValueError that names the one that can't be used."""
    if urlsplit(given.url).scheme not in ("http", "https"):
        raise ValueError(f"--url is {given.url!r}: write http:// or https://, host, port and path")
    if given.limit_calls < 0:
        raise ValueError(f"--limit-calls is {given.limit_calls}: write how many calls a run may make")
    if given.approve is not None and "{id}" not in given.approve:
        raise ValueError("--approve names no {id}: that stands for the request's id")
    return Target(
        url=given.url,
        body=body_of(given.body, "--body"),
        caller=headers_of(given.caller, "--caller"),
        other=headers_of(given.other, "--other"),
        kill=order_of(given.kill),
        release=order_of(given.release),
        cuts_streams=given.cuts_streams,
        gated=headers_of(given.gated, "--gated"),
        gated_body=b"" if given.gated_body is None else body_of(given.gated_body, "--gated-body"),
        approve=approval_of(given.approve),
        limit_calls=given.limit_calls,
        run_header=given.run_header,
        deadline_s=given.deadline,
    )


def body_of(text: str, option: str) -> bytes:
    """Return a JSON object as it is sent; raise ValueError for anything else."""
    try:
        is_object = isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        is_object = False
    if not is_object:
        raise ValueError(f"{option} is {text[:60]!r}: write a JSON object")
    return text.encode()


def headers_of(lines: list[str], option: str) -> dict[str, str]:
    """Split header lines; raise ValueError, which doesn't print what may be a secret."""
    found = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"{option} number {number} is no header: write 'NAME: VALUE'")
        found[name.strip().lower()] = value.strip()
    return found


def order_of(command: str | None) -> Order | None:
    """Return what runs a command (without a shell) to its end."""
    if command is None:
        return None
    words = shlex.split(command)
    return lambda: _ordered(words)


def approval_of(command: str | None) -> Callable[[str], Awaitable[None]] | None:
    """Return what runs a command with the id of a request."""
    if command is None:
        return None
    words = shlex.split(command)
    return lambda approval: _ordered([word.replace("{id}", approval) for word in words])


async def _ordered(words: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise OrderError(f"{words[0]} ended with {process.returncode}: {said.decode(errors='replace').strip()}")


async def _run(target: Target, address: str | None, *, as_json: bool) -> int:
    outcomes = set()
    async with AsyncExitStack() as stack:
        provider = None
        if address is not None:
            host, _, port = address.rpartition(":")
            provider = Provider()
            await stack.enter_async_context(provider.listening(host or "127.0.0.1", int(port)))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        async for result in Trial(Caller(target, session), provider).run():
            outcomes.add(result.outcome)
            print(msgspec.json.encode(result).decode() if as_json else line_of(result), flush=True)
    return 1 if "broken" in outcomes else 0


def line_of(result: Result) -> str:
    """Return a row of the table.

    >>> line_of(Result("others work on", "ok", "200"))
    'ok         others work on                                              200'
    """
    return f"{result.outcome:<11}{result.promise:<60}{result.why}".rstrip()
