"""The checks of security, on containers that keep the rules, and on one that breaks each of them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from cotai_tasks.validate.catalogue import catalogue
from cotai_tasks.validate.check import State
from cotai_tasks.validate.subject import Subject
from tests.integration.test_scanning import private_key
from tests.integration.validate.little import Little, little_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cotai_tasks.engine import Engine
    from cotai_tasks.validate.check import Outcome

pytestmark = pytest.mark.integration

SECRET = "correct-horse-battery-staple"

BROKEN = {
    "SEC-01": "a container runs as root",
    "SEC-02": "a container has a capability that nobody declared",
    "SEC-04": "a container sees a folder of the host",
    "SEC-05": "a password stands in the environment of an image",
    "SEC-06": "a password stands in the environment of a container",
    "SEC-17": "a container wrote a password into its log",
    "SEC-18": "a private key lies in an image",
}

HARD = (
    *("--user", "10001:10001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"),
    *("--tmpfs", "/tmp"),
)
SOFT: dict[str, tuple[str, ...]] = {
    "SEC-01": ("--user", "0:0"),
    "SEC-02": ("--user", "0:0", "--cap-add", "SYS_ADMIN"),
    "SEC-03": ("--read-only=false", "--user", "0:0"),
    "SEC-04": ("--volume", "/etc:/host:ro"),
    "SEC-06": ("--env", f"DATABASE_URL=postgresql://cotai:{SECRET}@postgres/cotai"),
}
"""What breaks each rule, added to a container that keeps all of them."""


@pytest.fixture(scope="module")
def little(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Little]:
    """Give a stack of one container that keeps the rules."""
    with little_stack(engine, tmp_path_factory.mktemp("little")) as little:
        for service in list(little.made):
            little.remove(service)
        little.start("backend", flags=HARD)
        yield little


def tried(little: Little, name: str, **variables: Any) -> Outcome:  # noqa: ANN401 - any variable
    """Try one check on the stack as it is now, whose password of PostgreSQL is known."""
    changed = {"POSTGRES_PASSWORD": SecretStr(SECRET)} | variables
    own = little.settings.model_copy(update={"variables": little.settings.variables.model_copy(update=changed)})
    return next(one for one in catalogue() if one.id == name).run(Subject(own, little.engine))


@pytest.mark.parametrize("name", SOFT)
def test_a_broken_rule_fails(little: Little, name: str) -> None:
    """It passes while every container keeps the rule, fails beside one that does not, and names that one."""
    assert tried(little, name).state == State.PASS
    little.start("celery-worker", flags=(*HARD, *SOFT[name]))
    try:
        outcome = tried(little, name)
    finally:
        worker = little.made["celery-worker"]
        title = little.engine.command("inspect", "--format", "{{.Name}}", worker).strip().lstrip("/")
        little.remove("celery-worker")
    assert outcome.state == State.FAIL
    assert all(line.startswith((title, "celery-worker")) for line in outcome.evidence)
    assert SECRET not in str(outcome)


def test_a_password_in_a_log_fails(little: Little) -> None:
    """SEC-17: the container is named, the password is not shown."""
    little.engine.command("exec", little.made["backend"], "sh", "-c", "echo fine >/proc/1/fd/1")
    assert tried(little, "SEC-17").state == State.PASS
    little.engine.command("exec", little.made["backend"], "sh", "-c", f"echo login {SECRET} >/proc/1/fd/1")
    outcome = tried(little, "SEC-17")
    assert outcome.state == State.FAIL
    assert "POSTGRES_PASSWORD" in outcome.evidence[0]
    assert SECRET not in str(outcome)


@pytest.mark.parametrize(("line", "state"), [("LABEL fine=yes", State.PASS), (f"ENV PASSWORD={SECRET}", State.FAIL)])
def test_a_password_in_an_image_fails(little: Little, tmp_path: Path, line: str, state: State) -> None:
    """SEC-05: in what everybody can read who may pull the image."""
    repository = f"cotai-test-{uuid.uuid4().hex[:6]}"
    image = f"{repository}/production:{little.settings.variables.COTAI_TAG}"
    (tmp_path / "Dockerfile").write_text(f"FROM {little.image}\n{line}\n")
    list(little.engine.build(["build", "--tag", image, "--load", "."], {}, tmp_path))
    try:
        assert tried(little, "SEC-05", COTAI_REPOSITORY=repository).state == state
    finally:
        little.engine.remove_images([image])


def test_a_key_in_an_image_fails(little: Little, tmp_path: Path) -> None:
    """SEC-18: a file that looks like one, wherever it lies."""
    repository = f"cotai-test-{uuid.uuid4().hex[:6]}"
    image = f"{repository}/production:{little.settings.variables.COTAI_TAG}"
    (tmp_path / "server.key").write_text(private_key())
    (tmp_path / "Dockerfile").write_text(f"FROM {little.image}\nCOPY server.key /srv/server.key\n")
    list(little.engine.build(["build", "--tag", image, "--load", "."], {}, tmp_path))
    try:
        outcome = tried(little, "SEC-18", COTAI_REPOSITORY=repository)
    finally:
        little.engine.remove_images([image])
    assert outcome.state == State.FAIL
    assert "server.key" in "".join(outcome.evidence)
