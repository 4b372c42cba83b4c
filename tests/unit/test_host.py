"""Whether a machine is fit: what is looked at, and what follows from it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cotai_tasks import host
from cotai_tasks.errors import EngineError, Finding, SettingsError
from cotai_tasks.facts import Image, Versions
from cotai_tasks.host import Check, Findings, Host, PortFault, diagnose, examine, observe, preflight
from cotai_tasks.testing import FakeEngine, container
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

VERSIONS = Versions("docker", (26, 1, 5), (2, 26, 1), (0, 13, 1))
FIT = Host(
    python=(3, 13, 1),
    versions=VERSIONS,
    registry=True,
    memory=24 * 10**9,
    disk=(60 * 10**9, 100 * 10**9),
)
ENGINE_FAULT = Finding("Docker Engine", "no Docker Engine answers", "Start it.")


def wrong(given: Host, **variables: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401 - any variable
    """Give what is not in order, without the cures."""
    checks = examine(settings(**{"COTAI_IMAGES": "auto"} | variables), given)
    return [(one.level, one.name, one.says) for one in checks if one.level != "pass"]


def test_a_fit_machine_passes_everything() -> None:
    """Each thing looked at is told, with what was found."""
    assert examine(settings(COTAI_IMAGES="auto", COTAI_GPU=True), replace(FIT, nvidia=True)) == [
        Check("Python", "pass", "3.13.1"),
        Check("Docker Engine", "pass", "26.1.5"),
        Check("Compose", "pass", "2.26.1"),
        Check("Buildx", "pass", "0.13.1"),
        Check("images", "pass", "the registry answers"),
        Check("memory", "pass", "24.00 GB"),
        Check("disk", "pass", "60.00 GB of 100.00 GB free where the engine keeps its data"),
        Check("ports", "pass", "free, or held by this stack"),
        Check("GPU", "pass", "the engine has the NVIDIA runtime"),
    ]


@pytest.mark.parametrize(
    ("changes", "level", "name", "says"),
    [
        ({"python": (3, 10, 2)}, "fail", "Python", "3.10.2 is too old"),
        (
            {"versions": replace(VERSIONS, server=(20, 10, 24))},
            "fail",
            "Docker Engine",
            "20.10.24 is too old, 26.0 is needed",
        ),
        ({"versions": replace(VERSIONS, compose=(2, 25, 0))}, "fail", "Compose", "2.25.0 is too old, 2.26 is needed"),
        ({"versions": replace(VERSIONS, compose=(0,))}, "fail", "Compose", "this docker client lacks it"),
        ({"versions": replace(VERSIONS, buildx=(0,))}, "fail", "Buildx", "this docker client lacks it"),
        ({"memory": 2 * 10**9}, "warn", "memory", "2.00 GB, 4.00 GB are advised"),
        (
            {"disk": (4 * 10**9, 10 * 10**9)},
            "fail",
            "disk",
            "nearly full: 4.00 GB of 10.00 GB free where the engine keeps its data",
        ),
        (
            {"disk": (14 * 10**9, 100 * 10**9)},
            "warn",
            "disk",
            "14.00 GB of 100.00 GB free where the engine keeps its data",
        ),
        ({"registry": False}, "fail", "images", "no image registry answers, and mmdebstrap is missing"),
        ({"nvidia": False}, "fail", "GPU", "COTAI_GPU=true, and the engine has no NVIDIA runtime"),
        (
            {"ports": (PortFault(5432, "postgres", "process postgres (pid 7) has it"),)},
            "fail",
            "port 5432",
            "postgres wants it, process postgres (pid 7) has it",
        ),
    ],
)
def test_one_thing_wrong_is_one_finding(changes: dict[str, Any], level: str, name: str, says: str) -> None:
    """Each fault is told by itself, as an error or a warning."""
    assert wrong(replace(FIT, **{"nvidia": True} | changes), COTAI_GPU=True) == [(level, name, says)]


def test_everything_wrong_is_told_at_once() -> None:
    """No engine hides neither an old Compose, nor little memory, nor a taken port."""
    ruin = Host(
        python=(3, 11, 0),
        versions=Versions("docker", (0,), (2, 1, 0), (0,)),
        engine_fault=ENGINE_FAULT,
        registry=False,
        memory=10**9,
        ports=(PortFault(8000, "backend", "container other has it"),),
    )
    assert [f"{level} {name}" for level, name, _ in wrong(ruin, COTAI_GPU=True)] == [
        "fail Docker Engine",
        "fail Compose",
        "fail Buildx",
        "fail images",
        "warn memory",
        "fail port 8000",
    ]


@pytest.mark.parametrize(
    ("wish", "changes", "level", "says"),
    [
        ("auto", {"images": True, "registry": False}, "pass", "the base image is on this host"),
        (
            "auto",
            {"builder": True, "registry": False},
            "pass",
            "no image registry answers: they are built here from packages (mmdebstrap)",
        ),
        ("auto", {"registry": None}, None, None),
        (
            "upstream",
            {"builder": True, "registry": False},
            "fail",
            "no image registry answers, and COTAI_IMAGES=upstream wants one",
        ),
        ("offline", {}, "fail", "COTAI_IMAGES=offline, and mmdebstrap is missing"),
        ("offline", {"builder": True}, "pass", "COTAI_IMAGES=offline: they are built here from packages (mmdebstrap)"),
    ],
)
def test_where_images_can_come_from(wish: str, changes: dict[str, Any], level: str | None, says: str | None) -> None:
    """They are here, or a registry has them, or they can be built; what nobody asked about is not told."""
    checks = examine(settings(COTAI_IMAGES=wish), replace(FIT, **changes))
    found = next(((one.level, one.says) for one in checks if one.name == "images"), (None, None))
    assert found == (level, says)


def test_preflight_gives_errors_and_warnings() -> None:
    """A start stops at the errors, and tells the warnings; a taken port names the variable to change."""
    given = replace(FIT, memory=10**9, ports=(PortFault(8000, "backend", "container other has it"),))
    assert preflight(settings(COTAI_IMAGES="auto"), given) == Findings(
        errors=(
            Finding(
                "port 8000",
                "backend wants it, container other has it",
                "Stop that, or give another port: BACKEND_PORT.",
            ),
        ),
        warnings=(
            Finding(
                "memory",
                "1.00 GB, 4.00 GB are advised",
                "Give the machine more, or start less: inv deploy.dev --without ai,monitoring",
            ),
        ),
    )


# -- observing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port that this process listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def local_engine(**fields: Any) -> FakeEngine:  # noqa: ANN401 - any field of the engine
    return FakeEngine(answers={"context": ["unix:///var/run/docker.sock"]}, **fields)


def port_faults(engine: Engine, port: int, address: str = "127.0.0.1") -> list[str]:
    return [one.fault for one in observe(settings(), engine, {"api": [(address, port)]}).ports]


def test_the_engine_tells_of_its_host() -> None:
    """Versions, memory, disk and runtimes, as the engine sees them."""
    facts = {"MemTotal": 8, "DockerRootDir": "/", "Runtimes": {"runc": {}, "nvidia": {}}}
    engine = local_engine(host=facts, found_images={"python:3": Image("1", (), 1, "")})
    usage = shutil.disk_usage("/")
    found = observe(settings(), engine, {}, reachable=lambda: True)
    assert found.disk
    assert found.disk[1] == pytest.approx(usage.used + usage.free, rel=0.01)
    assert replace(found, disk=None, builder=False) == Host(
        python=sys.version_info[:3], versions=engine.told, registry=True, images=True, memory=8, nvidia=True
    )


def test_a_taken_port_names_the_process(taken: int) -> None:
    """Not only that it is taken, but by whom."""
    name = psutil.Process().name()
    assert port_faults(local_engine(), taken) == [f"process {name} (pid {os.getpid()}) has it"]


def test_a_free_port_is_free(taken: int) -> None:
    """Another address of the same port does not count, nor a connection that has just ended."""
    assert port_faults(local_engine(), taken, "127.0.0.2") == []


def test_another_container_is_named(taken: int) -> None:
    """Whatever process holds a published port, it is the container that one can stop."""
    engine = local_engine(found_containers=[container("db", name="other", project="", ports=(f"0.0.0.0:{taken}",))])
    assert port_faults(engine, taken) == ["container other has it"]


def test_ones_own_containers_do_not_count(taken: int) -> None:
    """A stack that runs already is no obstacle to itself."""
    engine = local_engine(found_containers=[container("api", ports=(f"127.0.0.1:{taken}",))])
    assert port_faults(engine, taken) == []


def test_a_remote_engine_has_ports_of_its_own(taken: int) -> None:
    """What this machine holds says nothing about an engine elsewhere, and its disk neither."""
    engine = FakeEngine(answers={"context": ["ssh://somewhere"]}, host={"DockerRootDir": "/"})
    found = observe(settings(), engine, {"api": [("127.0.0.1", taken)]})
    assert (found.ports, found.disk) == ((), None)


def test_an_address_of_another_machine_is_told() -> None:
    """BIND_ADDRESS must be one of this machine's."""
    assert port_faults(local_engine(), 8000, "192.0.2.1") == ["and 192.0.2.1 is no address of this machine"]


