"""The example pipelines do what they say: their own commands are run, in a repository without secrets."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from streams.simulate.plan import Plan, simulate

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BEFORE = (DEPLOY / "brakeline.yaml").read_text() + "slack: {token: '${SLACK_BOT_TOKEN}', channel: C1}\n"


def github() -> list[str]:
    (job,) = yaml.safe_load((DEPLOY / "ci/github.yaml").read_text())["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab() -> list[str]:
    return list(yaml.safe_load((DEPLOY / "ci/gitlab.yaml").read_text())["brakeline-policy"]["script"])


class Repository:
    """A repository whose settings were changed since they were on main, with a week's events (some minutes here)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "-q")
        (folder / "brakeline.yaml").write_text(BEFORE)
        self._git("add", ".")
        self._git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "before")
        self._git("update-ref", "refs/remotes/origin/main", "HEAD")
        plan = Plan(seed=3, agents=5, minutes=20.0, start_s=1_772_409_600.0, runaways=())
        with gzip.open(folder / "last-week.jsonl.gz", "wb") as file:
            file.writelines(msgspec.json.encode(each.event) + b"\n" for each in simulate(plan))

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True)

    def run(self, commands: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a pipeline's commands, each as its runner would, up to the first that fails."""
        given = {"BASE": "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD", "GITHUB_STEP_SUMMARY": "summary.md"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        script = "set -eo pipefail\n" + "\n".join(c for c in commands if not c.startswith("pip "))
        return subprocess.run(
            ["bash", "-c", script],
            check=False,
            cwd=self.folder,
            text=True,
            capture_output=True,
            env={**given, "PATH": path},
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.parametrize("pipeline", [github, gitlab])
def test_a_good_change_passes_and_says_what_it_means(repository: Repository, pipeline: object) -> None:
    assert callable(pipeline)
    (repository.folder / "brakeline.yaml").write_text(BEFORE.replace("usd: 50", "usd: 40"))

    done = repository.run(pipeline())

    assert done.returncode == 0, done.stderr
    assert "at most $40 an hour; until now: at most $50 an hour" in done.stdout
    assert "0 kills" in done.stderr


@pytest.mark.parametrize("pipeline", [github, gitlab])
def test_a_broken_file_fails_with_its_line(repository: Repository, pipeline: object) -> None:
    assert callable(pipeline)
    (repository.folder / "brakeline.yaml").write_text("mode: shadow\npolicy: {cooldown_s: -1}\n")

    done = repository.run(pipeline())

    assert done.returncode != 0
    assert "brakeline.yaml:2: policy.cooldown_s" in done.stderr


@pytest.mark.parametrize("pipeline", [github, gitlab])
def test_a_change_that_would_have_killed_honest_work_fails(repository: Repository, pipeline: object) -> None:
    assert callable(pipeline)
    (repository.folder / "brakeline.yaml").write_text(BEFORE.replace("usd: 50", "usd: 0.0001"))

    done = repository.run(pipeline())

    assert done.returncode != 0
    assert "false kills, at most 0 are allowed" in done.stderr
