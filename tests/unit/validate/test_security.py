"""What the checks of security decide on what runs."""

from __future__ import annotations

from typing import Any

import pytest

from cotai_tasks.validate.check import SkipCheck, State
from cotai_tasks.validate.groups.security import (
    capabilities,
    judge_logs,
    judge_privileges,
    judge_reach,
    judge_roots,
    judge_secrets,
    judge_users,
)

SECRETS = {"POSTGRES_PASSWORD": "correct-horse-battery", "SHORT": "abc"}
FINE = {"effective": 0, "no_new_privileges": True, "seccomp": True}


def test_users() -> None:
    """SEC-01: root, where nobody listed it; a list that excuses nobody else; nothing looked at."""
    assert judge_users({"backend": 10001}, {}).state == State.PASS
    assert judge_users({"backend": 10001, "nginx": 0}, {}).evidence == ("nginx: runs as root",)
    assert judge_users({"alloy": 0}, {"alloy": "reads logs"}).evidence == ("alloy is root: it reads logs",)
    assert judge_users({}, {}).state == State.FAIL


@pytest.mark.parametrize(
    ("declared", "told", "faults"),
    [
        (set(), FINE, ()),
        ({"CHOWN"}, FINE | {"effective": 1}, ()),
        (set(), FINE | {"effective": 1 << 21}, ("db-1: has SYS_ADMIN, which nobody declared",)),
        ({"the engine's default"}, FINE, ("db-1: its capabilities are not dropped",)),
        (
            set(),
            {"effective": 0, "no_new_privileges": False, "seccomp": False},
            (
                "db-1: may gain privileges (no-new-privileges is missing)",
                "db-1: its system calls are not filtered",
            ),
        ),
    ],
)
def test_privileges(declared: set[str], told: dict[str, Any], faults: tuple[str, ...]) -> None:
    """SEC-02: each kind of privilege that nobody declared."""
    outcome = judge_privileges({"db-1": (declared, told)})
    assert (outcome.state, outcome.evidence) == (State.FAIL if faults else State.PASS, faults)


def test_declared_capabilities() -> None:
    """A definition that drops all leaves what it adds; one that does not leaves the engine's."""
    assert capabilities({"cap_drop": ["ALL"], "cap_add": ["CAP_CHOWN"]}) == {"CHOWN"}
    assert capabilities({"cap_add": ["CHOWN"]}) == {"CHOWN", "the engine's default"}


def test_roots() -> None:
    """SEC-03: one that takes a write; nobody tried."""
    assert judge_roots({"db-1": True}, ["redis-commander"]).state == State.PASS
    assert judge_roots({"db-1": True, "web-1": False}, []).evidence == ("web-1: a file can be made at its root",)
    assert judge_roots({}, []).state == State.FAIL


def inspected(service: str, *mounts: dict[str, Any], **host: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "Name": f"/{service}-1",
        "Config": {"Labels": {"com.docker.compose.service": service}},
        "HostConfig": {"Privileged": False, "Devices": None} | host,
        "Mounts": list(mounts),
    }


def bind(source: str, *, writes: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "RW": writes}


@pytest.mark.parametrize(
    ("one", "faults"),
    [
        (inspected("db"), ()),
        (inspected("db", bind("/home/me/project/docker/postgres")), ()),
        (inspected("db", Privileged=True), ("db-1: is privileged",)),
        (inspected("db", Devices=[{"PathOnHost": "/dev/sda"}]), ("db-1: has devices of the host",)),
        (
            inspected("db", bind("/var/run/docker.sock")),
            ("db-1: has the engine's socket", "db-1: sees /var/run/docker.sock of the host"),
        ),
        (inspected("db", bind("/etc")), ("db-1: sees /etc of the host",)),
        (inspected("cadvisor", bind("/")), ()),
        (inspected("cadvisor", bind("/", writes=True)), ("cadvisor-1: writes / of the host",)),
    ],
)
def test_ways_to_the_host(one: dict[str, Any], faults: tuple[str, ...]) -> None:
    """SEC-04: socket, devices, privileges, folders; what is listed may read, and never write."""
    outcome = judge_reach([one], ["/home/me/project"])
    assert outcome.evidence == faults or (outcome.state == State.PASS and not faults)


def test_secrets_in_texts() -> None:
    """SEC-05, SEC-06: told by their names, never by their values; a short one is not looked for."""
    outcome = judge_secrets({"web-1": '["PASSWORD=correct-horse-battery"]', "db-1": "abc"}, SECRETS, "mend")
    assert (outcome.state, outcome.evidence) == (State.FAIL, ("web-1: holds POSTGRES_PASSWORD",))
    assert "horse" not in str(outcome)
    assert judge_secrets({"db-1": "abc"}, SECRETS, "mend").state == State.PASS
    with pytest.raises(SkipCheck):
        judge_secrets({"db-1": "abc"}, {}, "mend")


def test_secrets_in_logs() -> None:
    """SEC-17: who wrote which."""
    secrets = {"POSTGRES_PASSWORD": "correct-horse-battery"}
    outcome = judge_logs({"web-1": "correct-horse-battery"}, secrets, 12)
    assert outcome.evidence == ("web-1: wrote POSTGRES_PASSWORD into its log",)
    assert "horse" not in str(outcome)
    assert judge_logs({}, secrets, 12).state == State.PASS
    with pytest.raises(SkipCheck):
        judge_logs({}, {}, 12)
