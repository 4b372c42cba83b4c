"""The points of the CIS Docker Benchmark 1.6 as plain rules on what the engine tells.

The numbers are those of version 1.6.0. What a rule says of a container is empty where the container is as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cotai_tasks.facts import SERVICE_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

State = Literal["PASS", "FAIL", "WARN", "SKIP"]
FAIL: State = "FAIL"
WARN: State = "WARN"
"""Worth a thought: the host's owner may have reasons, or what the benchmark asks has its price."""
Raw = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One recommendation of the benchmark, and how the stack stands to it."""

    number: str
    """Its number there: `5.4`."""
    title: str
    state: State
    evidence: tuple[str, ...] = ()
    """What was seen: containers that fail, exceptions with their reasons, why it was skipped."""
    cure: str = ""


@dataclass(frozen=True)
class Rule:
    """What each container should be."""

    number: str
    title: str
    fault: Callable[[Raw], str]
    cure: str
    listed: Mapping[str, str] = field(default_factory=dict)
    """Services that may be otherwise, and why."""
    worst: State = "FAIL"
    """What a fault means: a failure, or something to know of."""


_READERS = {
    "cadvisor": "reads the control groups of all containers, and writes nothing",
    "alloy": "reads the log files of all containers, and writes nothing",
}
_BARE = dict.fromkeys(
    ("mongodb-exporter", "nginx-exporter"),
    "comes from an image of one program with nothing in it that could ask; Prometheus asks it, and alerts",
)
_DEFAULT_CAPABILITIES = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
"""What the engine gives without being asked."""
_SENSITIVE = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/run", "/var/run", "/var/lib/docker")
_SOCKETS = ("docker.sock", "containerd.sock")
_PRIVILEGED_PORT = 1024


def judge_containers(containers: Sequence[Raw], host: Mapping[str, Any]) -> list[Point]:
    """Judge running containers, as `docker inspect` tells them, by every rule; `host` is what `docker info` tells."""
    return [_judge(rule, containers, host) for rule in RULES]


def _judge(rule: Rule, containers: Sequence[Raw], host: Mapping[str, Any]) -> Point:
    if rule.number in _NEEDED and _NEEDED[rule.number] not in _options(host):
        return Point(rule.number, rule.title, "SKIP", (f"the engine's host has no {_NEEDED[rule.number]}",))
    faults: list[str] = []
    listed: list[str] = []
    for one in containers:
        if fault := rule.fault(one):
            service = _service(one)
            excused = rule.listed.get(service)
            told = f"{one['Name'].lstrip('/')}: {fault}"
            (listed if excused else faults).append(f"{told} (listed: it {excused})" if excused else told)
    if faults:
        return Point(rule.number, rule.title, rule.worst, (*faults, *listed), rule.cure)
    return Point(rule.number, rule.title, "PASS", (f"{len(containers)} containers", *listed))


_NEEDED = {"5.2": "apparmor", "5.3": "selinux"}
"""Rules that only a host with this feature can follow."""


def judge_engine(host: Mapping[str, Any], bridge: Mapping[str, str], *, central_logs: bool) -> list[Point]:
    """Judge the engine by what it tells of itself; `bridge` are the options of its default network."""
    options, registries = _options(host), host.get("RegistryConfig") or {}
    open_to_all = [text for text in host.get("Warnings") or () if "without encryption" in text or "without TLS" in text]
    insecure = [
        *(one for one in registries.get("InsecureRegistryCIDRs") or () if not one.startswith(("127.", "::1"))),
        *(name for name, one in (registries.get("IndexConfigs") or {}).items() if not one.get("Secure")),
    ]
    driver, swarm = host.get("LoggingDriver", ""), (host.get("Swarm") or {}).get("LocalNodeState", "inactive")
    isolated = bridge.get("com.docker.network.bridge.enable_icc") == "false"
    return [
        _of("2.1", "The daemon runs without root, where possible", "rootless" in options, "it runs as root", WARN),
        _of("2.2", "Containers on the default bridge are kept apart", isolated, "icc is on", WARN, '"icc": false'),
        _of("2.3", "The daemon does not log at debug", not host.get("Debug"), "it logs at debug", WARN),
        _of("2.5", "No insecure registry is used", not insecure, ", ".join(insecure), FAIL, '"insecure-registries"'),
        _of("2.6", "The storage driver is not aufs", host.get("Driver") != "aufs", "aufs", FAIL),
        _of("2.7", "The daemon's port is closed, or asks for TLS", not open_to_all, " ".join(open_to_all), FAIL),
        _of("2.9", "User namespaces are on", "userns" in options, "root in a container is root outside", WARN,
            '"userns-remap": "default"; volumes then change their owners'),
        _of("2.12", "Client commands are authorized one by one", bool((host.get("Plugins") or {}).get("Authorization")),
            "whoever reaches the socket may do everything", WARN),
        _of("2.13", "Logs are collected in one place", central_logs or driver not in {"json-file", "local"},
            f"they stay on the host ({driver}), and are rotated there", WARN, "The service alloy sends them to Loki."),
        _of("2.14", "No container may gain privileges, by default", "no-new-privileges" in options,
            "the daemon does not see to it; each container says so itself (5.26)", WARN, '"no-new-privileges": true'),
        _of("2.15", "Containers live on while the daemon is restarted", bool(host.get("LiveRestoreEnabled")),
            "a restart of the daemon stops the stack", WARN, '"live-restore": true'),
        _of("2.18", "No experimental features are on", not host.get("ExperimentalBuild"), "they are on", WARN),
        _of("5.1", "Swarm mode is off where it is not needed", swarm == "inactive", swarm, FAIL, "docker swarm leave"),
    ]  # fmt: skip


def _of(number: str, title: str, good: bool, fault: str, worst: State, cure: str = "") -> Point:  # noqa: FBT001 - a row
    cure = f"daemon.json: {cure}" if cure.startswith('"') else cure
    return Point(number, title, "PASS") if good else Point(number, title, worst, (fault,), cure)


def skipped_points(version: str) -> list[Point]:
    """Give the points that nobody can judge through the engine, each with the reason."""
    files = "the engine does not tell; it stands in the daemon's files, which may be on another machine"
    return [
        Point(number, title, "SKIP", (reason,))
        for number, title, reason in (
            ("1.1", "The host's partitions, users and audit rules", "they are on the engine's host, for root's eyes"),
            ("1.2.2", "The engine is up to date", f"it is {version}; whether there is a newer one, its packages know"),
            ("2.4", "The daemon may change iptables", files),
            ("2.8", "The default ulimit is right", files),
            ("2.10", "The default cgroup is confirmed", files),
            ("2.16", "The userland proxy is off", files),
            ("2.17", "A seccomp profile of the daemon's own", files),
            ("3", "Owners and modes of the daemon's files", "they are on the engine's host, for root's eyes"),
            ("4.5", "Content trust is on", "it is a variable of whoever pulls; images are pinned, or built here"),
            ("5.9", "Only needed ports are open", "a judgement; inv monitor.validate --group NET tries every one"),
            ("5.19", "The ulimit is overridden where needed", "a judgement: the engine's default is used"),
            ("5.23", "docker exec is not used with --privileged", "only the host's audit log knows"),
            ("5.24", "docker exec is not used as root", "only the host's audit log knows"),
            ("5.28", "Images are the newest of their version", "no registry is asked; inv security.scan looks inside"),
        )
    ]


def in_order(points: Sequence[Point]) -> tuple[Point, ...]:
    """Sort points by their number, 5.9 before 5.10."""
    return tuple(sorted(points, key=lambda one: [int(part) for part in one.number.split(".")]))


# --- What is asked of each container ----------------------------------------------------------------------------------


def _service(one: Raw) -> str:
    return str((one["Config"].get("Labels") or {}).get(SERVICE_LABEL, ""))


def _options(host: Mapping[str, Any]) -> set[str]:
    """Name the security features that the engine tells of: `name=seccomp,profile=builtin` is seccomp."""
    return {one.removeprefix("name=").partition(",")[0] for one in host.get("SecurityOptions") or ()}


def _security(one: Raw, word: str) -> list[str]:
    """Give the values of a security option: `seccomp=unconfined` or, as it used to be, `seccomp:unconfined`."""
    found = (text.replace("=", ":", 1).partition(":") for text in one["HostConfig"].get("SecurityOpt") or ())
    return [value for name, _, value in found if name == word]


def _root(one: Raw) -> str:
    user = one["Config"].get("User", "").partition(":")[0]
    return "runs as root" if user in {"", "0", "root"} else ""


def _unwatched(one: Raw) -> str:
    test = (one["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    return "has no healthcheck" if test[0] == "NONE" else ""


def _unasked(one: Raw) -> str:
    return "" if (one["State"].get("Health") or {}).get("Status") else "nobody asks for its health"


def _unconfined(one: Raw) -> str:
    return "is not confined by AppArmor" if one.get("AppArmorProfile") in {"", "unconfined", None} else ""


def _unlabelled(one: Raw) -> str:
    return "" if one.get("ProcessLabel") else "is not labelled"


def _unfiltered(one: Raw) -> str:
    return "its system calls are not filtered" if "unconfined" in _security(one, "seccomp") else ""


def _growing(one: Raw) -> str:
    return "" if {"true", ""} & set(_security(one, "no-new-privileges")) else "may gain privileges"


def _sshd(one: Raw) -> str:
    return "runs sshd" if "sshd" in f"{one.get('Path')} {one.get('Args')}" else ""


def _forking(one: Raw) -> str:
    return "has no limit of processes" if (one["HostConfig"].get("PidsLimit") or 0) <= 0 else ""


def _capabilities(one: Raw) -> str:
    host = one["HostConfig"]
    added = {str(name).removeprefix("CAP_") for name in host.get("CapAdd") or ()}
    dropped = {str(name).removeprefix("CAP_") for name in host.get("CapDrop") or ()}
    if "ALL" not in dropped:
        return "its capabilities are not dropped"
    extra = sorted(added - _DEFAULT_CAPABILITIES)
    return f"has {', '.join(extra)}" if extra else ""


def _sensitive(one: Raw) -> str:
    binds = [mount["Source"] for mount in one.get("Mounts") or () if mount["Type"] == "bind"]
    found = sorted({source for source in binds if (source.rstrip("/") or "/") in _SENSITIVE or _below_engine(source)})
    return f"sees {', '.join(found)}" if found else ""


def _below_engine(source: str) -> bool:
    return source.startswith("/var/lib/docker/containers")


def _sockets(one: Raw) -> str:
    found = sorted(
        {m["Source"] for m in one.get("Mounts") or () if m["Type"] == "bind" and m["Source"].endswith(_SOCKETS)}
    )
    return f"has {', '.join(found)}" if found else ""


def _ports(one: Raw) -> list[tuple[str, int]]:
    bound = (one["NetworkSettings"].get("Ports") or {}).values()
    return sorted({(place["HostIp"], int(place["HostPort"])) for places in bound for place in places or ()})


def _low_ports(one: Raw) -> str:
    found = sorted({str(port) for _, port in _ports(one) if port < _PRIVILEGED_PORT})
    return f"takes the host's port {', '.join(found)}" if found else ""


def _every_interface(one: Raw) -> str:
    found = sorted({str(port) for address, port in _ports(one) if address in {"0.0.0.0", "::", ""}})  # noqa: S104 - read
    return f"listens on every interface: {', '.join(found)}" if found else ""


def _cpu(one: Raw) -> str:
    host = one["HostConfig"]
    return "" if host.get("NanoCpus") or host.get("CpuQuota") or host.get("CpuShares") else "has no CPU limit"


def _restart(one: Raw) -> str:
    policy = one["HostConfig"].get("RestartPolicy") or {}
    name, times = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    return "" if name == "no" or (name == "on-failure" and times <= 5) else f"restarts {name}"  # noqa: PLR2004 - CIS' five


def _shared(key: str, *, word: str = "host") -> Callable[[Raw], str]:
    def fault(one: Raw) -> str:
        return f"shares the host's ({key}={word})" if one["HostConfig"].get(key) == word else ""

    return fault


def _default_bridge(one: Raw) -> str:
    return "stands on docker0" if one["HostConfig"].get("NetworkMode") in {"default", "bridge"} else ""


def _propagation(one: Raw) -> str:
    found = [m["Destination"] for m in one.get("Mounts") or () if m.get("Propagation") in {"shared", "rshared"}]
    return f"shares its mounts: {', '.join(found)}" if found else ""


def _unset(key: str, what: str) -> Callable[[Raw], str]:
    return lambda one: "" if one["HostConfig"].get(key) else what


def _set(key: str, what: str) -> Callable[[Raw], str]:
    return lambda one: what if one["HostConfig"].get(key) else ""


RULES = (
    Rule("4.1", "Containers have a user of their own", _root, 'user: "10001:10001"', _READERS),
    Rule("4.6", "Images have a HEALTHCHECK", _unwatched, "healthcheck: in docker/compose.yaml", _BARE),
    Rule("5.2", "AppArmor confines containers", _unconfined, "Leave out apparmor=unconfined."),
    Rule("5.3", "SELinux confines containers", _unlabelled, 'daemon.json: "selinux-enabled": true'),
    Rule("5.4", "Capabilities are dropped", _capabilities, "cap_drop: [ALL], and cap_add: what it needs"),
    Rule("5.5", "No container is privileged", _set("Privileged", "is privileged"), "privileged: false"),
    Rule("5.6", "No sensitive folder of the host is mounted", _sensitive, "Take the mount away.", _READERS),
    Rule("5.7", "No sshd runs in a container", _sshd, "docker exec is the way in."),
    Rule("5.8", "No privileged port is taken", _low_ports, "Publish it at 1024 or above.",
         {"nginx": "answers where browsers ask"}),
    Rule("5.10", "The host's network is not shared", _shared("NetworkMode"), "A network of its own."),
    Rule("5.11", "Memory is limited", _unset("Memory", "has no memory limit"), "deploy.resources.limits.memory"),
    Rule("5.12", "CPU is limited", _cpu, "deploy.resources.limits.cpus"),
    Rule("5.13", "The root filesystem is read-only", _unset("ReadonlyRootfs", "can write to its root"),
         "read_only: true, and a tmpfs for what it writes",
         {"redis-commander": "writes its list of servers beside its program, in development alone"}),
    Rule("5.14", "Ports are bound to one interface", _every_interface, '"127.0.0.1:PORT:PORT"',
         {"nginx": "is for everybody"}),
    Rule("5.15", "Restarts end after five failures", _restart,
         "restart: on-failure:5; but then nothing comes back after a reboot of the host.", worst=WARN),
    Rule("5.16", "The host's processes are not shared", _shared("PidMode"), "Leave out pid: host."),
    Rule("5.17", "The host's IPC is not shared", _shared("IpcMode"), "Leave out ipc: host."),
    Rule("5.18", "No device of the host is given", _set("Devices", "has devices of the host"), "Leave out devices:."),
    Rule("5.20", "Mounts are not propagated", _propagation, "Leave out propagation: shared."),
    Rule("5.21", "The host's UTS namespace is not shared", _shared("UTSMode"), "Leave out uts: host."),
    Rule("5.22", "System calls are filtered", _unfiltered, "Leave out seccomp=unconfined."),
    Rule("5.25", "The control group is the engine's own", _set("CgroupParent", "is in another control group"),
         "Leave out cgroup_parent."),
    Rule("5.26", "Privileges cannot grow", _growing, "security_opt: [no-new-privileges:true]"),
    Rule("5.27", "Health is watched at run time", _unasked, "healthcheck: in docker/compose.yaml", _BARE),
    Rule("5.29", "The number of processes is limited", _forking, "deploy.resources.limits.pids"),
    Rule("5.30", "docker0 is not used", _default_bridge, "A network of the stack."),
    Rule("5.31", "The host's user namespace is not shared", _shared("UsernsMode"), "Leave out userns_mode: host."),
    Rule("5.32", "The engine's socket is not mounted", _sockets, "Take it away: it is root on the host.",
         {"cadvisor": "asks the engine for the names of containers"}),
)  # fmt: skip
