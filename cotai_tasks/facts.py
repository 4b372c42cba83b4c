"""What the engine tells, as plain data, and how its answers are read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONEOFF_LABEL = "com.docker.compose.oneoff"
"""`True` on what `docker compose run` made."""
SLOT_LABEL = "cotai.slot"
RELEASE_LABEL = "cotai.release"
DEFINITION_LABEL = "cotai.definition"

GLANCE = "\t".join(
    ("{{.ID}}", "{{.Names}}", f'{{{{.Label "{SERVICE_LABEL}"}}}}', "{{.Image}}", "{{.State}}", "{{.Status}}")
)
"""What `docker container ls` is asked for, one line to a container."""


@dataclass(frozen=True)
class Versions:
    """What answers: versions as tuples of numbers, `(0,)` where a part is missing."""

    client: str
    server: tuple[int, ...]
    compose: tuple[int, ...]
    buildx: tuple[int, ...]


@dataclass(frozen=True)
class Container:
    """One container of a Compose project, as the engine sees it."""

    id: str
    name: str
    service: str
    project: str
    image: str
    state: str
    """created, running, restarting, exited, paused or dead."""
    health: str
    """healthy, starting, unhealthy, or empty where there is no healthcheck."""
    exit_code: int
    started_at: str
    """RFC 3339, as the engine writes it."""
    restarts: int
    oom_killed: bool
    memory_limit: int
    """Bytes; 0 is unlimited."""
    ports: tuple[str, ...]
    """Published addresses, `127.0.0.1:8000`."""
    health_output: str
    """What the last healthcheck printed."""
    image_id: str = ""
    slot: str = ""
    """Of a service that is replaced without a gap: which of its two network aliases it answers to, `a` or `b`."""
    release: str = ""
    """The release that made it."""
    definition: str = ""
    """Our fingerprint of the service as it was when the container was made (`places.fingerprints`)."""

    @property
    def run(self) -> tuple[str, str]:
        """Tell one run of a container from its next: the engine starts the same container again."""
        return self.id, self.started_at


@dataclass(frozen=True)
class Usage:
    """What a container uses now: CPU in per cent of one core, memory in bytes. Then the bytes it has moved so far."""

    cpu: float
    memory: int
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0


@dataclass(frozen=True)
class Image:
    """One local image."""

    id: str
    tags: tuple[str, ...]
    size: int
    """Bytes, all layers counted."""
    created: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """What the Compose commands need: a name, files, profiles, and the variables they interpolate."""

    name: str
    directory: Path
    files: tuple[Path, ...]
    profiles: tuple[str, ...]
    env_file: Path
    """Holds the variables; mode 0600."""
    variables: frozenset[str]
    """Their names."""


def version_numbers(version: str) -> tuple[int, ...]:
    """Read a version as numbers, `v2.26.1-4` as (2, 26, 1); (0,) where there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in found.groups() if part) if found else (0,)


def read_size(text: str) -> int:
    """Read a size as Docker prints it, `88.9MB` or the first half of `12.3MiB / 1GiB`; what is none counts nothing."""
    found = re.match(r"([\d.]+)\s*([kKMGT]?)(i?)B", text)
    if not found:
        return 0
    base = 1024.0 if found[3] else 1000.0
    return round(float(found[1]) * base ** " kMGT".index(found[2].replace("K", "k") or " "))


def read_usage(told: Mapping[str, str]) -> Usage:
    """Read what `docker stats` tells of one container."""
    received, _, sent = told["NetIO"].partition(" / ")
    read, _, written = told["BlockIO"].partition(" / ")
    return Usage(
        cpu=float(told["CPUPerc"].strip("%-") or 0),  # -- of one that has just gone
        memory=read_size(told["MemUsage"]),
        received=read_size(received),
        sent=read_size(sent),
        read=read_size(read),
        written=read_size(written),
    )


def read_image(raw: Mapping[str, Any]) -> Image:
    """Read what `docker image inspect` tells of one image."""
    labels = (raw.get("Config") or {}).get("Labels") or {}
    return Image(raw["Id"], tuple(raw.get("RepoTags") or ()), int(raw["Size"]), raw["Created"], dict(labels))


def read_container(raw: Mapping[str, Any]) -> Container:
    """Read what `docker container inspect` tells of one container."""
    state, labels = raw["State"], raw["Config"]["Labels"] or {}
    health = state.get("Health") or {}
    log = health.get("Log") or [{}]
    bound = (raw["NetworkSettings"].get("Ports") or {}).values()
    ports = {f"{one['HostIp']}:{one['HostPort']}" for published in bound for one in published or ()}
    return Container(
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        service=labels.get(SERVICE_LABEL, ""),
        project=labels.get(PROJECT_LABEL, ""),
        image=raw["Config"]["Image"],
        state=state["Status"],
        health="" if health.get("Status", "none") == "none" else health["Status"],
        exit_code=int(state["ExitCode"]),
        started_at=state["StartedAt"],
        restarts=int(raw.get("RestartCount", 0)),
        oom_killed=bool(state.get("OOMKilled")),
        memory_limit=int(raw["HostConfig"].get("Memory") or 0),
        ports=tuple(sorted(ports)),
        health_output=str(log[-1].get("Output", "")).strip(),
        image_id=raw.get("Image", ""),
        slot=labels.get(SLOT_LABEL, ""),
        release=labels.get(RELEASE_LABEL, ""),
        definition=labels.get(DEFINITION_LABEL, ""),
    )


def read_glance(line: str, project: str) -> Container:
    """Read a line of `GLANCE`; what it does not tell is left empty."""
    found, name, service, image, state, status = line.split("\t")
    health = re.search(r"\((?:health: )?(starting|healthy|unhealthy)\)", status)
    return Container(
        id=found,
        name=name,
        service=service,
        project=project,
        image=image,
        state=state,
        health=health[1] if health else "",
        exit_code=0,
        started_at="",
        restarts=0,
        oom_killed=False,
        memory_limit=0,
        ports=(),
        health_output="",
    )


def running_services(containers: Iterable[Container]) -> set[str]:
    """Name the services of which at least one container runs."""
    return {one.service for one in containers if one.state == "running"}


def started_at(container: Container) -> float:
    """Tell when a container was started, in seconds since 1970; the engine writes nanoseconds, Python reads micro."""
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", container.started_at)).timestamp()
