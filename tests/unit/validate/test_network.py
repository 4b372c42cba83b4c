"""What the checks of the network decide on what every container found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import UsageError
from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.network import (
    judge_callers,
    judge_namespaces,
    judge_published,
    judge_reach,
    judge_wall,
    judge_ways_out,
)
from cotai_tasks.validate.reach import FILE, Declared, Reach, View, read_declared, read_networks

if TYPE_CHECKING:
    from cotai_tasks.settings import Environment

ROOT = Path(__file__).parents[3]

ADDRESSES = {
    "nginx": {"10.1.0.2": "edge"},
    "backend": {"10.1.0.3": "edge", "10.2.0.3": "data"},
    "redis": {"10.2.0.4": "data"},
}
NETWORKS = {"nginx": ["edge"], "backend": ["data", "edge"], "redis": ["data"], "search": ["data"]}
WANTED = Declared(
    allowed={
        ("nginx", 8443): frozenset({"backend"}),
        ("backend", 8000): frozenset({"nginx", "redis"}),
        ("redis", 6379): frozenset({"backend"}),
    },
    world=frozenset({"nginx", "backend"}),
)
NGINX = View(
    name="nginx-1",
    service="nginx",
    networks=frozenset({"edge"}),
    names={"backend": ["10.1.0.3"], "redis": []},
    tried={"10.1.0.3:8000": "open", "10.2.0.3:8000": "silent", "10.2.0.4:6379": "silent"},
    listens=[8443],
    world=True,
)
BACKEND = View(
    name="backend-1",
    service="backend",
    networks=frozenset({"edge", "data"}),
    names={"nginx": ["10.1.0.2"], "redis": ["10.2.0.4"]},
    tried={"10.1.0.2:8443": "open", "10.2.0.4:6379": "open"},
    listens=[8000],
    world=True,
)
REDIS = View(
    name="redis-1",
    service="redis",
    networks=frozenset({"data"}),
    names={"nginx": [], "backend": ["10.2.0.3"]},
    tried={"10.1.0.2:8443": "no way", "10.1.0.3:8000": "no way", "10.2.0.3:8000": "open"},
    listens=[6379],
    world=False,
)


def seen(nginx: View = NGINX, backend: View = BACKEND, redis: View = REDIS) -> Reach:
    return Reach([nginx, backend, redis], ADDRESSES)


def changed(view: View, **what: Any) -> View:  # noqa: ANN401 - any field
    merged = {name: {**getattr(view, name), **value} for name, value in what.items() if isinstance(value, dict)}
    return replace(view, **(what | merged))


def test_reach_as_declared() -> None:
    """NET-01: the same in both directions passes, and gives the picture."""
    outcome = judge_reach(seen(), WANTED, NETWORKS, "prod")
    assert (outcome.state, outcome.figure) == (State.PASS, "3 containers, 6 ways tried, 0 other than declared")
    assert outcome.data["matrix"] == {
        "rows": ["backend", "nginx", "redis"],
        "columns": ["backend:8000", "nginx:8443", "redis:6379"],
        "open": [
            ["backend", "nginx:8443"],
            ["backend", "redis:6379"],
            ["nginx", "backend:8000"],
            ["redis", "backend:8000"],
        ],
        "allowed": [
            ["backend", "nginx:8443"],
            ["backend", "redis:6379"],
            ["nginx", "backend:8000"],
            ["redis", "backend:8000"],
        ],
    }


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        (
            seen(nginx=changed(NGINX, tried={"10.2.0.4:6379": "open"})),
            ["nginx-1 → redis:6379: open at 10.2.0.4, and not allowed"],
        ),
        (
            seen(nginx=changed(NGINX, names={"redis": ["10.2.0.4"]}, tried={"10.2.0.4:6379": "open"})),
            ["nginx-1 → redis:6379: open by name, and not allowed"],
        ),
        (
            seen(nginx=changed(NGINX, names={"backend": []})),
            ["nginx-1 → backend:8000: allowed, but unknown name"],
        ),
        (
            seen(redis=changed(REDIS, tried={"10.2.0.3:8000": "refused"})),
            ["redis-1 → backend:8000: allowed, but refused"],
        ),
        (
            seen(redis=changed(REDIS, listens=[6379, 9200])),
            [f"redis-1 listens on 9200: {FILE}, under prod: redis:9200: [backend, search]"],
        ),
        (
            seen(backend=changed(BACKEND, tried={"10.2.0.4:6379": "silent"})),
            [
                "redis:6379: nobody reaches it, so that a wall before it proves nothing",
                "backend-1 → redis:6379: allowed, but silent",
            ],
        ),
        (Reach([], {}), ["no container was tried from, or no port was tried"]),
    ],
)
def test_reach_other_than_declared(found: Reach, faults: list[str]) -> None:
    """NET-01: open and not allowed, allowed and closed, listening and undeclared, nothing looked at."""
    outcome = judge_reach(found, WANTED, NETWORKS, "prod")
    assert (outcome.state, list(outcome.evidence)) == (State.FAIL, faults)


def test_strangers_with_our_names() -> None:
    """A name that means somebody else's address, as the world's name servers may have it, reaches none of ours."""
    found = seen(nginx=changed(NGINX, names={"redis": ["203.0.113.9"]}))
    assert judge_reach(found, WANTED, NETWORKS, "prod").state == State.PASS


def test_the_wall() -> None:
    """NET-02: a database open to Nginx; one that nobody reaches; a Nginx that reaches nobody; no database."""
    redis, beyond = [("redis", 6379)], {"backend"}
    assert judge_wall(seen(), "nginx", redis, beyond).figure == "0 open of 1, by address and by name"
    broken = {
        "nginx-1 → redis:6379: open": seen(nginx=changed(NGINX, tried={"10.2.0.4:6379": "open"})),
        "redis:6379: nobody reaches it, so that the wall before it proves nothing": seen(
            backend=changed(BACKEND, tried={"10.2.0.4:6379": "silent"})
        ),
        "nginx reaches nobody at all, so that the wall proves nothing": seen(
            nginx=changed(NGINX, tried={"10.1.0.3:8000": "silent"})
        ),
    }
    for fault, found in broken.items():
        assert judge_wall(found, "nginx", redis, beyond).evidence == (fault,)
    with pytest.raises(SkipCheck):
        judge_wall(seen(), "nginx", [], beyond)


def test_ways_out() -> None:
    """NET-03: a way out that nobody allowed; a network entered from outside; nobody with a way; nobody without."""
    assert judge_ways_out(seen(), WANTED.world).figure == "1 of 3 containers have none; 4 tries of other networks"
    broken = {
        "redis-1: has a way out to the world": seen(redis=changed(REDIS, world=True)),
        "redis-1 → 10.1.0.2:8443: open, though it is not on edge": seen(
            redis=changed(REDIS, tried={"10.1.0.2:8443": "open"})
        ),
        "nobody at all has a way out, not even who may, so that this proves nothing": seen(
            nginx=changed(NGINX, world=False), backend=changed(BACKEND, world=False)
        ),
    }
    for fault, found in broken.items():
        assert judge_ways_out(found, WANTED.world).evidence == (fault,)
    with pytest.raises(SkipCheck):
        judge_ways_out(seen(), frozenset(ADDRESSES))


def test_published_ports() -> None:
    """NET-04: beyond loopback the two ways in alone, and both of them."""
    fine = {"nginx-1": ["0.0.0.0:80", ":::80", "0.0.0.0:443"], "db-1": ["127.0.0.1:5432", "::1:5432"], "web-1": []}
    assert judge_published(fine, {80, 443}).state == State.PASS
    assert judge_published(fine | {"db-1": ["0.0.0.0:5432"]}, {80, 443}).evidence == (
        "db-1: 0.0.0.0:5432 is open to others",
    )
    assert judge_published({"nginx-1": ["0.0.0.0:80"]}, {80, 443}).evidence == (
        "port 443 is not published: nobody can come in",
    )


def inspected(name: str, **host: str) -> dict[str, Any]:
    networks = {"edge": {"IPAddress": "10.1.0.2"}, "none": {"IPAddress": ""}}
    return {"Name": f"/{name}", "HostConfig": host, "NetworkSettings": {"Networks": networks}}


@pytest.mark.parametrize(
    ("one", "faults"),
    [
        (inspected("db-1", NetworkMode="data", PidMode="", IpcMode="private"), ()),
        (inspected("db-1", NetworkMode="host"), ("db-1: has its host's network",)),
        (inspected("db-1", PidMode="host"), ("db-1: has its host's processes",)),
        (inspected("db-1", IpcMode="host"), ("db-1: has its host's shared memory",)),
        (inspected("db-1", UTSMode="host"), ("db-1: has its host's name",)),
    ],
)
def test_namespaces(one: dict[str, Any], faults: tuple[str, ...]) -> None:
    """NET-05: each namespace of the host; nothing looked at."""
    assert judge_namespaces([one]).evidence == faults
    assert judge_namespaces([]).state == State.FAIL
    assert read_networks(one) == {"edge": "10.1.0.2"}


def test_callers() -> None:
    """NET-06: somebody else; not the one who should."""
    port = [("redis", 6379)]
    assert judge_callers(seen(), port, {"backend"}).figure == "open to 1 of 2 ways tried"
    assert judge_callers(seen(), port, {"nginx"}).evidence == (
        "backend-1 → redis:6379: open",
        "nginx does not reach it, so that the others' wall proves nothing",
    )


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_our_own_file(environment: Environment) -> None:
    """The file that comes with the product reads; nobody of `world` is a database, and each port has somebody."""
    wanted = read_declared(ROOT / FILE, environment)
    assert wanted.allowed["postgres", 5432] >= {"backend", "celery-worker", "postgres-exporter"}
    assert all(wanted.allowed.values())
    assert {"backend", "alertmanager"} <= wanted.world
    assert environment == "dev" or not wanted.world & {"postgres", "mongodb", "redis", "redis-cache", "ollama"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("dev: {}", "no section prod"),
        ("prod: {redis: [backend]}", "invalid literal for int() with base 10: ''"),
        ("prod: [", "while parsing a flow node"),
        ("prod: {redis:6379: 3}", "'int' object is not iterable"),
    ],
)
def test_a_file_that_does_not_read(tmp_path: Path, text: str, cause: str) -> None:
    """What is wrong with the file is said in one line."""
    (tmp_path / "reach.yaml").write_text(text)
    with pytest.raises(UsageError, match=FILE) as told:
        read_declared(tmp_path / "reach.yaml", "prod")
    assert cause in str(told.value)
