"""One environment's stack: which services it has, and from which images."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import yaml

from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.facts import DEFINITION_LABEL, Project
from cotai_tasks.places import Place, fingerprints, overlay, read_rolls, standing
from cotai_tasks.settings import ENVIRONMENTS
from cotai_tasks.sizing import KNOWN, mebibytes, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.places import Roll
    from cotai_tasks.settings import Settings
    from cotai_tasks.sizing import Plan

Source = Literal["upstream", "offline"]
UNAVAILABLE = "cotai-offline/unavailable"
"""Stands in `docker/offline/images.env` for an image that cannot be had without a registry."""

TOOLS = "tools"
"""The group of services that no start starts: they run when a command calls them."""

FORMAT_LABEL = "cotai.format"
"""On a volume: which server and major version wrote the data in it."""

_PLACES = "places"
"""The Compose file that says where services stand which are replaced without a gap."""

_DOCKER_HUB = "https://registry-1.docker.io/v2/"
_REGISTRY_TIMEOUT = 4.0
"""Seconds for the registry to answer; a healthy one does so in well under one."""

_scratch = TemporaryDirectory(prefix=f"cotai-{os.getpid()}-")
"""Holds the variables for Compose, mode 0600, for the life of this process."""


@dataclass(frozen=True)
class Service:
    """One service of the rendered Compose files."""

    name: str
    image: str
    group: str
    """Its Compose profile; `core` where it has none."""
    one_shot: bool
    """Runs once and exits 0: a migration, a model pull."""
    depends_on: frozenset[str]
    description: str
    url: str
    login: str
    """Which login of the env file opens its page: `ADMIN` means ADMIN_USER and ADMIN_PASSWORD."""
    awaited: bool
    """Whether a start waits for it; nobody waits for a model that is being downloaded."""
    ports: tuple[tuple[str, int], ...]
    """Published host addresses: `("127.0.0.1", 8000)`."""
    volumes: frozenset[str]
    """Names of the volumes at the engine that it mounts."""
    scales: bool = False
    """Whether it may have several containers."""
    replicas: int = 1
    """How many containers a deploy starts."""
    folders: frozenset[str] = frozenset()
    """Folders of volumes that it mounts alone: `secrets/app`, `config/postgres`."""
    memory: int = 0
    """Bytes that each of its containers may use; 0 without a limit."""
    checked: bool = True
    """Whether it has a healthcheck."""
    fixed_name: str = ""
    """The name of its one container, where it is given one."""


@dataclass(frozen=True)
class Stack:
    """The services of one environment, where their images come from, and what was left out."""

    project: Project
    source: Source
    services: dict[str, Service]
    left_out: dict[str, Service]
    """Services whose image cannot be had without a registry, or for which the host is too small."""
    reasons: dict[str, str]
    """Why each of those is left out."""
    variables: dict[str, str]
    formats: dict[str, str]
    """What wrote the data in each volume, by the volume's name at the engine: `postgresql-17`."""
    rendered: dict[str, Any] = field(default_factory=dict)
    """The Compose files as Compose renders them."""
    definitions: dict[str, str] = field(default_factory=dict)
    """A fingerprint of what each service's containers are made from."""
    rolls: dict[str, Roll] = field(default_factory=dict)
    """The services that are replaced without a gap, and how."""
    places: dict[str, Place] = field(default_factory=dict)
    """Where each of those stands now, or where it would be started."""
    tools: Project | None = None
    """Those services alone that run only when they are called: Compose has less to read, and to compare."""

    @property
    def stateful(self) -> list[str]:
        """The services whose volumes hold data in a format of its own: databases."""
        return sorted(name for name, one in self.services.items() if one.volumes & self.formats.keys())

    @property
    def groups(self) -> list[str]:
        """Every group that may be left out, `core` excepted."""
        return sorted({one.group for one in (self.services | self.left_out).values()} - {"core"})

    def select(self, only: str = "", without: str = "") -> list[str]:
        """Name the services meant by comma-separated lists: those named (and what they need), less whole groups.

        Raises `UsageError` with the nearest name for a service or group that does not exist.
        """
        dropped = split(without)
        for name in dropped:
            if name not in self.groups:
                raise UsageError(f"no such group: {name!r}", cure=nearest(name, self.groups))
        wanted = self.named(only) if only else list(self.services)
        chosen = [name for name in wanted if self.services[name].group not in dropped]
        return sorted(self._with_dependencies(chosen)) if only else sorted(chosen)

    def named(self, names: str) -> list[str]:
        """Give the services of a comma-separated list; all of them when it is empty."""
        for name in split(names):
            if name in self.left_out:
                raise UsageError(f"{name} is not part of this stack: {self.reasons[name]}")
            if name not in self.services:
                raise UsageError(f"no such service: {name!r}", cure=nearest(name, self.services))
        return split(names) or sorted(self.services)

    def _with_dependencies(self, names: Collection[str]) -> set[str]:
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found and name in self.services:
                found.add(name)
                todo += self.services[name].depends_on
        return found


