"""Whether this machine can carry the stack: what is observed, and what follows from it.

`observe` looks, `examine` judges. `inv doctor` shows every judgement; `inv deploy.dev` stops at the errors.
"""

from __future__ import annotations

import errno
import shutil
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import psutil
from rich.markup import escape

from cotai_tasks.console import make_table, size
from cotai_tasks.engine import MIN_COMPOSE, MIN_ENGINE
from cotai_tasks.errors import EngineError, Finding, SettingsError
from cotai_tasks.stack import registry_reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from rich.table import Table

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container, Versions
    from cotai_tasks.settings import Settings

    Ports = Mapping[str, Sequence[tuple[str, int]]]
    """Host addresses by who wants them: `{"postgres": [("127.0.0.1", 5432)]}`."""

Level = Literal["pass", "warn", "fail"]

MIN_PYTHON = (3, 11)
MIN_MEMORY = 4 * 10**9
"""Bytes. The whole development stack with its model idles at about half of it."""
MIN_DISK = 5 * 10**9
"""Bytes. All images and their build cache take about four gigabytes."""
LOW_DISK = 0.15
"""The share of free disk below which an engine soon stops building."""
REGISTRY_PATIENCE = 1.2
"""Seconds that `doctor` waits for the registry; a healthy one answers in well under one."""

_INSTALL = "Run ./bootstrap, or see https://docs.docker.com/engine/install/ for this system."


@dataclass(frozen=True)
class PortFault:
    """A port that the stack wants and cannot have."""

    port: int
    wanted_by: str
    fault: str


@dataclass(frozen=True)
class Host:
    """What was observed of this machine; a part that could not be asked is `None`."""

    python: tuple[int, ...]
    versions: Versions | None = None
    engine_fault: Finding | None = None
    """Why the engine, or its command line, does not answer."""
    registry: bool | None = None
    images: bool = False
    """Whether the images that everything is built from are on this host."""
    builder: bool = False
    """Whether `mmdebstrap` is here, which makes images without a registry."""
    memory: int = 0
    """Bytes, of the machine that the engine runs on."""
    disk: tuple[int, int] | None = None
    """Free and total bytes where the engine keeps its data; `None` where that is another machine."""
    nvidia: bool = False
    ports: tuple[PortFault, ...] = ()


@dataclass(frozen=True)
class Check:
    """One thing looked at, and what came of it."""

    name: str
    level: Level
    says: str
    cure: str = ""

    @property
    def finding(self) -> Finding:
        """The check as an error shows it."""
        return Finding(self.name, self.says, self.cure)


@dataclass(frozen=True)
class Findings:
    """What is wrong with a host: errors forbid a start, warnings do not."""

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


# -- deciding ----------------------------------------------------------------------------------------------------------


def examine(settings: Settings | None, host: Host) -> list[Check]:
    """Judge everything that was observed; without settings, what needs none."""
    checks = [_python(host), *_engine(host), *_images(settings, host), _memory(host), *_disk(host)]
    return [*checks, *(_ports(settings, host) + _gpu(settings, host) if settings else [])]


def preflight(settings: Settings, host: Host) -> Findings:
    """Give only what is wrong."""
    return findings(examine(settings, host))


def findings(checks: Iterable[Check]) -> Findings:
    """Give what is wrong among checks."""
    found = list(checks)
    return Findings(
        errors=tuple(one.finding for one in found if one.level == "fail"),
        warnings=tuple(one.finding for one in found if one.level == "warn"),
    )


def _python(host: Host) -> Check:
    if host.python[:2] < MIN_PYTHON:
        return Check("Python", "fail", f"{_dotted(host.python)} is too old", f"Install Python {_dotted(MIN_PYTHON)}.")
    return Check("Python", "pass", _dotted(host.python))


def _engine(host: Host) -> list[Check]:
    fault = host.engine_fault
    broken = [Check("Docker Engine", "fail", fault.fault, fault.cure)] if fault else []
    if not host.versions:
        return broken
    parts = [
        ("Docker Engine", host.versions.server, MIN_ENGINE),
        ("Compose", host.versions.compose, MIN_COMPOSE),
        ("Buildx", host.versions.buildx, (0,)),
    ]
    return [*broken, *(_version(*part) for part in parts if not (fault and part[0] == "Docker Engine"))]


def _version(name: str, found: tuple[int, ...], least: tuple[int, ...]) -> Check:
    if found == (0,):
        return Check(name, "fail", "this docker client lacks it", _INSTALL)
    if found < least:
        return Check(name, "fail", f"{_dotted(found)} is too old, {_dotted(least)} is needed", _INSTALL)
    return Check(name, "pass", _dotted(found))


