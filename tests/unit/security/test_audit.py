"""The CIS Docker Benchmark: every rule on a container that is as it should be, and on one that is not."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import FindingsError, UsageError
from cotai_tasks.security.benchmark import audit, show_audit
from cotai_tasks.security.cis import RULES, Point, in_order, judge_containers, judge_engine, skipped_points
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

GOOD: dict[str, Any] = {
    "Name": "/cotai-dev-backend-1",
    "Path": "serve",
    "Args": ["--port", "8000"],
    "AppArmorProfile": "docker-default",
    "ProcessLabel": "system_u:system_r:container_t",
    "State": {"Status": "running", "Health": {"Status": "healthy"}},
    "Config": {
        "User": "10001:10001",
        "Labels": {"com.docker.compose.service": "backend"},
        "Healthcheck": {"Test": ["CMD", "true"]},
    },
    "HostConfig": {
        "CapAdd": ["CAP_NET_BIND_SERVICE"],
        "CapDrop": ["ALL"],
        "Privileged": False,
        "NetworkMode": "cotai-dev_app",
        "PidMode": "",
        "IpcMode": "private",
        "UTSMode": "",
        "UsernsMode": "",
        "CgroupParent": "",
        "Memory": 2**28,
        "NanoCpus": 10**9,
        "PidsLimit": 150,
        "ReadonlyRootfs": True,
        "Devices": None,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
        "SecurityOpt": ["no-new-privileges:true"],
    },
    "Mounts": [{"Type": "bind", "Source": "/srv/cotai/nginx", "Destination": "/etc/nginx", "Propagation": "rprivate"}],
    "NetworkSettings": {"Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}], "9000/tcp": None}},
}
HOST: dict[str, Any] = {
    "SecurityOptions": ["name=apparmor", "name=selinux", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Driver": "overlay2",
    "LoggingDriver": "journald",
    "ServerVersion": "26.1.5",
    "Swarm": {"LocalNodeState": "inactive"},
    "LiveRestoreEnabled": True,
    "Plugins": {"Authorization": ["opa"]},
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
        "IndexConfigs": {"docker.io": {"Secure": True}},
    },
}
HARDENED = HOST | {"SecurityOptions": ["name=rootless", "name=userns", "name=no-new-privileges"]}
CLOSED = {"com.docker.network.bridge.enable_icc": "false"}


def changed(**parts: Mapping[str, Any] | str | list[Any]) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    for name, part in parts.items():
        made[name] = made[name] | part if isinstance(part, dict) else part
    return made


ANYWHERE = "0.0.0.0"  # noqa: S104 - a container's, on paper


def named(service: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of it
    made = changed(**parts)
    made["Config"]["Labels"] = {"com.docker.compose.service": service}
    return made | {"Name": f"/cotai-dev-{service}-1"}


def published(address: str, port: str) -> dict[str, Any]:
    return {"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": address, "HostPort": port}]}}}


def mounted(source: str, **fields: str) -> dict[str, Any]:
    return {"Mounts": [{"Type": "bind", "Source": source, "Destination": "/x", "Propagation": ""} | fields]}


BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "4.1": [(changed(Config={"User": user}), "runs as root") for user in ("", "0", "root", "0:0")],
    "4.6": [(changed(Config={"Healthcheck": one}), "has no healthcheck") for one in (None, {"Test": ["NONE"]})],
    "5.2": [(changed(AppArmorProfile=one), "is not confined by AppArmor") for one in ("", "unconfined")],
    "5.3": [(changed(ProcessLabel=""), "is not labelled")],
    "5.4": [
        (changed(HostConfig={"CapDrop": None}), "its capabilities are not dropped"),
        (changed(HostConfig={"CapDrop": ["NET_RAW"]}), "its capabilities are not dropped"),
        (changed(HostConfig={"CapAdd": ["SYS_ADMIN", "CHOWN"]}), "has SYS_ADMIN"),
    ],
    "5.5": [(changed(HostConfig={"Privileged": True}), "is privileged")],
    "5.6": [(changed(**mounted(one)), f"sees {one}") for one in ("/", "/etc", "/var/lib/docker/containers")],
    "5.7": [(changed(Path="/usr/sbin/sshd"), "runs sshd"), (changed(Args=["exec /usr/sbin/sshd"]), "runs sshd")],
    "5.8": [(changed(**published("127.0.0.1", "443")), "takes the host's port 443")],
    "5.10": [(changed(HostConfig={"NetworkMode": "host"}), "shares the host's (NetworkMode=host)")],
    "5.11": [(changed(HostConfig={"Memory": 0}), "has no memory limit")],
    "5.12": [(changed(HostConfig={"NanoCpus": 0}), "has no CPU limit")],
    "5.13": [(changed(HostConfig={"ReadonlyRootfs": False}), "can write to its root")],
    "5.14": [(changed(**published(one, "8000")), "listens on every interface: 8000") for one in (ANYWHERE, "::")],
    "5.15": [
        (changed(HostConfig={"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}), "restarts always"),
        (changed(HostConfig={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 9}}), "restarts on-failure"),
    ],
    "5.16": [(changed(HostConfig={"PidMode": "host"}), "shares the host's (PidMode=host)")],
    "5.17": [(changed(HostConfig={"IpcMode": "host"}), "shares the host's (IpcMode=host)")],
    "5.18": [(changed(HostConfig={"Devices": [{"PathOnHost": "/dev/kmsg"}]}), "has devices of the host")],
    "5.20": [(changed(**mounted("/srv", Propagation="rshared")), "shares its mounts: /x")],
    "5.21": [(changed(HostConfig={"UTSMode": "host"}), "shares the host's (UTSMode=host)")],
    "5.22": [(changed(HostConfig={"SecurityOpt": [one]}), "its system calls are not filtered")
             for one in ("seccomp=unconfined", "seccomp:unconfined")],
    "5.25": [(changed(HostConfig={"CgroupParent": "/other"}), "is in another control group")],
    "5.26": [(changed(HostConfig={"SecurityOpt": one}), "may gain privileges")
             for one in (None, ["no-new-privileges:false"])],
    "5.27": [(changed(State={"Health": None}), "nobody asks for its health")],
    "5.29": [(changed(HostConfig={"PidsLimit": one}), "has no limit of processes") for one in (None, 0, -1)],
    "5.30": [(changed(HostConfig={"NetworkMode": one}), "stands on docker0") for one in ("bridge", "default")],
    "5.31": [(changed(HostConfig={"UsernsMode": "host"}), "shares the host's (UsernsMode=host)")],
    "5.32": [(changed(**mounted("/var/run/docker.sock")), "has /var/run/docker.sock")],
}  # fmt: skip


def point(number: str, containers: list[dict[str, Any]], host: Mapping[str, Any] = HOST) -> Point:
    return next(one for one in judge_containers(containers, host) if one.number == number)


def test_a_good_container_passes_every_rule() -> None:
    """With the number of those looked at."""
    points = judge_containers([GOOD], HOST)
    assert {(one.state, one.evidence) for one in points} == {("PASS", ("1 containers",))}
    assert [one.number for one in points] == [one.number for one in RULES]


@pytest.mark.parametrize(
    ("number", "bad", "fault"), [(number, *one) for number, several in BAD.items() for one in several]
)
def test_each_rule_can_fail(number: str, bad: dict[str, Any], fault: str) -> None:
    """The container is named, and the cure given; one good container beside it changes nothing."""
    found = point(number, [GOOD, bad])
    assert (found.state, found.evidence) == ("WARN" if number == "5.15" else "FAIL", (f"cotai-dev-backend-1: {fault}",))
    assert found.cure


def test_there_is_a_bad_container_for_every_rule() -> None:
    """A rule that cannot fail is a defect."""
    assert set(BAD) == {one.number for one in RULES}


def test_listed_exceptions_are_shown() -> None:
    """They pass with their reason, and are no excuse for others."""
    listed = named("cadvisor", Config={"User": "0"})
    found = point("4.1", [GOOD, listed])
    reason = "reads the control groups of all containers, and writes nothing"
    told = f"cotai-dev-cadvisor-1: runs as root (listed: it {reason})"
    assert (found.state, found.evidence) == ("PASS", ("2 containers", told))
    found = point("4.1", [listed, BAD["4.1"][0][0]])
    assert (found.state, found.evidence) == ("FAIL", ("cotai-dev-backend-1: runs as root", told))
    assert point("5.14", [named("nginx", **published(ANYWHERE, "443"))]).state == "PASS"


def test_what_the_host_cannot_do_is_skipped() -> None:
    """Without AppArmor nothing is confined by it, and that is no failure of the stack."""
    bare = HOST | {"SecurityOptions": ["name=seccomp,profile=builtin"]}
    assert point("5.2", [GOOD], bare) == Point(
        "5.2", "AppArmor confines containers", "SKIP", ("the engine's host has no apparmor",)
    )


def test_a_hardened_engine_passes() -> None:
    """Every point that it tells of."""
    assert {one.state for one in judge_engine(HARDENED, CLOSED, central_logs=False)} == {"PASS"}


ENGINES: dict[str, tuple[dict[str, Any], str, str]] = {
    "2.1": ({"SecurityOptions": []}, "WARN", "it runs as root"),
    "2.3": ({"Debug": True}, "WARN", "it logs at debug"),
    "2.5": ({"RegistryConfig": {"InsecureRegistryCIDRs": ["10.0.0.0/8"],
                                "IndexConfigs": {"r:5000": {"Secure": False}}}}, "FAIL", "10.0.0.0/8, r:5000"),
    "2.6": ({"Driver": "aufs"}, "FAIL", "aufs"),
    "2.7": ({"Warnings": ["API is accessible on http://0.0.0.0:2375 without encryption."]}, "FAIL",
            "API is accessible on http://0.0.0.0:2375 without encryption."),
    "2.9": ({"SecurityOptions": []}, "WARN", "root in a container is root outside"),
    "2.12": ({"Plugins": {"Authorization": None}}, "WARN", "whoever reaches the socket may do everything"),
    "2.13": ({"LoggingDriver": "json-file"}, "WARN", "they stay on the host (json-file), and are rotated there"),
    "2.14": ({"SecurityOptions": []}, "WARN", "the daemon does not see to it; each container says so itself (5.26)"),
    "2.15": ({"LiveRestoreEnabled": False}, "WARN", "a restart of the daemon stops the stack"),
    "2.18": ({"ExperimentalBuild": True}, "WARN", "they are on"),
    "5.1": ({"Swarm": {"LocalNodeState": "active"}}, "FAIL", "active"),
}  # fmt: skip


@pytest.mark.parametrize("number", ENGINES)
def test_each_point_of_the_engine_can_fail(number: str) -> None:
    """By what it tells of itself."""
    told, state, evidence = ENGINES[number]
    found = {one.number: one for one in judge_engine(HARDENED | told, CLOSED, central_logs=False)}
    assert (found[number].state, found[number].evidence) == (state, (evidence,))
    assert set(found) == {*ENGINES, "2.2"}


def test_the_default_bridge_and_the_logs() -> None:
    """What stands elsewhere than in `docker info`."""
    open_bridge = {one.number: one.state for one in judge_engine(HARDENED, {}, central_logs=False)}
    assert open_bridge["2.2"] == "WARN"
    collected = judge_engine(HARDENED | {"LoggingDriver": "json-file"}, CLOSED, central_logs=True)
    assert {one.number: one.state for one in collected}["2.13"] == "PASS"


def test_an_audit() -> None:
    """Every point once, by number; only what runs is looked at."""
    engine = FakeEngine(host=HOST, found_raw=[GOOD, changed(State={"Status": "exited"}, Config={"User": "0"})])
    engine.answers = {"network inspect bridge": [json.dumps(CLOSED)]}
    engine.found_containers = [container("alloy")]
    points = audit(settings=settings(), engine=engine)
    numbers = [one.number for one in points]
    assert numbers == [one.number for one in in_order(points)]
    assert len(set(numbers)) == len(numbers) == len(RULES) + len(ENGINES) + 1 + len(skipped_points("1"))
    assert numbers.index("5.9") < numbers.index("5.10")
    assert {one.number: one.state for one in points}["4.1"] == "PASS"
    assert all(one.evidence for one in points if one.state == "SKIP")
    with pytest.raises(UsageError, match="cotai-dev does not run: there is nothing to look at"):
        audit(settings=settings(), engine=FakeEngine(host=HOST))


def test_an_audit_is_shown() -> None:
    """Evidence is cut in the table, not in JSON; a failure ends with 18, a warning does not."""
    console = RecordingConsole()
    failed = Point("5.5", "No container is privileged", "FAIL", tuple("abcdef"), "privileged: false")
    warned = Point("5.15", "Restarts end after five failures", "WARN", ("a: restarts always",))
    show_audit((warned,), as_json=False, console=console)
    with pytest.raises(FindingsError, match=r"1 point of the benchmark failed: 5\.5") as caught:
        show_audit((failed, warned), as_json=False, console=console)
    assert caught.value.code == 18
    assert "and 2 more" in console.text()
    assert "0 PASS, 1 FAIL, 1 WARN, 0 SKIP. A SKIP is no pass." in console.text()
    with pytest.raises(FindingsError):
        show_audit((failed,), as_json=True, console=console)
    assert '"f"' in console.text()
