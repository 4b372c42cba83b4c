"""What production asks for beyond a start: pure judgements, and what is put at the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.deploy.production import host_findings, read_folder, readers, recreated
from cotai_tasks.deploy.scale import read_count
from cotai_tasks.errors import UsageError
from cotai_tasks.sizing import plan
from cotai_tasks.volumes import VolumeFile
from tests.unit.deploy.stacks import service, stack

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
MEDIUM = plan("medium", cpus=4, model_memory=2048, replicas={})
DATABASE = service(
    "postgres", volumes=frozenset({"x_postgres"}), folders=frozenset({"config/postgres", "secrets/postgres"})
)
API = service("backend", folders=frozenset({"secrets/app", "config/probe"}), scales=True)
STACK = stack(
    DATABASE, API, service("nginx", folders=frozenset({"secrets/proxy"})), formats={"x_postgres": "postgresql-17"}
)


def test_a_host_that_fits_has_no_finding() -> None:
    """The size's own host, upstream images."""
    assert host_findings(replace(STACK, source="upstream"), MEDIUM, 16 * GIB, evaluation=False) == []


def test_the_stand_in_for_mongodb_needs_to_be_asked_for() -> None:
    """Images made without a registry are for evaluation; whoever says so gets them."""
    offline = replace(STACK, source="offline")
    assert [one.where for one in host_findings(offline, MEDIUM, 16 * GIB, evaluation=False)] == ["COTAI_IMAGES"]
    assert host_findings(offline, MEDIUM, 16 * GIB, evaluation=True) == []


@pytest.mark.parametrize(
    ("memory", "cure"),
    [(8, "Choose another: COTAI_SIZE=small."), (3, "Choose another: fewer replicas, or less LLM_MEMORY.")],
)
def test_limits_beyond_the_host_are_refused(memory: int, cure: str) -> None:
    """With the size that would fit, where there is one."""
    (found,) = host_findings(replace(STACK, source="upstream"), MEDIUM, memory * GIB, evaluation=False)
    assert (found.where, found.cure) == ("COTAI_SIZE", cure)


def test_who_reads_a_changed_file_is_known() -> None:
    """By the folders that each service has mounted; a name that only begins alike is another folder."""
    assert readers(STACK, {"secrets/app/CACHE_URL"}) == ["backend"]
    assert readers(STACK, {"config/postgres/production.conf", "secrets/proxy/htpasswd"}) == ["nginx", "postgres"]
    assert readers(STACK, {"config/postgresql/x", "proxy/certs/privkey.pem"}) == []


def test_a_database_that_would_be_made_anew_is_known() -> None:
    """By Compose's own fingerprint, and only databases: the others are there to be replaced."""
    assert STACK.stateful == ["postgres"]
    assert recreated(STACK, {"postgres": "new", "backend": "new"}, {"postgres": "old", "backend": "old"}) == [
        "postgres"
    ]
    assert recreated(STACK, {"postgres": "same"}, {"postgres": "same"}) == []
    assert recreated(STACK, {"postgres": "new"}, {}) == []


def test_a_folder_is_read_with_what_can_be_run(tmp_path: Path) -> None:
    """Programs stay programs, the rest can be read by everybody and written by nobody."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.conf").write_text("a")
    (tmp_path / "start.sh").write_text("b")
    (tmp_path / "start.sh").chmod(0o755)
    assert read_folder(tmp_path) == {
        "deep/a.conf": VolumeFile(b"a", 0, 0o444),
        "start.sh": VolumeFile(b"b", 0, 0o555),
    }


@pytest.mark.parametrize(
    ("name", "count", "fault", "cure"),
    [
        ("backnd", "2", "no such service: 'backnd'", "Did you mean backend?"),
        ("postgres", "2", "postgres cannot have several containers", "These can: backend."),
        ("backend", "0", "0: not a number of containers", "inv deploy.stop --svc NAME stops a service."),
        ("backend", "many", "many: not a number of containers", "inv deploy.stop --svc NAME stops a service."),
    ],
)
def test_what_cannot_be_scaled_is_refused(name: str, count: str, fault: str, cure: str) -> None:
    """A database doubled by mistake would be two databases."""
    with pytest.raises(UsageError) as caught:
        read_count(STACK, name, count)
    assert (str(caught.value), caught.value.cure) == (fault, cure)


def test_a_number_of_containers_is_read() -> None:
    """What scales, and how many."""
    assert read_count(STACK, "backend", "3") == 3