def _images(settings: Settings | None, host: Host) -> list[Check]:
    wish = settings.variables.COTAI_IMAGES if settings else "auto"
    if host.images:
        return [Check("images", "pass", "the base image is on this host")]
    if wish == "upstream" and host.registry is False:
        cure = "Check the network and HTTPS_PROXY, or set COTAI_IMAGES=auto."
        return [Check("images", "fail", "no image registry answers, and COTAI_IMAGES=upstream wants one", cure)]
    if wish != "offline" and host.registry is not False:
        return [Check("images", "pass", "the registry answers")] if host.registry else []
    why = "COTAI_IMAGES=offline" if wish == "offline" else "no image registry answers"
    if host.builder:
        return [Check("images", "pass", f"{why}: they are built here from packages (mmdebstrap)")]
    return [Check("images", "fail", f"{why}, and mmdebstrap is missing", "apt-get install mmdebstrap")]


def _memory(host: Host) -> Check:
    if host.memory < MIN_MEMORY:
        cure = "Give the machine more, or start less: inv deploy.dev --without ai,monitoring"
        return Check("memory", "warn", f"{size(host.memory)}, {size(MIN_MEMORY)} are advised", cure)
    return Check("memory", "pass", size(host.memory))


def _disk(host: Host) -> list[Check]:
    if not host.disk:
        return []
    free, total = host.disk
    says = f"{size(free)} of {size(total)} free where the engine keeps its data"
    cure = "inv build.prune, then: docker system df"
    if free < MIN_DISK:
        return [Check("disk", "fail", f"nearly full: {says}", cure)]
    if free < LOW_DISK * total:
        return [Check("disk", "warn", says, cure)]
    return [Check("disk", "pass", says)]


def _ports(settings: Settings, host: Host) -> list[Check]:
    variables = {port: name for name, port in settings.variables.ports().items()}
    return [
        Check(
            f"port {one.port}",
            "fail",
            f"{one.wanted_by} wants it, {one.fault}",
            f"Stop that, or give another port: {variables[one.port]}." if one.port in variables else "Stop that.",
        )
        for one in host.ports
    ] or [Check("ports", "pass", "free, or held by this stack")]


def _gpu(settings: Settings, host: Host) -> list[Check]:
    if not settings.variables.COTAI_GPU or host.engine_fault:
        return []
    if host.nvidia:
        return [Check("GPU", "pass", "the engine has the NVIDIA runtime")]
    cure = "Install the NVIDIA Container Toolkit, or set COTAI_GPU=false."
    return [Check("GPU", "fail", "COTAI_GPU=true, and the engine has no NVIDIA runtime", cure)]


def check_table(checks: Iterable[Check]) -> Table:
    """Draw checks as a table: what was looked at, what came of it, and the cure."""
    marks = {"pass": "[green]PASS[/]", "warn": "[yellow]WARN[/]", "fail": "[red]FAIL[/]"}
    rows = [(marks[one.level], one.name, escape(one.says), escape(one.cure)) for one in checks]
    return make_table(("", "check", "finding", "cure"), rows)


def _dotted(version: Iterable[int]) -> str:
    return ".".join(str(part) for part in version)


# -- observing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Told:
    """What the engine tells; the defaults stand where no engine is."""

    versions: Versions | None = None
    fault: Finding | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    containers: Sequence[Container] = ()
    images: bool = False
    local: bool = True
    """Whether it publishes its ports on this machine."""


def observe(
    settings: Settings | None,
    engine: Engine | None,
    ports: Ports,
    *,
    reachable: Callable[[], bool] | None = None,
) -> Host:
    """Look at this machine and its engine, everything at once; `reachable` asks the registry, which may take time."""
    with ThreadPoolExecutor() as pool:
        registry = pool.submit(reachable) if reachable else None
        told = _ask_engine(settings, engine, pool) if engine else _Told()
    own = settings.stack_name if settings else ""
    return Host(
        python=sys.version_info[:3],
        versions=told.versions,
        engine_fault=told.fault,
        registry=registry.result() if registry else None,
        images=told.images,
        builder=bool(shutil.which("mmdebstrap")),
        memory=int(told.info.get("MemTotal") or psutil.virtual_memory().total),
        disk=_disk_of(told.info.get("DockerRootDir", "")) if told.local else None,
        nvidia="nvidia" in (told.info.get("Runtimes") or {}),
        ports=tuple(_port_faults(own, told.containers, ports, local=told.local)),
    )


