"""Deploys that nobody notices, and deploys that go wrong without anybody noticing."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.conftest import deploy, drafted, eventually, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack

ROLLED = ("backend", "celery-beat", "celery-worker", "celery-worker-ai", "llm-service")
STEPS = (
    "Starting migrate",
    "beside the old ones",
    "nginx asks the new ones",
    "watching both",
    "the requests in hand end",
    "the old ones finish",
    "never two of it",
)
"""What a deploy says as it comes to each of its steps."""
CHOSEN = STEPS if os.environ.get("COTAI_CHAOS") else random.sample(STEPS, 2)
"""All with COTAI_CHAOS=1, else two that change from run to run."""


@pytest.fixture(scope="module")
def stack(production: Production) -> Production:
    """Give a stack that runs, whatever other tests left of it."""
    deploy(production)
    return production


def test_nobody_notices_a_deploy_and_its_rollback(stack: Production) -> None:
    """At 50 requests a second none fails, and no task is lost or done twice; every container that rolls is new."""
    before, quotations = ids(stack), total(stack)
    with steadily(stack) as asked, posting(stack) as tenders:
        change(stack, LOG_LEVEL="WARNING")
        deployed = inv(stack, "deploy.prod", "--yes", "--watch", "4")
        after = ids(stack)
        inv(stack, "deploy.rollback", "--yes", "--watch", "4")
    assert (asked["codes"].keys(), asked["wrong"]) == ({"200"}, [])
    assert asked["codes"]["200"] > 500
    assert {name for name in before if before[name] != after[name]} >= {*ROLLED}
    assert not [name for name in ROLLED if before[name] & after[name]]
    eventually(lambda: all(drafted(stack, one) for one in tenders), "every quotation", patience=300)
    assert "" not in tenders
    assert total(stack) == quotations + len(tenders)
    assert re.search(r"users saw [\d,]+ requests, 0 failed", deployed)
    assert {name: len(found) for name, found in ids(stack).items()} == {
        name: len(found) for name, found in before.items()
    }
    outcomes = [one["outcome"] for one in releases(stack)]
    assert outcomes[:2] == ["live", "replaced"]
    assert "nothing was changed" in inv(stack, "deploy.audit", "--verify")


def test_nothing_to_do_is_nothing_done(stack: Production) -> None:
    """Not one container is touched, and there is no release more."""
    inv(stack, "deploy.prod", "--yes", "--watch", "0")  # what the rollback took back
    before, known = ids(stack), len(releases(stack))
    assert "nothing to do" in inv(stack, "deploy.prod")
    assert json.loads(stack.inv("deploy.plan", "--json").stdout)["changes"] == []
    assert (ids(stack), len(releases(stack))) == (before, known)


def test_a_release_that_never_becomes_healthy(stack: Production) -> None:
    """Nobody notices; the error names the service and has its last words; what served before is all there is."""
    before = ids(stack)
    with steadily(stack) as asked:
        change(stack, APP_ENV_FILE=broken(stack))
        done = stack.inv("deploy.prod", "--yes", "--watch", "4")
        change(stack, APP_ENV_FILE="")
    assert (done.returncode, asked["wrong"]) == (6, [])
    assert "not healthy: backend" in done.stderr
    assert "--no-such-flag" in done.stderr
    assert {name: before[name] for name in ROLLED} == {name: ids(stack)[name] for name in ROLLED}
    assert releases(stack)[0]["outcome"] == "failed"
    assert "not healthy" in releases(stack)[0]["fault"]


@pytest.mark.parametrize("step", CHOSEN)
def test_a_deploy_that_is_killed(stack: Production, step: str) -> None:
    """At any step: users are served, the next deploy is refused, one command brings the stack to one clean release."""
    with steadily(stack) as asked:
        change(stack, LOG_LEVEL=another(stack))
        deploying = stack.begin("deploy.prod", "--yes", "--watch", "3")
        seen = next((line for line in deploying.stdout or () if step in line), "")
        deploying.kill()
        deploying.communicate(timeout=90)
        assert seen
        refused = stack.inv("deploy.prod", "--yes")
        assert (refused.returncode, "inv deploy.resume" in refused.stderr) == (8, True)
        aborted = stack.inv("deploy.abort")
        assert aborted.returncode in {0, 10}, aborted.stderr
        if aborted.returncode:  # the old containers were told to go already
            inv(stack, "deploy.resume", "--watch", "0")
    assert asked["wrong"] == []
    assert releases(stack)[0]["outcome"] == ("live" if aborted.returncode else "aborted")
    for name in ROLLED:
        slots = stack.docker(
            "ps", "--all", *project(stack), "--filter", f"label=com.docker.compose.service={name}",
            "--format", '{{.Label "cotai.slot"}} {{.Label "cotai.release"}}',
        ).splitlines()  # fmt: skip
        assert len(set(slots)) == 1, f"{name}: {slots}"
    inv(stack, "deploy.prod", "--yes", "--watch", "0")


def test_an_interruption_puts_everything_back(stack: Production) -> None:
    """Ctrl-C while both are watched: one reload, and what served before serves."""
    before = ids(stack)
    change(stack, LOG_LEVEL=another(stack))
    deploying = stack.begin("deploy.prod", "--yes", "--watch", "60")
    assert next((line for line in deploying.stdout or () if "watching both" in line), "")
    time.sleep(1)
    deploying.send_signal(2)
    rest = deploying.communicate(timeout=120)[0]
    assert (deploying.returncode, "goes on serving" in rest) == (130, True), rest
    assert {name: before[name] for name in ROLLED} == {name: ids(stack)[name] for name in ROLLED}
    assert stack.get("/health").status_code == 200


# -- asking and telling ----------------------------------------------------------------------------------------------


@contextmanager
def steadily(stack: Production, rate: int = 50) -> Iterator[dict[str, Any]]:
    """Ask the API at a steady rate as long as the block lasts, from where Nginx sets no limit; fill what came of it."""
    script = Path(__file__).with_name("steady.py").read_text()
    docker = stack.environ.get("COTAI_DOCKER", "docker")
    run = [docker, "run", "--rm", "--interactive", "--network", f"{stack.name}_probe", "--entrypoint", "python"]
    asking = subprocess.Popen(
        [*run, "cotai/production:test", "-c", script, "localhost", "/api/v1/quotations", str(rate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = {}
    time.sleep(2)
    try:
        yield found
        time.sleep(2)
    finally:
        told = asking.communicate(timeout=90)[0]
    found |= json.loads(told.splitlines()[-1])


@contextmanager
def posting(stack: Production) -> Iterator[list[str]]:
    """Post a tender every few seconds as long as the block lasts; give their ids, empty for one that was refused."""
    over, found = Event(), list[str]()

    def work() -> None:
        while not over.wait(5):
            found.append(post(stack))

    thread = Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def total(stack: Production) -> int:
    """Count the quotations that there are."""
    return int(stack.get("/api/v1/quotations").json()["total"])


def inv(stack: Production, *arguments: str) -> str:
    """Run a task that must succeed; give all that it said."""
    done = stack.inv(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def change(stack: Production, **variables: str) -> None:
    """Set variables in the env file."""
    path = stack.folder / "env"
    kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in variables]
    path.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in variables.items() if value)]) + "\n")


def another(stack: Production) -> str:
    """Give another level than the one that is set: a new definition of whatever logs."""
    return "INFO" if "LOG_LEVEL=ERROR" in (stack.folder / "env").read_text() else "ERROR"


def broken(stack: Production) -> str:
    """Give a file of the application's own variables that no Gunicorn starts with."""
    path = stack.folder / "broken.env"
    path.write_text("GUNICORN_CMD_ARGS=--no-such-flag\n")
    return str(path)


def ids(stack: Production) -> dict[str, frozenset[str]]:
    """Give the ids of the containers that run, by service; what runs once is none of them."""
    shown = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    lines = stack.docker("ps", *project(stack), "--format", shown).splitlines()
    found: dict[str, frozenset[str]] = {}
    for service, one in (line.split() for line in lines):
        if service not in {"migrate", "model-pull"}:
            found[service] = found.get(service, frozenset()) | {one}
    return found


def project(stack: Production) -> tuple[str, ...]:
    return ("--filter", f"label=com.docker.compose.project={stack.name}")


def releases(stack: Production) -> list[dict[str, Any]]:
    """Give the releases on record, the newest first."""
    told = eventually(lambda: stack.inv("deploy.history", "--json").stdout, "the history")
    return list(json.loads(told)["releases"])