def open_stack(settings: Settings, engine: Engine, source: Source | None = None) -> Stack:
    """Render the Compose files of one environment; `source` says where upstream images come from."""
    source = source or known_source(settings, engine)
    variables = stack_variables(settings, source)
    files = _compose_files(settings)
    sizes, rolls, places = None, {}, {}
    if settings.environment == "prod":
        raw = _services(files)
        host = engine.info()
        sizes = size_plan(settings, host)
        variables |= sizes.variables() | {"DOCKER_ROOT": host.get("DockerRootDir", "/var/lib/docker")}
        rolls = read_rolls(raw)
        places = standing(rolls, engine.containers(settings.stack_name))
        laid_over = {"sizes": sizes.compose(raw), _PLACES: overlay(rolls, places)}
        files += tuple(_write_json(settings.stack_name, kind, what) for kind, what in laid_over.items())
    project = Project(
        name=settings.stack_name,
        directory=settings.home,
        files=files,
        profiles=("*",),
        env_file=_write_variables(settings.stack_name, variables),
        variables=frozenset(variables),
    )
    config = engine.config(project)
    definitions = fingerprints(config)
    if sizes:
        labels = {"services": {name: {"labels": {DEFINITION_LABEL: one}} for name, one in definitions.items()}}
        project = replace(project, files=(*files, _write_json(settings.stack_name, "definitions", labels)))
    services = {name: one for name, one in read_services(config).items() if one.group != TOOLS}
    reasons = {name: "its image needs a registry" for name, one in services.items() if one.image == UNAVAILABLE}
    if sizes:
        small = f"a host of size {sizes.size} has no room for it"
        reasons |= {name: small for name in services if name in KNOWN - sizes.limits.keys()}
    return Stack(
        project=project,
        source=source,
        services={name: one for name, one in services.items() if name not in reasons},
        left_out={name: one for name, one in services.items() if name in reasons},
        reasons=reasons,
        variables=variables,
        formats=read_formats(config),
        rendered=config,
        definitions=definitions,
        rolls=rolls,
        places=places,
        tools=replace(project, files=(_write_json(settings.stack_name, "tools", _tools(config)),)) if sizes else None,
    )


def placed(stack: Stack, places: Mapping[str, Place]) -> Project:
    """Give the Compose project with services in other places than they stand in now."""
    laid_over = _write_json(stack.project.name, "next", overlay(stack.rolls, stack.places | dict(places)))
    files = tuple(laid_over if file.name.endswith(f".{_PLACES}.json") else file for file in stack.project.files)
    return replace(stack.project, files=files)


def rendered(stack: Stack, text: bytes) -> Project:
    """Give the Compose project of a file that was rendered before."""
    path = _write(stack.project.name, "rendered.json", text.decode())
    return replace(stack.project, files=(path,))


