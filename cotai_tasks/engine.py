"""The one module that talks to Docker: the engine, its images, and one Compose project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from cotai_tasks.errors import EngineError
from cotai_tasks.facts import (
    GLANCE,
    ONEOFF_LABEL,
    PROJECT_LABEL,
    SERVICE_LABEL,
    Versions,
    read_container,
    read_glance,
    read_image,
    read_usage,
    version_numbers,
)
from cotai_tasks.process import PATIENCE, Piped, Running, engine_error, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.facts import Container, Image, Project, Usage

HELPER = "files"
"""The service of production's Compose files that puts files into volumes; it runs only when it is called."""

MIN_ENGINE = (26, 0)
MIN_COMPOSE = (2, 26)


class Engine:
    """A Docker Engine reached through the docker command line.

    `docker` names the client to use; without it the first on PATH whose `compose` and `buildx` answer is taken.
    Every method raises `EngineError` when the engine does not answer or refuses.
    """

    def __init__(self, docker: str = "") -> None:
        self._docker = docker or _find_client()
        self._info: dict[str, Any] = {}

    # -- the engine itself ---------------------------------------------------------------------------------------

    def versions(self) -> Versions:
        """Ask client, server, Compose and Buildx for their versions; `info` says why a server does not answer."""
        told = json.loads(self._quiet("version", "--format", "{{json .}}") or "{}")
        return Versions(
            client=self._docker,
            server=version_numbers((told.get("Server") or {}).get("Version", "")),
            compose=version_numbers(self._quiet("compose", "version", "--short")),
            buildx=version_numbers(self._quiet("buildx", "version")),
        )

    def info(self) -> dict[str, Any]:
        """Give what the engine tells of its host: memory, CPUs, root directory, runtimes. It is asked once."""
        if not self._info:
            self._info = json.loads(self.command("info", "--format", "{{json .}}"))
        return self._info

    # -- images --------------------------------------------------------------------------------------------------

    def images(self, *references: str) -> dict[str, Image]:
        """Give those of the references that exist locally."""
        if not references:
            return {}
        argv = [self._docker, "image", "inspect", *references]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, start_new_session=True)
        if any(not _ABSENT.search(line) for line in done.stderr.splitlines()):
            raise engine_error("docker image", done.stderr)
        told = {tag: raw for raw in json.loads(done.stdout or "[]") for tag in raw.get("RepoTags") or ()}
        return {reference: read_image(told[reference]) for reference in references if reference in told}

    def pull(self, reference: str) -> Iterator[str]:
        """Pull an image, line by line."""
        return self.stream("pull", reference)

    def push(self, reference: str) -> Iterator[str]:
        """Push an image to the registry its name says, line by line."""
        return self.stream("push", reference)

    def remove_images(self, references: Sequence[str]) -> None:
        """Remove images by tag or id; an image that a container uses is refused by the engine."""
        from python_on_whales import DockerClient, DockerException  # a third of a second: only where it is needed

        try:
            DockerClient(client_call=[self._docker]).image.remove(list(references))
        except DockerException as error:  # its text repeats the whole command line
            raise engine_error("docker image rm", error.stderr or "") from error

    def untag(self, references: Sequence[str]) -> None:
        """Take tags away, and images that have no other one; what a container uses stays, without a name."""
        self.command("image", "rm", "--force", *references)

    def build(self, arguments: Sequence[str], environ: Mapping[str, str], directory: Path) -> Iterator[str]:
        """Run `docker buildx …` in `directory`, line by line, with variables added to the environment."""
        return self.stream("buildx", *arguments, environ=environ, directory=directory)

    # -- containers and volumes ----------------------------------------------------------------------------------

    def containers(self, project: str = "") -> list[Container]:
        """Give the containers of one Compose project, or every container of the engine, stopped ones too."""
        return sorted((read_container(raw) for raw in self.inspect(project)), key=lambda one: one.name)

    def inspect(self, project: str = "") -> list[dict[str, Any]]:
        """Give the same containers word for word, as `docker container inspect` tells of them."""
        only = ["--filter", f"label={PROJECT_LABEL}={project}"] if project else []
        ids = self.command("container", "ls", "--all", "--quiet", "--no-trunc", *only).split()
        return self._inspect("container", ids)

    def glance(self, project: str) -> list[Container]:
        """Give the containers of one Compose project as `containers` does, sparing the engine.

        The details of a container are asked only where it does not simply run: to inspect one that is being started
        waits until it has started, and slows the whole start down.
        """
        only = ("--filter", f"label={PROJECT_LABEL}={project}")
        lines = self.command("container", "ls", "--all", "--no-trunc", *only, "--format", GLANCE).splitlines()
        seen = [read_glance(line, project) for line in lines]
        closer = [one.id for one in seen if one.state not in {"created", "running"} or one.health == "unhealthy"]
        details = {raw["Id"]: read_container(raw) for raw in self._inspect("container", closer)}
        return sorted((details.get(one.id, one) for one in seen), key=lambda one: one.name)

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        """Measure running containers, by id; about two seconds, because the engine samples twice."""
        ids = [one.id for one in containers if one.state == "running"]
        if not ids:
            return {}
        lines = self._quiet("stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *ids).splitlines()
        told = [json.loads(line) for line in lines]
        return {one["ID"]: read_usage(one) for one in told}

    def volumes(self, project: str) -> list[str]:
        """Name the volumes of one Compose project."""
        return self.command("volume", "ls", "--quiet", "--filter", f"label={PROJECT_LABEL}={project}").split()

    def volume_labels(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Give the labels of volumes by their names."""
        return {one["Name"]: dict(one["Labels"] or {}) for one in self._inspect("volume", names)}

    def hold(self, name: str, image: str, labels: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a container that lives as long as this process: its name is taken until then."""
        tags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        limits = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--pull", "never", "--entrypoint", "cat"]
        return subprocess.Popen(
            [self._docker, "run", "--rm", "--interactive", "--name", name, *tags, *limits, image],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for us: the lock must outlive our own compensation
        )

    def container_labels(self, name: str) -> dict[str, str]:
        """Give one container's labels; empty when there is no such container."""
        told = self._inspect("container", [name])
        return dict(told[0]["Config"]["Labels"] or {}) if told else {}

    # -- one Compose project -------------------------------------------------------------------------------------

    def config(self, project: Project) -> dict[str, Any]:
        """Render the project's Compose files, as Compose itself understands them."""
        argv = [*self._compose(project), "config", "--format", "json"]
        rendered: dict[str, Any] = json.loads(self._run(argv, "docker compose config", _environ(project)))
        return rendered

    def up(self, project: Project, services: Sequence[str], *flags: str) -> Running:
        """Begin to create and start services in the order of their dependencies."""
        # Compose makes a replacement under another name. One that an interruption left so is in its way ever after.
        left = [one.id for one in self.glance(project.name) if one.state == "created" and _REPLACEMENT.match(one.name)]
        if left:
            self.command("container", "rm", *left)
        return self.begin(project, "up", "--detach", "--no-build", "--pull", "never", "--quiet-pull", *flags, *services)

    def restart(self, project: Project, services: Sequence[str]) -> Iterator[str]:
        """Restart services' containers."""
        return self.compose(project, "restart", "--no-deps", *services)

    def stop(self, project: Project, services: Sequence[str]) -> Iterator[str]:
        """Stop services' containers and keep them."""
        return self.compose(project, "stop", *services)

    def down(self, project: Project, *, volumes: bool) -> Iterator[str]:
        """Remove the project's containers and networks, and its volumes if asked."""
        return self.compose(project, "down", "--remove-orphans", *(["--volumes"] if volumes else []))

    def logs(
        self, project: Project, services: Sequence[str], *, follow: bool = False, since: str = "", tail: str = "all"
    ) -> Iterator[str]:
        """Give log lines as `container  | text`, without the codes that move a terminal's cursor."""
        flags = [
            "--no-color",
            "--tail",
            tail,
            *(["--follow"] if follow else []),
            *(["--since", since] if since else []),
        ]
        return (_CURSOR.sub("", line) for line in self.compose(project, "logs", *flags, *services))

    def execute(self, project: Project, service: str, command: Sequence[str]) -> str:
        """Run a command in a service's running container, the oldest of several, and give its standard output.

        Compose's own `exec` would render the project for it, which takes longer than most commands.
        """
        argv = [self._docker, "exec", self._serving(project, service), *command]
        return self._run(argv, f"{command[0]} in {service}", os.environ).decode(errors="replace")

    def feed(self, project: Project, service: str, command: Sequence[str], data: bytes) -> str:
        """Run a command in a service's running container with `data` on its standard input; give what it prints.

        For what may stand in no command line: passwords, and statements that hold one.
        """
        argv = [self._docker, "exec", "--interactive", self._serving(project, service), *command]
        return self._run(argv, f"{command[0]} in {service}", os.environ, data).decode(errors="replace")

    def help(self, project: Project, arguments: Sequence[str], data: bytes = b"") -> bytes:
        """Run the stack's helper container once, with `data` on its standard input; give its standard output."""
        argv = [*self._compose(project), "run", "--rm", "--no-deps", "-T", HELPER, *arguments]
        try:
            return self._run(argv, f"{HELPER} {arguments[0]}", _environ(project), data)
        except EngineError as error:
            error.cure = error.cure or "If its image is older than this tool: inv build.image production makes it anew."
            raise

    def attach(self, project: Project, service: str, command: Sequence[str]) -> int:
        """Run a command in a service's container on the user's own terminal; give its exit code."""
        argv = [*self._compose(project), "exec", service, *command]
        return subprocess.run(argv, env=_environ(project), check=False).returncode

    def run_once(self, project: Project, service: str, command: Sequence[str] = ()) -> Iterator[str]:
        """Run a service's container once and remove it, line by line."""
        return self.compose(project, "run", "--rm", "--no-deps", "-T", service, *command)

    def begin(self, project: Project, *arguments: str) -> Running:
        """Begin any `docker compose` command on the project, and go on."""
        return Running([*self._compose(project), *arguments], _environ(project))

    def compose(self, project: Project, *arguments: str) -> Iterator[str]:
        """Run any `docker compose` command on the project, line by line."""
        return self._lines([*self._compose(project), *arguments], environ=_environ(project))

    # -- running the command line --------------------------------------------------------------------------------

    def command(self, *arguments: str) -> str:
        """Run `docker …` and give its standard output."""
        return self._run([self._docker, *arguments], f"docker {arguments[0]}", os.environ).decode(errors="replace")

    def stream(
        self, *arguments: str, environ: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> Iterator[str]:
        """Run `docker …` and give its output and error lines as they come."""
        return self._lines([self._docker, *arguments], environ={**os.environ, **(environ or {})}, directory=directory)

    def pipe(self, *arguments: str, what: str, patience: float = PATIENCE) -> Piped:
        """Begin `docker …` with bytes on its standard input and output; `what` names it in an error.

        A client that goes leaves behind what it runs in a container: wrap that in `leashed`.
        """
        return Piped([self._docker, *arguments], os.environ, what, patience)

    def _run(self, argv: Sequence[str], what: str, environ: Mapping[str, str], data: bytes = b"") -> bytes:
        # A Ctrl-C is for us: what is being put back is put back to its end.
        done = subprocess.run(argv, input=data, capture_output=True, env=environ, check=False, start_new_session=True)
        if done.returncode:
            raise engine_error(what, (done.stderr or done.stdout).decode(errors="replace"))
        return done.stdout

    def _lines(
        self, argv: Sequence[str], *, environ: Mapping[str, str], directory: Path | None = None
    ) -> Iterator[str]:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=directory,
            start_new_session=True,
        )
        last: list[str] = []
        with process:
            try:
                for raw in process.stdout or ():
                    line = raw.decode(errors="replace").rstrip("\r\n")
                    last = [*last[-40:], line]
                    yield line
            except BaseException:  # whoever reads has left, or Ctrl-C: the command goes too
                process.terminate()
                raise
        if process.returncode:
            raise engine_error(title(argv), "\n".join(last))

    def _inspect(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """Inspect containers or volumes; one that is gone meanwhile is left out."""
        told: list[dict[str, Any]] = json.loads(self._quiet(kind, "inspect", *names) or "[]") if names else []
        return told

    def _serving(self, project: Project, service: str) -> str:
        """Give the id of a service's running container, the oldest of several."""
        labels = {PROJECT_LABEL: project.name, SERVICE_LABEL: service, ONEOFF_LABEL: "False"}
        only = [part for name, value in labels.items() for part in ("--filter", f"label={name}={value}")]
        if not (ids := self.command("container", "ls", "--quiet", *only).split()):
            raise EngineError(f"{service} is not running", cure="inv deploy.status shows what runs.")
        return ids[-1]

    def _quiet(self, *arguments: str) -> str:
        """Run `docker …` for what it prints, whatever its exit code: a part may be missing or gone meanwhile."""
        return subprocess.run([self._docker, *arguments], capture_output=True, text=True, check=False).stdout

    def _compose(self, project: Project) -> list[str]:
        return [
            *(self._docker, "compose", "--project-name", project.name),
            *("--project-directory", str(project.directory), "--env-file", str(project.env_file)),
            *(part for file in project.files for part in ("--file", str(file))),
            *(part for profile in project.profiles for part in ("--profile", profile)),
        ]


# The first process of a container is the parent of whatever is orphaned there, and PostgreSQL takes the death of one
# by a signal for a crash of its own, and ends every session. So the leash is waited for, too.
_LEASH = """
exec 3<&0
"$@" </dev/null &
command=$!
{ read -r _ <&3; kill "$command"; } >/dev/null 2>&1 &
leash=$!
wait "$command"
code=$?
kill "$leash" 2>/dev/null
wait "$leash" 2>/dev/null
exit $code
"""


def leashed(command: Sequence[str]) -> list[str]:
    """Give a command that ends, in its container, when its standard input does: when whoever started it has gone."""
    return ["sh", "-c", _LEASH, "leashed", *command]


_ABSENT = re.compile("no such image|invalid reference format", re.IGNORECASE)
"""How the engine says of a name that it has no such image, or that none could have it."""

_REPLACEMENT = re.compile(r"[0-9a-f]{12}_")
"""How the name of a container begins that Compose has made, and has not yet put in the place of the old one."""

_NO_IMAGE = re.compile("No such image|invalid reference format")
"""What the engine says of a reference that means no image here, or nowhere."""

_CURSOR = re.compile(r"\x1b\[[0-9;]*[A-HJKSTf]")
"""Compose clears the line before it prints a log line, terminal or not; colours are left to the application."""


def _find_client() -> str:
    """Find the first docker on PATH whose `compose` and `buildx` answer; a bare client may stand before it."""
    folders = [*os.get_exec_path(), "/usr/bin", "/usr/local/bin"]
    found = dict.fromkeys(path for folder in folders if (path := shutil.which("docker", path=folder)))
    if not found:
        raise EngineError(
            "no docker command on PATH",
            cure="Run ./bootstrap, or see https://docs.docker.com/engine/install/ for this system.",
        )
    for path in found:
        asked = [_ask(path, plugin) for plugin in ("compose", "buildx")] if len(found) > 1 else []
        codes = [one.wait() for one in asked]
        if not any(codes):
            return path
    return next(iter(found))


def _ask(path: str, plugin: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([path, plugin, "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _environ(project: Project) -> dict[str, str]:
    """Give this process's environment without what the project's env file holds.

    Compose lets the environment win over the file, but the file has the resolved value: a path made absolute.
    """
    return {name: value for name, value in os.environ.items() if name not in project.variables}
