"""What a deploy does to each service, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.deploy.changes import changes, named
from cotai_tasks.facts import Image
from cotai_tasks.testing import container
from tests.unit.deploy.stacks import service, stack

if TYPE_CHECKING:
    from cotai_tasks.facts import Container

STACK = stack(
    service("backend"),
    service("celery-beat"),
    service("postgres", volumes=frozenset({"data"})),
    service("migrate", one_shot=True),
    service("nginx"),
    formats={"data": "postgresql-17"},
    rolls={"backend": "proxied", "celery-beat": "alone"},
    definitions=dict.fromkeys(("backend", "celery-beat", "postgres", "migrate", "nginx"), "now"),
)
IMAGES = {f"{name}:1": Image(f"sha256:{name}", (), 0, "") for name in STACK.services}


def running(name: str, **fields: Any) -> Container:  # noqa: ANN401 - any field of a container
    return container(name, **{"definition": "now", "image_id": f"sha256:{name}"} | fields)


def decide(*containers: Container, **flags: Any) -> dict[str, str]:  # noqa: ANN401
    names = [one.service for one in containers]
    found = changes(STACK, names, images=IMAGES, containers=containers, **flags)
    return {one.service: f"{one.how}: {', '.join(one.reasons)}" for one in found}


def test_where_nothing_changed_nothing_is_done() -> None:
    """Not even to a one-shot that has done its work."""
    there = [running(name) for name in ("backend", "postgres", "nginx")]
    assert decide(*there, running("migrate", state="exited")) == {}


@pytest.mark.parametrize(
    ("name", "how"),
    [("backend", "roll"), ("celery-beat", "roll"), ("nginx", "replace"), ("postgres", "keep"), ("migrate", "run")],
)
def test_what_changed_is_replaced_as_it_can_be(name: str, how: str) -> None:
    """By its definition, by its image, or both; a database goes on as it is."""
    assert decide(running(name, definition="before")) == {name: f"{how}: its definition has changed"}
    assert decide(running(name, image_id="sha256:before")) == {name: f"{how}: its image has changed"}


def test_one_container_of_several_is_enough() -> None:
    """As after an interruption."""
    (found,) = changes(
        STACK, ["backend"], images=IMAGES, containers=[running("backend"), running("backend", definition="before")]
    )
    assert found.how == "roll"


def test_a_database_is_made_anew_on_request_alone() -> None:
    """Its users notice, and the plan says so."""
    (found,) = changes(
        STACK, ["postgres"], images=IMAGES, containers=[running("postgres", definition="x")], databases=True
    )
    assert (found.how, found.noticed) == ("replace", "whoever uses it, for seconds")


def test_what_does_not_run_is_started() -> None:
    """Beside what? There is nothing that it could take the place of."""
    found = changes(STACK, ["backend", "postgres", "migrate"], images=IMAGES, containers=[])
    assert {one.service: one.how for one in found} == {"backend": "start", "postgres": "start", "migrate": "run"}
    assert decide(running("backend", state="exited", definition="before")) == {
        "backend": "start: its definition has changed"
    }


def test_a_failed_one_shot_runs_again() -> None:
    """The same migration, once its cause is mended."""
    assert decide(running("migrate", state="exited", exit_code=1)) == {"migrate": "run: it does not run"}


def test_who_reads_a_changed_file_is_rolled_or_restarted() -> None:
    """New containers read it anew; what cannot run twice is restarted."""
    reason = "a file that it reads has changed"
    found = decide(running("backend"), running("nginx"), reread=["backend", "nginx"])
    assert found == {"backend": f"roll: {reason}", "nginx": f"restart: {reason}"}


def test_the_plan_says_who_notices() -> None:
    """Of Nginx everybody, of the scheduler nobody, though there is none of it for a moment."""
    there = [running(name, definition="before") for name in ("backend", "celery-beat", "nginx")]
    found = changes(STACK, [one.service for one in there], images=IMAGES, containers=there)
    assert {one.service: one.noticed for one in found} == {
        "backend": "nobody: the new ones serve before the old ones leave",
        "celery-beat": "nobody: for about a second there is none",
        "nginx": "every user, for seconds",
    }
    assert named(found, "roll") == ["backend", "celery-beat"]
