"""A reload of what concerns people is in force at once; what isn't is said in the log, on the page and in a metric."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fake_slack import FakeSlack
from kafka_service import Installation, ServiceWorker
from waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
ALWAYS = {"start": "00:00", "end": "00:00", "hold": ["info", "warning", "critical"]}


def status(worker: ServiceWorker, path: str = "/") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}{path}", timeout=5) as response:
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def told(slack: FakeSlack, agent: str) -> list[str]:
    """Return the channels in which an agent is spoken of."""
    return [each["channel"] for each in slack.messages.values() if f"agent {agent}" in json.dumps(each["blocks"])]


async def test_slack_quiet_hours_and_the_page_follow_the_file_while_it_runs(kafka: str, tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        chat: dict[str, Any] = {"token": "xoxb-1", "channel": "C1", "base_url": slack.base_url}
        async with Installation(kafka, tmp_path, slack=chat) as site:
            worker = await site.start("a")
            await worker.up()

            async def kill(name: str) -> None:
                assert "is killed" in await site.command("kill", f"agent:{name}", "--reason", "enough", "--as", "anna")

            async def reload(**changes: Any) -> None:
                before = await worker.metric("brakeline_config_last_reload_timestamp_seconds")
                site.reconfigure("a", **changes)

                async def read() -> bool:
                    return await worker.metric("brakeline_config_last_reload_timestamp_seconds") > before

                await until(read, 30)

            await kill("one")
            await until(lambda: told(slack, "one") == ["C1"], 30)
            assert status(worker)[0] == 200

            await reload(slack={**chat, "channel": "C2"}, notify={"quiet_hours": [ALWAYS]}, page={"enabled": False})
            assert status(worker)[0] == 404
            await kill("two")
            await reload(slack={**chat, "channel": "C2"}, notify={"repeat_s": {"critical": 1}})
            await until(lambda: told(slack, "two") == ["C2"], 30)
            await until(lambda: any("agent two" in json.dumps(each) for each in slack.replies), 30)
            assert told(slack, "one") == ["C1"], "it is edited where it is"
            assert status(worker)[0] == 200
            assert await worker.metric("brakeline_config_restart_needed") == 0

            await reload(logs={"format": "json"})
            assert await worker.metric("brakeline_config_restart_needed") == 1
            sentence = "Restart the workers for logs.format: until then the service goes on with its old value."
            assert sentence in status(worker, "/settings")[1]
            await until(lambda: any(sentence in line for line in worker.lines), 10)
