"""Deploys that nobody notices, and deploys that go wrong without anybody noticing."""

from __future__ import annotations

import json
import os
import random
import re
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.stack.conftest import deploy, drafted, eventually
from tests.stack.rolling import ROLLED, another, change, ids, inv, one_release, posting, releases, steadily, total

if TYPE_CHECKING:
    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack

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
CHOSEN = STEPS if os.environ.get("COTAI_CHAOS") else [random.choice(STEPS)]  # noqa: S311 - any of them
"""All with COTAI_CHAOS=1, else one that changes from run to run."""


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
    assert "" not in tenders
    for one in tenders:  # one after another: Nginx limits who asks for all of them at once
        eventually(partial(drafted, stack, one), f"the quotation of {one}", patience=300)
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
    # Both ask Gunicorn; who is given up first is named first.
    assert re.search(r"not healthy: (backend|llm-service) \(restarted \d+ times", done.stderr), done.stderr
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
    one_release(stack)
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


def broken(stack: Production) -> str:
    """Give a file of the application's own variables that no Gunicorn starts with."""
    path = stack.folder / "broken.env"
    path.write_text("GUNICORN_CMD_ARGS=--no-such-flag\n")
    return str(path)
