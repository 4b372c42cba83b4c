"""What a scratch container is made of, and that none stays that should not."""

from __future__ import annotations

import pytest

from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.scratch import drop_scratch, scratch
from cotai_tasks.errors import BackupError, EngineError, IntegrityError
from cotai_tasks.testing import FakeEngine
from tests.unit.deploy.stacks import service, settings, stack

BACKUP = "20261123T073840Z-7c8255"
NAME = "cotai-dev-drill-postgres-7c8255"
KEPT = "cotai-dev-scratch-postgres-7c8255"


def removal(name: str) -> tuple[str, ...]:
    return ("container", "rm", "--force", "--volumes", name)


REMOVED = removal(NAME)


def site(**answers: list[str]) -> Site:
    limits = {"mem_limit": "805306368", "cpus": 1.5, "user": "999:999", "tmpfs": ["/tmp:size=64m"]}
    engine = FakeEngine(answers={name.replace("_", " "): lines for name, lines in answers.items()})
    known = {"services": {"postgres": limits}}
    return Site(stack(service("postgres", image="postgres:17"), rendered=known), settings(), engine)


def calls(site: Site) -> list[tuple[str, ...]]:
    assert isinstance(site.engine, FakeEngine)
    return site.engine.calls


def test_a_scratch_container_has_nothing_but_its_image_and_limits() -> None:
    """No network, no mount of the project, no capability; it is removed before, and after with its volumes."""
    at = site()
    with scratch(at, "postgres", BACKUP, probe=["ready"], command=["serve", "-x"], environ={"TRUST": "yes"}) as name:
        assert name == NAME
    assert calls(at) == [
        REMOVED,
        (
            *("run", "--detach", "--pull", "never", "--name", NAME, "--network", "none"),
            *("--label", "cotai.scratch=cotai-dev", "--label", f"cotai.backup={BACKUP}"),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "999:999"),
            *("--memory", "805306368", "--cpus", "1.5", "--tmpfs", "/tmp:size=64m", "--env", "TRUST=yes"),
            *("postgres:17", "serve", "-x"),
        ),
        ("exec", NAME, "ready"),
        REMOVED,
    ]


@pytest.mark.parametrize(("keep", "removed", "left"), [(False, REMOVED, 2), (True, removal(KEPT), 1)])
def test_keep_keeps_what_went_well(keep: bool, removed: tuple[str, ...], left: int) -> None:  # noqa: FBT001 - a case
    """Without it the container goes; an interruption removes it in any case."""
    at = site()
    with scratch(at, "postgres", BACKUP, probe=["ready"], keep=keep):
        pass
    assert calls(at).count(removed) == left
    with pytest.raises(KeyboardInterrupt), scratch(at, "postgres", BACKUP, probe=["ready"], keep=keep):
        raise KeyboardInterrupt
    assert calls(at)[-1] == removed


def test_what_is_kept_is_not_in_the_way_of_anything_else() -> None:
    """A drill of the same backup, the staging of a live restore, and another backup leave it alone."""
    at = site()
    with scratch(at, "postgres", BACKUP, probe=["ready"], keep=True) as kept:
        assert kept == KEPT
    at = site()
    names = []
    for backup, keep, staging in ((BACKUP, False, False), (BACKUP, False, True), (f"{BACKUP[:-6]}000000", True, False)):
        with scratch(at, "postgres", backup, probe=["ready"], keep=keep, staging=staging) as name:
            names.append(name)
    assert names == [NAME, "cotai-dev-staging-postgres-7c8255", "cotai-dev-scratch-postgres-000000"]
    assert removal(KEPT) not in calls(at)


def test_a_container_that_ends_says_why() -> None:
    """Its state and its last words, instead of a wait; nothing of it stays."""
    at = site(container_inspect=["exited"], logs=["first", "no password"])
    assert isinstance(at.engine, FakeEngine)
    at.engine.errors["exec"] = EngineError("not running")
    with (
        pytest.raises(BackupError, match=r"has ended \(exited\)") as caught,
        scratch(at, "postgres", BACKUP, probe=["x"]),
    ):
        pass
    assert caught.value.evidence == "first\nno password"
    assert calls(at)[-1] == REMOVED


def test_all_kept_ones_are_dropped() -> None:
    """Those of this stack, by their label."""
    at = site(container_ls=["cotai-dev-scratch-redis", NAME])
    assert drop_scratch(at) == [NAME, "cotai-dev-scratch-redis"]
    assert calls(at)[0][4] == "label=cotai.scratch=cotai-dev"
    assert REMOVED in calls(at)


@pytest.mark.parametrize(
    ("words", "state", "expected"),
    [
        ("pg_restore: error: could not execute query: ERROR: relation does not exist", "running", IntegrityError),
        ("pg_restore: error: could not write to file: No space left on device", "running", EngineError),
        ("server closed the connection unexpectedly", "running", EngineError),
        ("Error response from daemon: context canceled", "running", EngineError),
        ("psql: ERROR:  invalid locale name: de_DE.utf8", "running", EngineError),
        ("pg_restore: error: did not find magic string in file header", "exited", EngineError),
    ],
)
def test_what_its_own_tool_refuses_is_damaged(words: str, state: str, expected: type[Exception]) -> None:
    """Unless the host kept it from its work, or the container has gone: that says nothing of the backup."""
    at = site(container_inspect=[state])
    with pytest.raises(expected) as caught, scratch(at, "postgres", BACKUP, probe=["ready"]):
        raise EngineError("pg_restore of cotai failed", evidence=words)
    assert type(caught.value) is expected
    assert "pg_restore of cotai failed" in str(caught.value)
    assert calls(at)[-1] == REMOVED
