"""The checks of the network, on containers that stand where they should, and then where they should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks.validate.check import State
from tests.integration.validate.little import little_stack, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cotai_tasks.engine import Engine
    from tests.integration.validate.little import Little

pytestmark = pytest.mark.integration

BROKEN = {
    "NET-01": "a database stands on Nginx's network, too",
    "NET-02": "Nginx stands on the databases' network, too",
    "NET-03": "a database stands on a network with a way out",
    "NET-04": "a database's port is published on an address that is not loopback",
    "NET-05": "a container sees its host's processes",
}


@pytest.fixture(scope="module")
def little(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Little]:
    """Give the little stack as it should be; each test mends what it breaks."""
    with little_stack(engine, tmp_path_factory.mktemp("little")) as little:
        yield little


def gateway(little: Little) -> str:
    """Give the host's own address on a network of the stack: nobody beyond the host reaches it."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    return little.engine.command("network", "inspect", "--format", template, f"{little.project}_edge").strip()


BREAKING: dict[str, tuple[Callable[[Little], object], Callable[[Little], object], str]] = {
    "NET-01": (
        lambda one: one.join("redis", "edge"),
        lambda one: one.leave("redis", "edge"),
        " → redis:6379: open by name, and not allowed",
    ),
    "NET-02": (
        lambda one: one.join("nginx", "data"),
        lambda one: one.leave("nginx", "data"),
        " → redis:6379: open",
    ),
    "NET-03": (
        lambda one: one.join("redis", "edge"),
        lambda one: one.leave("redis", "edge"),
        ": has a way out to the world",
    ),
    "NET-04": (
        lambda one: one.start("redis-cache", networks=("edge",), flags=("--publish", f"{gateway(one)}::6379")),
        lambda one: one.remove("redis-cache"),
        " is open to others",
    ),
    "NET-05": (
        lambda one: one.start("redis-cache", flags=("--pid", "host")),
        lambda one: one.remove("redis-cache"),
        ": has its host's processes",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_network_fails(little: Little, name: str) -> None:
    """Each blocker passes on the stack as it should be, fails on the broken one, and passes on the mended one."""
    break_it, mend, fault = BREAKING[name]
    fine = tried(little, name)
    assert fine.state == State.PASS, fine
    break_it(little)
    try:
        outcome = tried(little, name)
    finally:
        mend(little)
    assert outcome.state == State.FAIL
    assert any(line.endswith(fault) for line in outcome.evidence), outcome
    assert tried(little, name).state == State.PASS


def test_a_port_that_nobody_declared(little: Little) -> None:
    """NET-01 names the line that would declare it, with the neighbours who could reach it."""
    little.start("search", 9200, networks=("data",))
    try:
        outcome = tried(little, "NET-01")
    finally:
        little.remove("search")
    assert outcome.state == State.FAIL
    assert any("docker/reach.yaml, under prod: search:9200: [" in line for line in outcome.evidence)


def test_who_should_reach_and_does_not(little: Little) -> None:
    """NET-01 the other way round: the backend has lost its database."""
    little.leave("backend", "data")
    try:
        outcome = tried(little, "NET-01")
    finally:
        little.join("backend", "data")
    assert outcome.state == State.FAIL
    assert any(line.endswith("→ redis:6379: allowed, but unknown name") for line in outcome.evidence), outcome