def size_plan(settings: Settings, host: Mapping[str, Any]) -> Plan:
    """Plan the limits of production's services on the engine's host, of which `Engine.info` tells."""
    wish = settings.variables
    return plan(
        wish.COTAI_SIZE,
        cpus=float(host["NCPU"]),
        model_memory=mebibytes(wish.LLM_MEMORY),
        replicas={"backend": wish.BACKEND_REPLICAS, "celery-worker": wish.WORKER_REPLICAS},
    )


def stack_variables(settings: Settings, source: Source) -> dict[str, str]:
    """Give every variable that the Compose files and the bake file interpolate; of production's secrets none."""
    own_variables = settings.variables.plain() if settings.environment == "dev" else settings.variables.public()
    images = settings.upstream_images | (settings.offline_images if source == "offline" else {})
    contexts = {"APP_CONTEXT": str(settings.app_context), "LLM_CONTEXT": str(settings.llm_context)}
    contexts["PUBLIC_URL"] = public_url(settings)
    own = settings.variables.APP_ENV_FILE
    if own:
        contexts["APP_ENV_FILE"] = str(settings.directory / own)
    return images | own_variables | contexts


def public_url(settings: Settings) -> str:
    """Give the address that users of production type; empty in development, which has none."""
    port = settings.variables.HTTPS_PORT
    return f"https://{settings.server_names[0]}{'' if port == 443 else f':{port}'}" if settings.server_names else ""  # noqa: PLR2004 - what https means


def read_services(config: Mapping[str, Any]) -> dict[str, Service]:
    """Read the services out of what `docker compose config` renders."""
    volumes = {key: one["name"] for key, one in (config.get("volumes") or {}).items()}
    return {name: _service(name, raw, volumes) for name, raw in config["services"].items()}


def read_formats(config: Mapping[str, Any]) -> dict[str, str]:
    """Read which data format each volume is meant for."""
    return {
        one["name"]: label
        for one in (config.get("volumes") or {}).values()
        if (label := (one.get("labels") or {}).get(FORMAT_LABEL))
    }


def known_source(settings: Settings, engine: Engine) -> Source:
    """Tell where this host's images come from, without asking the network."""
    if settings.variables.COTAI_IMAGES != "auto":
        return settings.variables.COTAI_IMAGES
    present = engine.images(*settings.upstream_images.values(), *settings.offline_images.values())
    upstream = present.keys() & set(settings.upstream_images.values())
    return "offline" if present and not upstream else "upstream"


def choose_source(
    settings: Settings, engine: Engine, reachable: Callable[[], bool] | None = None
) -> tuple[Source, str]:
    """Decide where upstream images come from, and say why; asks the registry only when nothing else decides."""
    setting = settings.variables.COTAI_IMAGES
    if setting != "auto":
        return setting, f"COTAI_IMAGES={setting}"
    upstream = settings.upstream_images["PYTHON_IMAGE"]
    offline = settings.offline_images["PYTHON_IMAGE"]
    present = engine.images(upstream, offline)
    if upstream in present:
        return "upstream", "they are on this host"
    if offline in present:
        return "offline", "they are on this host; COTAI_IMAGES=upstream changes to the registry"
    if reachable() if reachable else registry_reachable(upstream):
        return "upstream", "the registry answers"
    return "offline", f"no image registry answered within {_REGISTRY_TIMEOUT:.0f} s"


def registry_reachable(image: str = "") -> bool:
    """Ask the registry of an image, Docker Hub by default; 401 is the usual answer to an anonymous question."""
    import requests  # nobody else needs it, and it takes a tenth of a second

    host = image.partition("/")[0]
    registry = f"https://{host}/v2/" if "/" in image and ("." in host or ":" in host) else _DOCKER_HUB
    try:
        return requests.get(registry, timeout=_REGISTRY_TIMEOUT).status_code in {200, 401}
    except requests.RequestException:
        return False


def pick_environment(named: str, engine: Engine, project: str) -> str:
    """Decide which environment is meant: the one named, else the only running one, else `dev`."""
    if named:
        return named
    running = {one.project for one in engine.containers() if one.state == "running"}
    candidates = [name for name in ENVIRONMENTS if f"{project}-{name}" in running]
    if len(candidates) > 1:
        raise UsageError(
            f"{' and '.join(candidates)} are both running: which one?", cure="Say --env dev or --env prod."
        )
    return candidates[0] if candidates else "dev"


