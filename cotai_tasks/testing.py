"""For tests: an engine that answers from plain data and writes down what it was asked, and a console that remembers."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console as RichConsole

from cotai_tasks.console import Console
from cotai_tasks.engine import Engine
from cotai_tasks.facts import Container, Image, Usage, Versions
from cotai_tasks.process import PATIENCE, Piped, Running
from cotai_tasks.volumes import VolumeFile, pack

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.errors import EngineError
    from cotai_tasks.facts import Project

_Value = TypeVar("_Value")


def container(service: str, **changes: Any) -> Container:  # noqa: ANN401 - any field of a container
    """Make a healthy running container of `cotai-dev`; name the fields that differ."""
    fields: dict[str, Any] = {
        "id": f"id-{service}",
        "name": f"cotai-dev-{service}-1",
        "service": service,
        "project": "cotai-dev",
        "image": f"{service}:1",
        "state": "running",
        "health": "healthy",
        "exit_code": 0,
        "started_at": "2026-01-01T00:00:00Z",
        "restarts": 0,
        "oom_killed": False,
        "memory_limit": 256 * 2**20,
        "ports": (),
        "health_output": "",
    }
    return Container(**fields | changes)


class FakeRunning(Running):
    """A command that has ended before anybody looked."""

    def __init__(self, lines: list[str], failure: EngineError | None) -> None:
        self.lines = lines
        self._failure = failure

    def __exit__(self, *_: object) -> None:
        """Leave: nothing runs."""

    @property
    def ended(self) -> bool:
        """It has."""
        return True

    @property
    def error(self) -> EngineError | None:
        """What it was told to end with."""
        return self._failure


class FakePiped(Piped):
    """A command that has given all its bytes, and takes whatever it is given."""

    def __init__(self, output: bytes, failure: Exception | None, fed: list[bytes]) -> None:
        self._output = io.BytesIO(output)
        self._failure = failure
        self._fed = fed
        self._input = b""

    def __exit__(self, *_: object) -> None:
        """Leave: nothing runs."""

    def read(self, size: int = -1) -> bytes:
        """Give the next bytes."""
        return self._output.read(size)

    def write(self, data: bytes) -> int:
        """Keep the bytes."""
        self._input += data
        return len(data)

    def finish(self) -> bytes:
        """End as it was told to."""
        self._fed.append(self._input)
        if self._failure:
            raise self._failure
        return self._output.read()

    @property
    def last_words(self) -> str:
        """It has none."""
        return ""


@dataclass
class FakeEngine(Engine):
    """An `Engine` that runs nothing. Fill the fields with what it should answer; `calls` is what it was told."""

    found_images: dict[str, Image] = field(default_factory=dict)
    found_containers: list[Container] = field(default_factory=list)
    found_raw: list[dict[str, Any]] = field(default_factory=list)
    """What `docker container inspect` tells, word for word."""
    found_volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    rendered: dict[str, Any] = field(default_factory=lambda: {"services": {}})
    answers: dict[str, list[str]] = field(default_factory=dict)
    """Lines of a command, by its first words: `{"up": ["…"]}`; of several that fit, the longest is taken."""
    errors: dict[str, Exception] = field(default_factory=dict)
    """What a command raises after its lines, by its first words."""
    failures: dict[str, EngineError] = field(default_factory=dict)
    """How a command that was begun ended, by its first word."""
    told: Versions = field(default_factory=lambda: Versions("docker", (26, 1, 5), (2, 26, 1), (0, 13, 1)))
    host: dict[str, Any] = field(default_factory=dict)
    folders: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """What is in the volumes, by folder and file: `{"proxy/certs": {"privkey.pem": b"…"}}`."""
    streams: dict[str, bytes] = field(default_factory=dict)
    """What commands with streams of bytes give, by their first words, as `answers`."""
    now: float = 0.0
    """The engine's clock, in seconds since 1970."""
    written: dict[str, float] = field(default_factory=dict)
    """When each of `folders` changed last."""
    fed: list[bytes] = field(default_factory=list)
    """What commands were given on their standard input."""
    calls: list[tuple[str, ...]] = field(default_factory=list)
    environs: list[Mapping[str, str]] = field(default_factory=list)
    """The variables that streamed commands were given."""

    def versions(self) -> Versions:
        """Give `told`."""
        return self.told

    def info(self) -> dict[str, Any]:
        """Give `host`."""
        return self.host

    def images(self, *references: str) -> dict[str, Image]:
        """Give those of `found_images`."""
        return {name: self.found_images[name] for name in references if name in self.found_images}

    def containers(self, project: str = "") -> list[Container]:
        """Give those of `found_containers`."""
        return [one for one in self.found_containers if not project or one.project == project]

    def inspect(self, project: str = "") -> list[dict[str, Any]]:  # noqa: ARG002 - one project serves
        """Give `found_raw`."""
        return self.found_raw

    def glance(self, project: str) -> list[Container]:
        """Give those of `found_containers`."""
        return self.containers(project)

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        """Give one and the same usage for each."""
        return {one.id: Usage(1.5, 64 * 2**20) for one in containers if one.state == "running"}

    def volumes(self, project: str) -> list[str]:
        """Give the names of `found_volumes` that belong to the project."""
        return [name for name in self.found_volumes if name.startswith(project)]

    def volume_labels(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Give the labels in `found_volumes`."""
        return {name: self.found_volumes[name] for name in names if name in self.found_volumes}

    def config(self, project: Project) -> dict[str, Any]:  # noqa: ARG002 - one configuration serves
        """Give `rendered`."""
        return self.rendered

    def remove_images(self, references: Sequence[str]) -> None:
        """Write the command down."""
        self.command("image", "rm", *references)

    def untag(self, references: Sequence[str]) -> None:
        """Write the command down."""
        self.command("image", "rm", "--force", *references)

    def execute(self, project: Project, service: str, command: Sequence[str]) -> str:  # noqa: ARG002
        """Write the command down; give the lines of `answers["execute"]`."""
        return "\n".join(self._streamed("execute", service, *command))

    def feed(self, project: Project, service: str, command: Sequence[str], data: bytes) -> str:
        """Write the command and its input down; give the lines of `answers["execute"]`."""
        self.fed.append(data)
        return self.execute(project, service, command)

    def help(self, project: Project, arguments: Sequence[str], data: bytes = b"") -> bytes:  # noqa: ARG002
        """Keep files in `folders` and give them back, as the helper container does in volumes."""
        command, first, *rest = arguments
        if command == "get":
            paths = {f"{folder}/{name}": text for folder, files in self.folders.items() for name, text in files.items()}
            prefix = "" if first == "." else f"{first}/"
            found: dict[str, dict[str, VolumeFile]] = {}
            for path, text in paths.items():
                if path.startswith(prefix) and (not rest or path.removeprefix(prefix) in rest):
                    folder, _, name = path.rpartition("/")
                    found.setdefault(folder, {})[name] = VolumeFile(text)
            return pack(found)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            given = {one.name: file.read() for one in archive if (file := archive.extractfile(one))}
        before = {f"{folder}/{file}": text for folder in rest for file, text in self.folders.get(folder, {}).items()}
        for folder in rest:
            self.folders[folder] = {
                path.removeprefix(f"{folder}/"): text for path, text in given.items() if path.startswith(f"{folder}/")
            }
        changed = sorted(path for path in given | before if given.get(path) != before.get(path))
        for path in changed:
            self.written |= {folder: self.now for folder in rest if path.startswith(f"{folder}/")}
        lines = [f"changed {path}" for path in changed]
        return "\n".join([*lines, *(f"written {self.written.get(one, 0.0)} {one}" for one in rest)]).encode()

    def attach(self, project: Project, service: str, command: Sequence[str]) -> int:  # noqa: ARG002
        """Write the command down."""
        self.calls.append(("attach", service, *command))
        return 0

    def hold(self, name: str, image: str, labels: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Refuse: a lock is nothing to be pretended."""
        raise NotImplementedError

    def begin(self, project: Project, *arguments: str) -> Running:  # noqa: ARG002
        """Write the command down, and give it as ended already."""
        return FakeRunning([*self._streamed(*arguments)], self.failures.get(arguments[0]))

    def compose(self, project: Project, *arguments: str) -> Iterator[str]:  # noqa: ARG002
        """Write the command down, and stream its lines."""
        yield from self._streamed(*arguments)

    def pipe(self, *arguments: str, what: str, patience: float = PATIENCE) -> Piped:  # noqa: ARG002
        """Write the command down; give its bytes of `streams`, and fail at its end as `errors` says."""
        self.calls.append(arguments)
        return FakePiped(_fitting(self.streams, arguments) or b"", _fitting(self.errors, arguments), self.fed)

    def command(self, *arguments: str) -> str:
        """Write the command down; give its lines."""
        return "\n".join(self._streamed(*arguments))

    def stream(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,  # noqa: ARG002
    ) -> Iterator[str]:
        """Write the command and its variables down, and stream its lines."""
        self.environs.append(environ or {})
        yield from self._streamed(*arguments)

    def _streamed(self, *arguments: str) -> Iterator[str]:
        self.calls.append(arguments)
        yield from _fitting(self.answers, arguments) or []
        if error := _fitting(self.errors, arguments):
            raise error


def _fitting(table: Mapping[str, _Value], arguments: Sequence[str]) -> _Value | None:
    """Give what stands under the longest key whose words the arguments begin with."""
    keys = [key for key in table if tuple(key.split()) == tuple(arguments[: len(key.split())])]
    return table[max(keys, key=len)] if keys else None


class RecordingConsole(Console):
    """A console without a terminal that keeps what it printed."""

    def __init__(self) -> None:
        self._paper = io.StringIO()
        terminal = RichConsole(file=self._paper, width=200, emoji=False)
        super().__init__(out=terminal, err=terminal)

    @property
    def interactive(self) -> bool:
        """Nobody watches a test."""
        return False

    def text(self) -> str:
        """Give all that was printed so far."""
        return self._paper.getvalue()