def test_a_port_that_needs_root_is_left_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may bind 80 where this user may not."""

    class Refusing(socket.socket):
        def bind(self, _: object) -> None:
            raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(socket, "socket", Refusing)
    assert port_faults(local_engine(), 80) == []


@pytest.mark.parametrize("listing", [[], psutil.AccessDenied()])
def test_a_process_that_cannot_be_seen(taken: int, listing: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process has no name for us, but the port is taken all the same."""

    def connections(_: str) -> object:
        if isinstance(listing, Exception):
            raise listing
        return listing

    monkeypatch.setattr(psutil, "net_connections", connections)
    assert port_faults(local_engine(), taken) == ["another user's process has it"]


class DeadEngine(FakeEngine):
    """An engine whose daemon does not answer."""

    def info(self) -> dict[str, Any]:
        """Refuse."""
        raise EngineError("no Docker Engine answers", cure="Start it.")

    def containers(self, project: str = "") -> list[Any]:
        """Refuse."""
        raise EngineError(f"no Docker Engine answers {project}")


def test_a_dead_engine_leaves_the_rest_to_be_seen(taken: int) -> None:
    """Client, memory and ports are looked at without it."""
    found = observe(settings(), DeadEngine(), {"api": [("127.0.0.1", taken)]})
    assert (found.engine_fault, found.versions, found.memory) == (ENGINE_FAULT, VERSIONS, psutil.virtual_memory().total)