def split(names: str) -> list[str]:
    """Split a comma-separated flag into names, once each."""
    return list(dict.fromkeys(name for part in names.split(",") if (name := part.strip())))


def containers_by_service(containers: Collection[Container]) -> dict[str, list[Container]]:
    """Group containers by their service; one that scales has several."""
    found: dict[str, list[Container]] = {}
    for one in containers:
        found.setdefault(one.service, []).append(one)
    return found


def _tools(config: Mapping[str, Any]) -> dict[str, Any]:
    services = {name: one for name, one in config["services"].items() if TOOLS in one.get("profiles", ())}
    return {"services": services, "volumes": config.get("volumes") or {}}


def _compose_files(settings: Settings) -> tuple[Path, ...]:
    names = ["compose.yaml", f"compose.{settings.environment}.yaml"]
    if settings.variables.COTAI_GPU:
        names.append("compose.gpu.yaml")
    files = tuple(settings.home / "docker" / name for name in names)
    for path in files:
        if not path.is_file():
            raise UsageError(f"this version has no {settings.environment} stack ({path.name} is missing)")
    return files


def _services(files: Collection[Path]) -> dict[str, dict[str, Any]]:
    """Read the services that the Compose files define, each as the last of them has it."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        found |= yaml.load(file.read_text(), yaml.CSafeLoader).get("services") or {}
    return found


def _remove_leftovers() -> None:
    """Remove what processes that were killed left behind: it holds passwords."""
    found = [*Path(_scratch.name).parent.glob("cotai-*-*")]
    found.remove(Path(_scratch.name))
    if not found:
        return
    import psutil  # it takes a twentieth of a second: only where it is needed

    for folder in found:
        pid = folder.name.split("-")[1]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _write_variables(name: str, variables: Mapping[str, str]) -> Path:
    _remove_leftovers()
    return _write(name, "env", "".join(f"{key}={_quoted(value)}\n" for key, value in sorted(variables.items())))


def _write_json(name: str, kind: str, value: object) -> Path:
    return _write(name, f"{kind}.json", json.dumps(value))


def _write(name: str, kind: str, text: str) -> Path:
    path = Path(_scratch.name) / f"{name}.{kind}"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _quoted(value: str) -> str:
    """Quote a value so that Compose takes it literally."""
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _service(name: str, raw: Mapping[str, Any], volumes: Mapping[str, str]) -> Service:
    labels = raw.get("labels") or {}
    mounts = [one for one in raw.get("volumes") or () if one["type"] == "volume"]
    return Service(
        name=name,
        image=raw["image"],
        group=(raw.get("profiles") or ["core"])[0],
        one_shot=raw.get("restart") == "no",
        depends_on=frozenset(raw.get("depends_on") or ()),
        description=labels.get("cotai.description", ""),
        url=labels.get("cotai.url", ""),
        login=labels.get("cotai.login", ""),
        awaited=labels.get("cotai.wait") != "no",
        scales=labels.get("cotai.scales") == "yes",
        replicas=int((raw.get("deploy") or {}).get("replicas") or 1),
        ports=tuple(
            (one.get("host_ip", "0.0.0.0"), int(one["published"]))  # noqa: S104 - what Compose means by no address
            for one in raw.get("ports") or ()
            if one.get("published")
        ),
        volumes=frozenset(volumes[one["source"]] for one in mounts if one.get("source") in volumes),
        folders=frozenset(
            f"{one['source']}/{path}" for one in mounts if (path := (one.get("volume") or {}).get("subpath"))
        ),
        memory=int(raw.get("mem_limit") or 0),
        checked=(raw.get("healthcheck") or {}).get("test") not in (None, [], ["NONE"]),
        fixed_name=raw.get("container_name", ""),
    )
