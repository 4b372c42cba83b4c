"""What production asks for beyond a start: a host that carries it, secrets, a certificate, files at the engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cotai_tasks.console import size
from cotai_tasks.deploy.alerting import alerting_files
from cotai_tasks.errors import EngineError, Finding, UnhealthyError
from cotai_tasks.security import check_certificate, check_secrets, secret_folders
from cotai_tasks.sizing import CONNECTIONS, HOST_MEMORY, SHARE
from cotai_tasks.stack import size_plan
from cotai_tasks.tuning import postgres_settings
from cotai_tasks.volumes import VolumeFile, get_folder, put_folders

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.sizing import Plan
    from cotai_tasks.stack import Stack

Folders = dict[str, dict[str, VolumeFile]]

PROXY = "nginx"
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

_UPSTREAMS = "proxy/upstreams"
_ASK = """
curl --silent --show-error --insecure --max-time 10 --output /dev/null --write-out '%{http_code}' \
    --resolve "$1:8443:127.0.0.1" "https://$1:8443/health"
"""


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
    if sizes.memory > SHARE * memory:
        fitting = [name for name, needed in HOST_MEMORY.items() if needed <= memory]
        cure = (
            f"COTAI_SIZE={fitting[-1]}"
            if fitting and fitting[-1] != sizes.size
            else "fewer replicas, or less LLM_MEMORY"
        )
        findings.append(
            Finding(
                "COTAI_SIZE",
                f"all limits of {sizes.size} add up to {size(sizes.memory)}, "
                f"more than {SHARE:.0%} of the {size(memory)} of this host",
                f"Choose another: {cure}.",
            )
        )
    return findings


def check(stack: Stack, *, settings: Settings, engine: Engine) -> list[Finding]:
    """Find everything that production lacks on this host."""
    memory = int(engine.info()["MemTotal"])
    sizes = size_plan(settings, engine)
    return [
        *host_findings(stack, sizes, memory, evaluation=settings.variables.COTAI_EVALUATION),
        *check_secrets(settings),
        *(check_certificate(stack, settings=settings, engine=engine) if can_read_volumes(stack, engine) else []),
    ]


def can_read_volumes(stack: Stack, engine: Engine) -> bool:
    """Tell whether the image is there that looks into volumes: on a fresh host it is made first."""
    image = stack.services["backend"].image
    return image in engine.images(image)


def fill_volumes(stack: Stack, *, settings: Settings, engine: Engine) -> frozenset[str]:
    """Put configuration and secrets where the containers read them; give the paths that changed."""
    folders: Folders = configuration(settings, size_plan(settings, engine))
    folders |= secret_folders(settings, stack.variables)
    if not get_folder(stack, engine, _UPSTREAMS):  # what is there belongs to the release that serves
        folders[_UPSTREAMS] = read_folder(settings.home / "nginx/live")
    return put_folders(stack, engine, folders)


def configuration(settings: Settings, sizes: Plan) -> Folders:
    """Read the folders of configuration, and add what follows from the host's size."""
    folders = {f"config/{name}": read_folder(settings.home / path) for name, path in CONFIGURATION.items()}
    limit = sizes.limits["postgres"]
    tuned = postgres_settings(limit.memory * 2**20, limit.cpus, CONNECTIONS[sizes.size])
    text = "".join(f"{name} = {value}\n" for name, value in tuned.items())
    folders["config/postgres"]["tuned.conf"] = VolumeFile(text.encode())
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


def readers(stack: Stack, changed: Collection[str]) -> list[str]:
    """Name the services that have one of the changed files mounted."""
    return sorted(
        name
        for name, one in stack.services.items()
        if any(path.startswith(f"{folder}/") for folder in one.folders for path in changed)
    )


def recreated(stack: Stack, wanted: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """Name the databases that run with another definition than the one wanted now (fingerprints by service)."""
    return [name for name in stack.stateful if name in made and made[name] != wanted.get(name)]


def confirm(stack: Stack, *, settings: Settings, engine: Engine, console: Console) -> None:
    """Ask as a user does, through Nginx and TLS, whether the application answers."""
    name = settings.server_names[0]
    with console.step(f"asking https://{name}/health through nginx"):
        try:
            status = engine.execute(stack.project, PROXY, ["sh", "-c", _ASK, "ask", name]).strip()
        except EngineError as error:
            status = str(error)
    if status != "200":
        raise UnhealthyError(
            f"everything is healthy, but https://{name}/health answers {status}",
            cure="inv deploy.logs --svc nginx,backend",
        )
