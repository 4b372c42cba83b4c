"""What production asks for beyond a start: pure judgements, and what is put at the engine."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.deploy.production import (
    confirm,
    foreign_secrets,
    host_findings,
    outdated,
    read_folder,
    require_room,
    rolled_findings,
)
from cotai_tasks.deploy.scale import read_count
from cotai_tasks.errors import PreflightError, UnhealthyError, UsageError
from cotai_tasks.facts import started_at
from cotai_tasks.sizing import plan
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from cotai_tasks.volumes import VolumeFile
from tests.unit.deploy.stacks import service, settings, stack

if TYPE_CHECKING:
    from pathlib import Path


GIB = 2**30
MEMINFO = "MemTotal:        4028328 kB\nMemFree:          102400 kB\nMemAvailable:    1258291 kB\n"
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
    [(8, "Choose COTAI_SIZE=small, or a larger host."), (3, "Choose a larger host.")],
)
def test_limits_beyond_the_host_are_refused(memory: int, cure: str) -> None:
    """With the size that would fit, where there is one."""
    whole = stack(*(service(name) for name in MEDIUM.limits), source="upstream")
    (found,) = host_findings(whole, MEDIUM, memory * GIB, evaluation=False)
    assert (found.where, found.cure) == ("COTAI_SIZE", cure)


def test_services_that_cannot_stand_beside_themselves_are_named() -> None:
    """All findings at once; what is not rolled may be as it likes."""
    nobody = stack(
        service("backend", checked=False, ports=(("127.0.0.1", 8000),)),
        service("celery-worker", fixed_name="the-worker"),
        service("nginx", checked=False, ports=(("::", 443),), fixed_name="nginx"),
        rolls={"backend": "proxied", "celery-worker": "beside", "left-out": "beside"},
    )
    found = [(one.where, one.cure) for one in rolled_findings(nobody)]
    assert found == [
        ("backend", "Give it one in its Compose file."),
        ("backend", "Take `ports` away: Nginx reaches it on the network."),
        ("celery-worker", "Take `container_name` away."),
    ]


@pytest.mark.parametrize(("replicas", "refused"), [(2, False), (3, True)])
def test_memory_for_old_and_new_beside_each_other(replicas: int, refused: bool) -> None:  # noqa: FBT001
    """What the new ones may use must be free: 512 MiB each, of 1.2 GiB."""
    engine = FakeEngine(answers={"container exec 1 cat /proc/meminfo": MEMINFO.splitlines()})
    rolling = stack(service("backend", memory=512 * 2**20, replicas=replicas), rolls={"backend": "proxied"})
    before = [container("postgres", id="0"), container("backend", id="1")]
    with pytest.raises(PreflightError, match=r"use 1\.61 GB, and 1\.29 GB of") if refused else nullcontext():
        require_room(rolling, ["backend"], before, engine)


def test_nothing_is_asked_where_nothing_runs_beside() -> None:
    """A first start has no overlap."""
    rolling = stack(service("backend", memory=2**40), rolls={"backend": "proxied"})
    require_room(rolling, ["backend"], [container("postgres")], FakeEngine())
    require_room(rolling, [], [container("backend")], FakeEngine())


def test_who_was_started_before_a_file_changed_is_known() -> None:
    """By the clock of the engine, so that an interrupted deploy is made good by the next one."""
    new, old = (container("backend", id=name, started_at=f"2026-01-01T00:00:{name}0Z") for name in "31")
    noon = started_at(container("x", started_at="2026-01-01T00:00:20.123456789Z"))
    assert outdated(STACK, {"secrets/app": noon}, [new]) == []
    assert outdated(STACK, {"secrets/app": noon}, [new, old]) == ["backend"]
    assert outdated(STACK, {"config/probe": noon, "secrets/proxy": noon}, [old]) == []
    deep = stack(service("grafana", folders=frozenset({"config/grafana/production"})))
    assert outdated(deep, {"config/grafana": noon}, [container("grafana", started_at="2026-01-01T00:00:00Z")]) == [
        "grafana"
    ]
    assert outdated(deep, {"config/graf": noon}, [container("grafana", started_at="2026-01-01T00:00:00Z")]) == []


def test_secrets_of_another_folder_are_refused(tmp_path: Path) -> None:
    """The databases know other passwords: what is at the engine is not overwritten."""
    assert foreign_secrets(STACK, tmp_path, b"theirs") == []
    (tmp_path / "MONGODB_KEY").write_bytes(b"ours")
    (found,) = foreign_secrets(STACK, tmp_path, b"theirs")
    assert found.fault == "cotai-dev was set up with other secrets than these"
    (tmp_path / "MONGODB_KEY").write_bytes(b"theirs")
    assert foreign_secrets(STACK, tmp_path, b"theirs\n") == []
    assert foreign_secrets(STACK, tmp_path, b"") == []


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


def test_an_answer_as_users_get_it_ends_a_deploy() -> None:
    """One that is no good is asked again for a while: a busy host may be late. In maintenance it is as it should be."""
    console, wanted = RecordingConsole(), settings(SERVER_NAME="example.org")
    fine, late = (FakeEngine(answers={"execute nginx": [status]}) for status in ("200", "503"))
    confirm(STACK, settings=wanted, engine=fine, console=console, patience=0)
    with pytest.raises(UnhealthyError, match=r"https://example\.org/health answers 503"):
        confirm(STACK, settings=wanted, engine=late, console=console, patience=0.1)
    assert len(late.calls) == 2
    late.folders["proxy/maintenance"] = {"on": b""}
    confirm(STACK, settings=wanted, engine=late, console=console, patience=0.1)
    assert "maintenance is on" in console.text()
