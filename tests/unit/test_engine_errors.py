"""What a refused docker command becomes, tried with a client that is a script of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.engine import Engine
from cotai_tasks.errors import EngineError
from cotai_tasks.facts import Project

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Project("p", Path("/"), (), (), Path("/dev/null"), frozenset())


@pytest.fixture
def refusing(tmp_path: Path) -> Callable[..., Engine]:
    """Give an engine whose client prints a text to standard error and fails, but lists the containers it was given."""

    def engine(says: str, containers: str = "") -> Engine:
        client = tmp_path / "client"
        lists = f'[ "$2" = ls ] && echo "{containers}" && exit\n' if containers else ""
        client.write_text(f"#!/bin/sh\n{lists}cat >&2 <<'END'\n{says}\nEND\nexit 1\n")
        client.chmod(0o755)
        return Engine(str(client))

    return engine


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "no permission on the Docker socket",
        ),
        ("Cannot connect to the Docker daemon at tcp://x:2375. Is it running?", "no Docker Engine answers"),
        ("error during connect: Get http://docker.example.com", "no Docker Engine answers"),
        ("docker: 'compose' is not a docker command.", "docker info: this docker client lacks the plugin"),
        ("docker: unknown command: docker compose", "docker info: this docker client lacks the plugin"),
        ("write /x: no space left on device", "docker info: the disk is full"),
        (
            "failed to create network x: could not find an available, non-overlapping IPv4 address pool among",
            "docker info: the engine has no addresses left for another network",
        ),
        ("first\nlast words", "docker info failed: last words"),
        ("", "docker info failed: it said nothing"),
    ],
)
def test_a_refusal_says_its_cause(refusing: Callable[..., Engine], says: str, message: str) -> None:
    """One line, the most telling cause first."""
    with pytest.raises(EngineError) as caught:
        refusing(says).info()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "says",
    [
        "Could not connect to Redis at 127.0.0.1:6379: Connection refused",
        "ERR unknown command 'foo', with args beginning with:",
        "ERROR:  permission denied for table tenders",
    ],
)
def test_a_program_in_a_container_is_not_the_engine(refusing: Callable[..., Engine], says: str) -> None:
    """What a database's client says is not taken for trouble with Docker."""
    with pytest.raises(EngineError) as caught:
        refusing(says, "newest oldest").execute(PROJECT, "redis", ["redis-cli"])
    assert str(caught.value) == f"redis-cli in redis failed: {says}"
    assert caught.value.evidence == says


def test_a_command_goes_to_the_oldest_container(tmp_path: Path) -> None:
    """Of several the one that serves already; where there is none, that is said."""
    client = tmp_path / "client"
    client.write_text('#!/bin/sh\n[ "$2" != ls ] && echo "$@" || case "$*" in *=redis*) printf "new\\nold\\n";; esac\n')
    client.chmod(0o755)
    engine = Engine(str(client))
    assert engine.execute(PROJECT, "redis", ["redis-cli", "ping"]) == "exec old redis-cli ping\n"
    assert engine.feed(PROJECT, "redis", ["cat"], b"x") == "exec --interactive old cat\n"
    with pytest.raises(EngineError, match="nginx is not running"):
        engine.execute(PROJECT, "nginx", ["true"])


def test_a_silent_server_leaves_the_client_to_be_seen(refusing: Callable[..., Engine]) -> None:
    """Versions are asked for even when no engine answers: `info` says why."""
    found = refusing("Cannot connect to the Docker daemon").versions()
    assert (found.server, found.compose, found.buildx) == ((0,), (0,), (0,))
