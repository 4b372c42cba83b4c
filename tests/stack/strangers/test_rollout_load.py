"""A day of deploys under everything that users do at once; and the same stack under a plain `docker compose up`."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.stack.conftest import eventually
from tests.stack.restless import DEPLOY, restless
from tests.stack.rolling import alive, another, change, inv, one_release, releases, steadily
from tests.stack.streams import streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.conftest import Strange

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not os.environ.get("COTAI_CHAOS"), reason="half an hour; COTAI_CHAOS=1 runs it"),
]

TASKS = 500
DEPLOYS = int(os.environ.get("COTAI_DEPLOYS", "10"))
"""COTAI_DEPLOYS=3 tries it out."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strange]:
    """Give a stack that runs, with room for the tasks."""
    with restless(tmp_path_factory.mktemp("restless")) as found:
        inv(found, *DEPLOY, "--build")
        yield found


@pytest.mark.timeout(3600)
def test_a_day_of_deploys(stack: Strange) -> None:
    """No request fails, no event is missed, no task is lost or done twice, and there is never a second scheduler."""
    with ExitStack() as during:
        schedulers = during.enter_context(alive(stack, "celery-beat"))
        asked = during.enter_context(steadily(stack))
        late = during.enter_context(steadily(stack, "/api/trial/slow?seconds=10", 1))
        seen = during.enter_context(streams(stack))
        queued = requests.post(stack.url(f"/api/trial/tasks?count={TASKS}"), verify=stack.authority, timeout=60)
        assert queued.status_code == 200
        for number in range(DEPLOYS):
            (stack.folder / "backend/app/release.py").write_text(f"NUMBER = {number}\n")  # another image each time
            inv(stack, *DEPLOY, "--build", "--watch", "2", "--drain", "15")
        inv(stack, "deploy.rollback", "--yes", "--watch", "2")
        inv(stack, "deploy.scale", "backend", "3")
        inv(stack, "deploy.scale", "backend", "2")
        inv(stack, "security.renew", "--force")
        inv(stack, "security.secrets", "--rotate", "POSTGRES_PASSWORD")
        inv(stack, *DEPLOY, "--watch", "2", "--drain", "15")
        inv(stack, "security.secrets", "--finish", "POSTGRES_PASSWORD", "--yes")
        done = eventually(lambda: all_done(stack), "every task", patience=900)
    report({"requests": asked, "slow requests": late, "closed": Counter(seen.closed), "events": len(seen.sent)}, stack)
    assert (asked["codes"].keys(), asked["wrong"]) == ({"200"}, [])
    assert (late["codes"].keys(), late["wrong"]) == ({"200"}, [])
    assert seen.refused == []
    assert seen.by_socket == seen.sent
    assert seen.by_lines == seen.sent
    assert 1012 in seen.closed
    assert done == Counter(range(TASKS))
    assert (max(schedulers), len(schedulers) > 2 * DEPLOYS) == (1, True)
    one_release(stack)


@pytest.mark.timeout(1800)
def test_what_a_plain_compose_does(stack: Strange) -> None:
    """The contrast, under the same load: it stops the old before the new serves."""
    change(stack, LOG_LEVEL=another(stack))
    begun = time.monotonic()
    with steadily(stack) as ours:
        inv(stack, *DEPLOY, "--watch", "0")
    middle = time.monotonic()
    rendered = stack.folder / "compose.json"
    release = releases(stack)[0]["id"]
    image = stack.docker("inspect", "--format", "{{.Image}}", stack.containers("backend")[0])
    mount = f"{stack.name}_releases:/releases"
    read = ("run", "--rm", "--user", "0", "--entrypoint", "cat", "--volume", mount, image)
    rendered.write_text(stack.docker(*read, f"/releases/{release}/compose.json"))
    with steadily(stack) as theirs:
        compose = ("compose", "--project-name", stack.name, "--file", str(rendered), "up", "--detach", "--no-build")
        stack.docker(*compose, "--force-recreate", "--no-deps", "--wait", "backend", "celery-worker")
    report({"ours": ours, "ours, seconds": round(middle - begun), "compose": theirs}, stack)
    assert ours["wrong"] == []
    assert sum(number for code, number in theirs["codes"].items() if code != "200") > 0


# -- helpers -----------------------------------------------------------------------------------------------------------


def all_done(stack: Strange) -> Counter[int] | None:
    """Give how often each task was done, once all of them were."""
    found = Counter(stack.get("/api/trial/tasks").json())
    return found if len(found) == TASKS else None


def report(figures: dict[str, Any], stack: Strange) -> None:
    """Print what was measured: `nox -s chaos` shows it."""
    for name, value in figures.items():
        print(f"{name}: {value}")  # noqa: T201 - for whoever runs it
    for one in releases(stack):
        print(one["id"], one["outcome"], one["steps"], one["seen"])  # noqa: T201