def test_the_registry_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name resolution that hangs for a minute costs `doctor` a second."""
    monkeypatch.setattr(host, "REGISTRY_PATIENCE", 0.01)
    started = threading.Event()
    monkeypatch.setattr(host, "registry_reachable", lambda: started.wait(0.3) or True)
    assert host.ask_registry() is False
    monkeypatch.setattr(host, "REGISTRY_PATIENCE", 5)
    started.set()
    assert host.ask_registry() is True


# -- everything together -----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _silent_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "registry_reachable", lambda: True)


def no_docker() -> Engine:
    raise EngineError("no docker command on PATH", cure="Install it.")


def faulty_settings(_: Engine | None) -> Settings:
    raise SettingsError("faults", findings=[Finding("env:1 A", "unknown variable", "Remove it.")])


def names(checks: list[Check]) -> list[str]:
    return [f"{one.level} {one.name}" for one in checks if one.level != "pass" and not one.name.startswith("port ")]


def test_all_that_is_broken_is_told_together() -> None:
    """Neither a missing docker nor faulty settings hide the other."""
    assert names(diagnose(no_docker, faulty_settings)) == ["fail Docker Engine", "fail env:1 A", "warn ports"]
    assert names(diagnose(no_docker, lambda _: settings(COTAI_GPU=True))) == ["fail Docker Engine"]


def test_a_missing_settings_file_is_one_finding() -> None:
    """An error without findings is one itself."""

    def missing(_: Engine | None) -> Settings:
        raise SettingsError("env/.env.development: no such file", cure="Restore it.")

    checks = diagnose(local_engine, missing)
    assert Check("settings", "fail", "env/.env.development: no such file", "Restore it.") in checks


def test_a_dead_engine_is_not_asked_which_stack_runs() -> None:
    """Settings are read without it, so that their faults show too."""
    seen: list[Engine | None] = []

    def read(engine: Engine | None) -> Settings:
        seen.append(engine)
        return settings(COTAI_IMAGES="auto")

    assert names(diagnose(DeadEngine, read)) == ["fail Docker Engine"]
    assert seen == [None]


def test_the_ports_of_the_env_file_are_looked_at(taken: int) -> None:
    """Each published port, at the address where the stack binds."""
    checks = diagnose(local_engine, lambda _: settings(BACKEND_PORT=taken))
    assert [one for one in checks if one.name == f"port {taken}"] == [
        Check(
            f"port {taken}",
            "fail",
            f"BACKEND_PORT wants it, process {psutil.Process().name()} (pid {os.getpid()}) has it",
            "Stop that, or give another port: BACKEND_PORT.",
        )
    ]
