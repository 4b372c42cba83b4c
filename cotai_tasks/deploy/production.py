"""What production asks for beyond a start: a host that carries it, secrets, a certificate, files at the engine."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cotai_tasks.console import size
from cotai_tasks.deploy.alerting import alerting_files
from cotai_tasks.deploy.proxy import FILE, MAINTENANCE, PROXY, UPSTREAMS, ask, read_upstreams, upstreams
from cotai_tasks.errors import EngineError, Finding, PreflightError, UnhealthyError
from cotai_tasks.facts import started_at
from cotai_tasks.security import CERTIFICATE_FILES, check_certificate, check_secrets, secret_folders
from cotai_tasks.sizing import CONNECTIONS, HOST_MEMORY, SHARE
from cotai_tasks.stack import containers_by_service, public_url, size_plan
from cotai_tasks.tuning import postgres_settings
from cotai_tasks.volumes import VolumeFile, get_files, get_folder, put_folders

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Settings
    from cotai_tasks.sizing import Plan
    from cotai_tasks.stack import Stack

Folders = dict[str, dict[str, VolumeFile]]

CONFIGURATION = {
    "postgres": "docker/postgres",
    "mongodb": "docker/mongodb",
    "redis": "docker/redis",
    "prometheus": "docker/prometheus",
    "alertmanager": "docker/alertmanager",
    "blackbox": "docker/blackbox",
    "grafana": "docker/grafana",
    "loki": "docker/loki",
    "alloy": "docker/alloy",
    "tempo": "docker/tempo",
    "otel": "docker/otel",
    "probe": "docker/runtime/probe",
}
"""The folders of the volume `config`, and what they are filled from."""

_TUNED = "tuned.conf"
_MEMORY = "/proc/meminfo"
_REPLICA_KEY = "secrets/mongodb/replica.key"
"""What no rotation and no renewal changes."""
_READ_EACH_TIME = {"config/probe", "secrets/proxy"}
"""Folders whose files are read whenever they are needed: nobody has to be restarted for them."""


def host_findings(stack: Stack, sizes: Plan, memory: int, *, evaluation: bool) -> list[Finding]:
    """Find why a host of so much memory (bytes) may not carry this stack: a pure judgement."""
    findings = []
    if stack.source == "offline" and not evaluation:
        findings.append(
            Finding(
                "COTAI_IMAGES",
                "these images were made without a registry, and their MongoDB is a stand-in for evaluation",
                "Use upstream images. To try things out, never for real data: COTAI_EVALUATION=true.",
            )
        )
    needed = sizes.of(stack.services).memory
    if needed > SHARE * memory:
        fitting = [name for name, host in HOST_MEMORY.items() if host <= memory and name != sizes.size]
        cure = f"Choose COTAI_SIZE={fitting[-1]}, or a larger host." if fitting else "Choose a larger host."
        findings.append(
            Finding(
                "COTAI_SIZE",
                f"all limits of {sizes.size} add up to {size(needed)}, "
                f"more than {SHARE:.0%} of the {size(memory)} of this host",
                cure,
            )
        )
    return findings


def rolled_findings(stack: Stack) -> list[Finding]:
    """Find why services that are to be replaced without a gap cannot be: a pure judgement on the Compose files."""
    findings = []
    for name in sorted(stack.rolls.keys() & stack.services.keys()):
        one = stack.services[name]
        if not one.checked:
            fault = "it has no healthcheck: nobody would know when its new container may serve"
            findings.append(Finding(name, fault, "Give it one in its Compose file."))
        if one.ports:
            fault = "it publishes ports of the host, which an old and a new container cannot share"
            findings.append(Finding(name, fault, "Take `ports` away: Nginx reaches it on the network."))
        if one.fixed_name:
            fault = f"its container is always called {one.fixed_name}, and an old and a new one cannot share a name"
            findings.append(Finding(name, fault, "Take `container_name` away."))
    return findings


def require_room(stack: Stack, rolled: Collection[str], before: Collection[Container], engine: Engine) -> None:
    """Raise `PreflightError` where the host's free memory does not carry old and new containers beside each other."""
    running = next((one for one in before if one.service in rolled and one.state == "running"), None)
    needed = sum(stack.services[name].memory * stack.services[name].replicas for name in rolled)
    if running and needed > (free := free_memory(engine.command("container", "exec", running.id, "cat", _MEMORY))):
        raise PreflightError(
            f"old and new containers run beside each other for a while: the new ones may use {size(needed)}, "
            f"and {size(free)} of this host is free",
            cure="Deploy a part at a time: inv deploy.prod --only backend, then the rest.",
        )


def free_memory(text: str) -> int:
    """Read from /proc/meminfo, the host's in every container, how many bytes can be had without swapping."""
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("MemAvailable:")) * 1024


def check(stack: Stack, *, settings: Settings, engine: Engine) -> list[Finding]:
    """Find everything that production lacks on this host."""
    host = engine.info()
    evaluation = settings.variables.COTAI_EVALUATION
    findings = host_findings(stack, size_plan(settings, host), int(host["MemTotal"]), evaluation=evaluation)
    findings += rolled_findings(stack)
    findings += check_secrets(settings)
    if can_read_volumes(stack, engine):
        files = get_files(stack, engine, *CERTIFICATE_FILES, _REPLICA_KEY)  # a helper container takes half a second
        findings += check_certificate(files, settings=settings)
        findings += foreign_secrets(stack, settings.secrets_folder, files.get(_REPLICA_KEY, b""))
    return findings