def _ask_engine(settings: Settings | None, engine: Engine, pool: Executor) -> _Told:
    versions = pool.submit(engine.versions)
    info = pool.submit(engine.info)
    containers = pool.submit(engine.containers)
    images = pool.submit(_has_base_image, settings, engine)
    local = pool.submit(_is_local, engine)
    if fault := info.exception():
        if not isinstance(fault, EngineError):
            raise fault
        return _Told(versions.result(), _engine_finding(fault))
    return _Told(versions.result(), None, info.result(), containers.result(), images.result(), local.result())


def _engine_finding(error: EngineError) -> Finding:
    return Finding("Docker Engine", str(error), error.cure)


def ask_registry() -> bool:
    """Ask the registry for no longer than `REGISTRY_PATIENCE`, though name resolution may hang for longer."""
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(registry_reachable()), daemon=True)
    asking.start()
    asking.join(REGISTRY_PATIENCE)
    return any(answers)


def diagnose(find_engine: Callable[[], Engine], read_settings: Callable[[Engine | None], Settings]) -> list[Check]:
    """Look at everything, whatever of it is broken, and judge it.

    `read_settings` gets `None` when no engine answers that could say which stack runs.
    """
    engine, fault = None, None
    try:
        engine = find_engine()
        engine.info()
    except EngineError as error:
        fault = _engine_finding(error)
    settings, checks = _settings(read_settings, None if fault else engine)
    ports: Ports = {}
    if settings:
        address = settings.variables.BIND_ADDRESS
        ports = {name: [(address, port)] for name, port in settings.variables.ports().items()}
    observed = observe(settings, engine, ports, reachable=ask_registry)
    return [*examine(settings, replace(observed, engine_fault=fault)), *checks]


def _settings(
    read_settings: Callable[[Engine | None], Settings], engine: Engine | None
) -> tuple[Settings | None, list[Check]]:
    try:
        settings = read_settings(engine)
    except SettingsError as error:
        faults = error.findings or (Finding("settings", str(error), error.cure),)
        skipped = Check("ports", "warn", "not looked at", "Correct the settings first.")
        return None, [*(Check(one.where, "fail", one.fault, one.cure) for one in faults), skipped]
    return settings, [Check("settings", "pass", f"{settings.stack_name} is valid")]


def _has_base_image(settings: Settings | None, engine: Engine) -> bool:
    if not settings:
        return False
    wish = settings.variables.COTAI_IMAGES
    images = {"upstream": settings.upstream_images, "offline": settings.offline_images}
    wanted = [one["PYTHON_IMAGE"] for source, one in images.items() if wish in {"auto", source}]
    return bool(engine.images(*wanted))


def _is_local(engine: Engine) -> bool:
    """Tell whether the engine publishes its ports on this machine."""
    try:
        endpoint = engine.command("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
    except EngineError:
        return True
    return endpoint.startswith(("unix:", "npipe:"))


def _disk_of(root: str) -> tuple[int, int] | None:
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return None  # Docker Desktop's engine keeps its data inside a virtual machine
    return usage.free, usage.used + usage.free  # as `df` counts: what is reserved for root is nobody's


def _port_faults(stack: str, containers: Sequence[Container], ports: Ports, *, local: bool) -> list[PortFault]:
    holders = {int(address.rpartition(":")[2]): one for one in containers for address in one.ports}
    faults = []
    for name, addresses in ports.items():
        for address, port in addresses:
            holder = holders.get(port)
            if holder and holder.project == stack:
                continue
            if holder:
                faults.append(PortFault(port, name, f"container {holder.name} has it"))
            elif local and (fault := _bind_fault(address, port)):
                faults.append(PortFault(port, name, fault))
    return faults


def _bind_fault(address: str, port: int) -> str:
    """Try the port, as the engine will; the empty string when it is free."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the engine does: a closing peer is no holder
        try:
            trial.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return _process_on(port)
            if error.errno == errno.EADDRNOTAVAIL:
                return f"and {address} is no address of this machine"
    return ""


def _process_on(port: int) -> str:
    try:
        listening = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port]
        pids = {one.pid for one in listening if one.pid and one.status == psutil.CONN_LISTEN}
        names = sorted(f"process {psutil.Process(pid).name()} (pid {pid})" for pid in pids)
    except psutil.Error:
        names = []
    return f"{' and '.join(names)} has it" if names else "another user's process has it"
