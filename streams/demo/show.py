"""The demo itself: history first, then a live fleet with a runaway in it, the kill, and the release."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live

from alerts.decision import Action, Decision
from streams.demo.screen import Screen
from streams.demo.stage import PREFIX, Stage, StageError, consumed, headers_of, stage
from streams.demo.story import Story
from streams.events import TokenEvent, decode
from streams.outlet import Message, Outlet
from streams.partitioner import family
from streams.prices import Prices
from streams.simulate import Labelled, Plan, episodes, fleet_of, simulate

HISTORY_MIN = 4 * 60.0
ONSET_S = 6.0
REFUSALS_S = 6.0
GIVE_UP_S = 60.0
KILL_WITHIN_S = 10.0


class Show:
    """One run of the demo."""

    def __init__(self, scene: Stage, seed: int, begin_s: float) -> None:
        live_min = (ONSET_S + GIVE_UP_S + 60.0) / 60.0
        self.plan = Plan(
            seed=seed,
            agents=12,
            teams=3,
            minutes=HISTORY_MIN + live_min,
            start_s=begin_s - HISTORY_MIN * 60.0,
            runaways=("loop",),
            onset_min=HISTORY_MIN + ONSET_S / 60.0,
            pace=0.9,
            victims=("coder",),
            models=(("coder", "claude-opus-4-1"),),
        )
        self._begin_s = begin_s
        self._events = simulate(self.plan)
        self._waiting: list[Labelled] = []
        episode = episodes(self.plan)[0]
        self._episode = episode
        self.story = Story(episode.agent, 0.0)
        for agent in fleet_of(self.plan):
            self.story.caller(agent.name, agent.team)
        self._scene = scene
        self._prices = Prices()
        self.scope = ""
        self.note = "teaching the service what is usual"

    async def play(self) -> Story:
        """Run to the end and return what happened."""
        async with Outlet({"bootstrap_servers": self._scene.bootstrap}) as outlet, aiohttp.ClientSession() as client:
            await self._teach(outlet, client)
            shift_s = time.time() - self._begin_s
            self.story.onset_s = self._episode.start_s + shift_s
            self.story.gateway = "live"
            self.note = "the fleet works; one agent is about to run away"
            fleet = asyncio.create_task(self._fleet(outlet, client, shift_s))
            try:
                await self._direct(outlet, client)
            finally:
                fleet.cancel()
                await asyncio.gather(fleet, return_exceptions=True)
        return self.story

    async def _teach(self, outlet: Outlet, client: aiohttp.ClientSession) -> None:
        sent = 0
        for part in self._history():
            await outlet.send(part)
            sent += len(part)
            while await consumed(client, self._scene.service) < sent - 4_000:
                await asyncio.sleep(0.1)
        while await consumed(client, self._scene.service) < sent:
            await asyncio.sleep(0.1)

    def _history(self) -> Iterator[list[Message]]:
        part: list[Message] = []
        for labelled in self._events:
            if labelled.event["ingest_ts"] > self._begin_s:
                self._waiting.append(labelled)
                break
            part.append(_message(labelled.event, labelled.event["ingest_ts"]))
            if len(part) == 500:
                yield part
                part = []
        yield part

    async def _fleet(self, outlet: Outlet, client: aiohttp.ClientSession, shift_s: float) -> None:
        """Call as the simulation says, each call asking the gateway first."""
        calls: set[asyncio.Task[None]] = set()
        for labelled in (*self._waiting, *self._events):
            at_s = labelled.event["ingest_ts"] + shift_s
            await asyncio.sleep(max(0.0, at_s - time.time()))
            if labelled.episode and self.story.released_at_s is not None:
                continue  # Released means that somebody has mended the loop.
            task = asyncio.create_task(self._call(outlet, client, labelled.event))
            calls.add(task)
            task.add_done_callback(calls.discard)

    async def _call(self, outlet: Outlet, client: aiohttp.ClientSession, event: dict[str, Any]) -> None:
        async with client.get(f"{self._scene.gateway}/check", headers=headers_of(event)) as answer:
            body = await answer.json() if answer.status == 403 else None
        now_s = time.time()
        refusal = None
        if body is not None:
            self.scope = body["error"]["scope"]
            refusal = body["error"]["reason"]
            self.story.incident = f"KILLED {self.scope}\n{refusal}\nkill {body['error']['kill_id']}"
        self.story.called(event["agent"], event["team"], now_s, self._cost(event, now_s), refusal)
        if refusal is None:
            await outlet.send([_message({**event, "ts": round(now_s, 3)}, now_s)])

    def _cost(self, event: dict[str, Any], now_s: float) -> int:
        parsed = decode(json.dumps(event).encode())[0]
        return self._prices.of(parsed.model, now_s).micro_usd(parsed) if isinstance(parsed, TokenEvent) else 0

    async def _direct(self, outlet: Outlet, client: aiohttp.ClientSession) -> None:
        """Watch for the first refusal, let it show, release, and see the agent work again."""
        story = self.story
        if not await self._until(lambda: story.refused_at_s is not None, ONSET_S + GIVE_UP_S):
            self.note = "the runaway was not stopped"
            return
        self.note = "refused; the person on call reads the message and mends the loop"
        await asyncio.sleep(REFUSALS_S)
        decision = Decision(
            at_s=time.time(), scope=self.scope, action=Action.RELEASE, reason="the loop is mended",
            incident_id="demo", actor="user:demo",
        )  # fmt: skip
        await outlet.send([Message(f"{PREFIX}.decisions", self.scope.encode(), _encode(decision), 0)])
        story.released_at_s = time.time()
        self.note = "released"
        deadline_s = time.time() + 15.0
        while story.worked_again_at_s is None and time.time() < deadline_s:
            await self._call(outlet, client, self._ordinary_call())
            await asyncio.sleep(0.2)

    def _ordinary_call(self) -> dict[str, Any]:
        return {
            "event_id": f"again-{time.time_ns()}", "ts": time.time(), "agent": self.story.runaway,
            "team": self._episode.team, "model": "gpt-4o-mini", "input_tokens": 400, "output_tokens": 60,
            "run_id": f"again-{time.time_ns()}", "parent_run_id": None, "status": "ok", "latency_ms": 700,
        }  # fmt: skip

    async def _until(self, true: Any, within_s: float) -> bool:
        deadline_s = time.time() + within_s
        while time.time() < deadline_s:
            if true():
                return True
            await asyncio.sleep(0.1)
        return False


def _encode(decision: Decision) -> bytes:
    from msgspec import json as fast

    return fast.encode(decision)


def _message(event: dict[str, Any], at_s: float) -> Message:
    value = json.dumps(event, separators=(",", ":")).encode()
    return Message(f"{PREFIX}.events", family(event["agent"]).encode(), value, None, round(at_s * 1000))


async def _run(headless: bool, bootstrap: str | None, seed: int) -> Story:
    console = Console(stderr=headless)
    with tempfile.TemporaryDirectory(prefix="brakeline-demo-") as name:
        waiting = console.status("Starting broker, service and gateway on this machine; about ten seconds ...")
        if headless:
            console.print("Starting broker, service and gateway on this machine ...")
        else:
            waiting.start()
        async with stage(Path(name), bootstrap) as scene:
            waiting.stop()
            show = Show(scene, seed, time.time())
            screen = nullcontext() if headless else Live(console=console, auto_refresh=False, screen=True)
            with screen as live:
                playing = asyncio.create_task(show.play())
                while not playing.done():
                    await asyncio.wait([playing], timeout=0.25)
                    if live is not None:
                        live.update(Screen(show.story, time.time(), show.note), refresh=True)
            return await playing


def told(story: Story, *, good: bool) -> str:
    """Return the end of the story in a sentence, with what isn't as promised."""
    facts, promise = story.summary(), f"refused within {KILL_WITHIN_S:.0f} s, released, nobody else stopped"
    if story.killed_after_s is None:
        return f"[red]Not as promised ({promise}): {story.runaway} was never refused.[/]"
    end = "released and at work again" if facts["released"] else "not at work again"
    text = f"Refused {story.killed_after_s:.1f} s after onset, {facts['refused_calls']} calls refused, {end}: "
    text += f"${facts['overspend_usd']:,.2f} burnt, ${facts['saved_usd']:,.2f} saved, "
    text += f"{facts['false_kills']} others stopped. "
    return text + ("[green]All as promised.[/]" if good else f"[red]Not as promised: {promise}.[/]")


def main(headless: bool = False, broker: str = "embedded", seed: int = 10) -> int:
    """Run the demo; 0 only if the runaway was refused within 10 s of its onset, released, and nobody else stopped.

    `broker` is "embedded" or bootstrap servers. Headless prints one JSON line on standard output.
    """
    try:
        story = asyncio.run(_run(headless, None if broker == "embedded" else broker, seed))
    except StageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    summary = story.summary()
    good = story.succeeded(KILL_WITHIN_S)
    if headless:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        console = Console()
        console.print(Screen(story, time.time(), ""))
        console.print(told(story, good=good))
    return 0 if good else 1