def foreign_secrets(stack: Stack, folder: Path, theirs: bytes) -> list[Finding]:
    """Find that the stack was set up with the secrets of another folder: its databases know other passwords.

    `theirs` is the key of the stack's replica set, empty where it has none yet.
    """
    ours = folder / "MONGODB_KEY"
    if not theirs or not ours.is_file() or theirs.strip() == ours.read_bytes().strip():
        return []
    cure = "Bring that folder (inv security.unseal); to begin anew without its data: inv deploy.clean --volumes."
    return [Finding(str(folder), f"{stack.project.name} was set up with other secrets than these", cure)]


def can_read_volumes(stack: Stack, engine: Engine) -> bool:
    """Tell whether the image is there that looks into volumes: on a fresh host it is made first."""
    image = stack.services["backend"].image
    return image in engine.images(image)


def fill_volumes(
    stack: Stack, kept: Collection[str], before: Collection[Container], *, settings: Settings, engine: Engine
) -> dict[str, float]:
    """Put configuration and secrets where the containers read them; give when each folder changed last.

    A PostgreSQL that is `kept` as it runs keeps its settings too: those of another size would not fit its memory.
    Raises `PreflightError` where the application of this size would open more connections than it takes.
    """
    sizes = size_plan(settings, engine.info())
    folders: Folders = configuration(settings, sizes)
    if "postgres" in kept:
        tuned = get_folder(stack, engine, "config/postgres", _TUNED).get(_TUNED, b"")
        if tuned and f"max_connections = {CONNECTIONS[sizes.size]}\n".encode() not in tuned:
            fault = f"postgres runs for another size, and {sizes.size} has other numbers of connections"
            cure = "inv deploy.prod --with-databases makes it anew; its users notice."
            raise PreflightError(f"{stack.project.name}: {fault}", cure=cure)
        folders["config/postgres"][_TUNED] = VolumeFile(tuned)
    folders |= secret_folders(settings, stack.variables)
    # What is there belongs to the release that serves: no container of Nginx was ever made without it.
    if not any(one.service == PROXY for one in before) and not read_upstreams(stack, engine):
        folders[UPSTREAMS] = {FILE: VolumeFile(upstreams(stack.places))}
    return put_folders(stack, engine, folders).written


def configuration(settings: Settings, sizes: Plan) -> Folders:
    """Read the folders of configuration, and add what follows from the host's size."""
    folders = {f"config/{name}": read_folder(settings.home / path) for name, path in CONFIGURATION.items()}
    limit = sizes.limits["postgres"]
    tuned = postgres_settings(limit.memory * 2**20, limit.cpus, CONNECTIONS[sizes.size])
    text = "".join(f"{name} = {value}\n" for name, value in tuned.items())
    folders["config/postgres"][_TUNED] = VolumeFile(text.encode())
    for folder, files in alerting_files(settings).items():
        folders[folder] |= files
    return folders


def read_folder(folder: Path) -> dict[str, VolumeFile]:
    """Read every file of a folder, those in folders of its own too; what could be run stays so."""
    return {
        str(path.relative_to(folder)): VolumeFile(path.read_bytes(), mode=0o555 if os.access(path, os.X_OK) else 0o444)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def outdated(stack: Stack, written: Mapping[str, float], containers: Collection[Container]) -> list[str]:
    """Name the services that were started before something changed in a folder that they read.

    Nothing needs to be remembered for it: a deploy that was interrupted is made good by the next one.
    """
    found = containers_by_service(containers)
    names = []
    for name, one in stack.services.items():
        times = [
            seconds
            for folder, seconds in written.items()
            if folder not in _READ_EACH_TIME and any(f"{read}/".startswith(f"{folder}/") for read in one.folders)
        ]
        started = [started_at(each) for each in found.get(name, []) if each.state == "running"]
        if times and started and min(started) < max(times):
            names.append(name)
    return sorted(names)


def check_proxy(stack: Stack, containers: Collection[Container], engine: Engine) -> None:
    """Let a new Nginx judge its configuration before the one that serves is stopped for it.

    Raises `PreflightError` with Nginx' own words.
    """
    image = stack.services[PROXY].image
    wanted = engine.images(image)[image].id
    if any(one.service == PROXY and one.state == "running" and one.image_id == wanted for one in containers):
        return
    try:
        for _ in engine.run_once(stack.project, PROXY, ["nginx", "-t"]):
            pass
    except EngineError as error:
        raise PreflightError(
            "nginx refuses its configuration", cure="What served goes on serving.", evidence=error.evidence
        ) from error


def confirm(stack: Stack, *, settings: Settings, engine: Engine, console: Console, patience: float = 15) -> None:
    """Ask as a user does, through Nginx and TLS, whether the application answers; again for a while, on a busy host."""
    name, address = settings.server_names[0], f"{public_url(settings)}/health"
    end = time.monotonic() + patience
    with console.step(f"asking {address} through nginx"):
        while (status := _asked(name, stack, engine)) != "200" and time.monotonic() < end:
            if status == "503" and get_folder(stack, engine, MAINTENANCE):
                console.warn("maintenance is on: users see its page until inv deploy.maintenance off")
                return
            time.sleep(1)
    if status != "200":
        raise UnhealthyError(
            f"everything is healthy, but {address} answers {status}",
            cure="inv deploy.logs --svc nginx,backend",
        )


def _asked(name: str, stack: Stack, engine: Engine) -> str:
    """Give the status that a user gets, or why there is none."""
    try:
        return ask("/health", name, stack, engine, patience=10)
    except EngineError as error:
        return str(error)
