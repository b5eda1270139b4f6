"""The service against a fleet that goes on after a kill: an incident of its own, and a metric."""

import json
import time
from itertools import count
from pathlib import Path

import pytest
from kafka_service import Installation
from kafka_slack import sidecar_of
from waiting import until

pytestmark = pytest.mark.kafka


def calls(count: int, at_s: float, **fields: object) -> list[bytes]:
    usual = {"agent": "a", "team": "t", "model": "gpt-4o-mini", "input_tokens": 900, "output_tokens": 90, **fields}
    times = [at_s + number for number in range(count)]
    return [json.dumps({**usual, "event_id": f"{t}", "ts": t, "ingest_ts": t}).encode() for t in times]


async def test_calls_after_a_kill_open_an_incident_that_names_the_gateway(kafka: str, tmp_path: Path) -> None:
    async with Installation(kafka, tmp_path) as site:
        worker = await site.start("a")
        await worker.up()
        await site.produce(calls(3, time.time() - 30))
        await site.done()
        said = await site.command("kill", "agent:a", "--reason", "enough", "--as", "anna")
        assert "agent:a is killed" in said

        later = count(time.time() + 60, 5)

        async def alerts() -> list[dict[str, object]]:
            found = await site.read(site.named("alerts"), 1)
            return [json.loads(record.value) for record in found]

        async def told() -> bool:
            # The worker hears of the kill by itself; what it has judged before that doesn't count.
            await site.produce(calls(1, next(later), gateway="gw-2"))
            return any(alert["scope"] == "obedience:agent:a" for alert in await alerts())

        await until(told)
        (incident, *_) = [alert for alert in await alerts() if alert["scope"] == "obedience:agent:a"]
        assert incident["headline"] == "NOT OBEYED: kill of agent a"
        assert incident["severity"] == "critical"
        assert str(incident["reason"]).startswith("kill not obeyed by gw-2: ")
        assert await worker.metric("brakeline_calls_after_kill_total") >= 1


async def test_the_kills_own_incident_says_what_gets_through_and_what_is_refused(kafka: str, tmp_path: Path) -> None:
    async with Installation(kafka, tmp_path) as site:
        worker = await site.start("a")
        await worker.up()
        async with sidecar_of(site, kafka) as sidecar:
            await site.command("kill", "agent:a", "--reason", "enough", "--as", "anna")
            await sidecar.answers("a", 403)
            later = count(time.time() + 60, 5)

            async def says(words: str) -> bool:
                await site.produce(calls(1, next(later), gateway="gw-2"))
                await sidecar.status("a")
                found = [json.loads(record.value) for record in await site.read(site.named("alerts"), 1)]
                return any(words in alert["text"] for alert in found if alert["scope"] == "agent:a")

            for words in ("got through ($", "refused, the last at"):
                await until(lambda words=words: says(words), 60)  # type: ignore[misc]
