"""The fences around the unit tests."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tests import conftest
from tests.unit.conftest import Forbidden


def test_docker_is_out_of_reach() -> None:
    """A unit test that runs docker, by whatever path, fails with the way out."""
    with pytest.raises(Forbidden, match="must not run /usr/bin/docker: use FakeEngine"):
        subprocess.run(["/usr/bin/docker", "ps"], check=False)


def test_the_network_is_out_of_reach() -> None:
    """A unit test that opens a connection fails, even to this machine."""
    for method in ("connect", "connect_ex"):
        with socket.socket() as client, pytest.raises(Forbidden, match=r"must not connect to \('127.0.0.1', 9\)"):
            getattr(client, method)(("127.0.0.1", 9))


def test_names_are_not_looked_up() -> None:
    """A question to a name server leaves this machine too."""
    with pytest.raises(Forbidden, match=r"must not look up example\.com"):
        socket.getaddrinfo("example.com", 443)
    with pytest.raises(Forbidden, match=r"must not look up example\.com"):
        socket.create_connection(("example.com", 443))


def test_other_programs_run() -> None:
    """Only docker is fenced off."""
    assert subprocess.run(["echo", "hello"], capture_output=True, check=False).stdout == b"hello\n"


@pytest.mark.parametrize(
    ("marker", "environ", "outcome"),
    [
        ("integration", {}, "skipped: needs a Docker Engine: gone"),
        ("stack", {}, "skipped: needs a Docker Engine: gone"),
        ("stack", {"CI": "true"}, "failed: needs a Docker Engine: gone"),
        ("slow", {"CI": "true"}, "skipped: takes minutes; COTAI_SLOW=1 runs it"),
        ("slow", {"COTAI_SLOW": "1"}, "runs"),
    ],
)
def test_a_test_runs_where_it_can(
    marker: str, environ: dict[str, str], outcome: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an engine its tests are skipped with the reason, but in CI that is a failure."""
    for name in ("CI", "COTAI_SLOW"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(conftest, "engine_fault", lambda: "gone")
    item: pytest.Item = request.node
    monkeypatch.setattr(item, "own_markers", [*item.own_markers, getattr(pytest.mark, marker).mark])
    try:
        conftest.pytest_runtest_setup(item)
    except pytest.skip.Exception as skipped:
        found = f"skipped: {skipped.msg}"
    except pytest.fail.Exception as failed:
        found = f"failed: {failed.msg}"
    else:
        found = "runs"
    assert found == outcome
