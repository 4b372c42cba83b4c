"""The stack that is looked at, and the ways to look at it: everything goes through its engine, near or far."""

from __future__ import annotations

import io
import json
import shutil
import weakref
from collections import defaultdict
from importlib import resources
from pathlib import Path
from tempfile import mkdtemp
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console as RichConsole

from cotai_tasks.console import Console
from cotai_tasks.engine import leashed
from cotai_tasks.errors import EngineError
from cotai_tasks.stack import open_stack, split
from cotai_tasks.volumes import VolumeFile, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Environment, Settings
    from cotai_tasks.stack import Stack

T = TypeVar("T")

PATIENCE = 50.0
"""Seconds of silence after which a command in a container is given up: below a check's own patience."""

_LIMITS = (
    *("--pull", "never", "--log-driver", "none", "--read-only", "--user", "65534:65534", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--memory", "256m", "--pids-limit", "200"),
)


def _reading(volume: str) -> tuple[str, ...]:
    """Give the flags that let a probe read a volume, and nothing else."""
    mount = f"type=volume,source={volume},target=/volume,readonly,volume-nocopy"
    return ("--mount", mount, "--user", "0:0", "--cap-add", "DAC_READ_SEARCH")


class SkipCheck(Exception):  # noqa: N818 - no error: raised by a check that has nothing to look at, with the reason
    """There is nothing to look at here; the text says why."""


class Subject:
    """One environment's stack as the checks see it. What is observed is observed once, and shared by all of them.

    `started_after` are the seconds in which validation itself started the stack, from nothing: then it may break it.
    Methods raise `SkipCheck` where the stack has no such service, and `EngineError` where the engine refuses.
    """

    def __init__(self, settings: Settings, engine: Engine, *, started_after: float | None = None) -> None:
        self.settings = settings
        self.engine = engine
        self.started_after = started_after
        self._lock = RLock()
        self._locks: dict[str, RLock] = defaultdict(RLock)
        self._seen: dict[str, Any] = {}
        self._kept: dict[str, Any] = {}

    @property
    def environment(self) -> Environment:
        """`dev` or `prod`."""
        return self.settings.environment

    @property
    def project(self) -> str:
        """The Compose project: `cotai-dev`."""
        return self.settings.stack_name

    @property
    def stack(self) -> Stack:
        """The services as the Compose files have them."""
        return self.once("stack", lambda: open_stack(self.settings, self.engine))

    @property
    def scratch(self) -> Path:
        """A folder for what checks make; it goes with this subject."""

        def make() -> Path:
            path = Path(mkdtemp(prefix="cotai-validate-"))
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
            return path

        return self.once("scratch", make)

    @property
    def quiet(self) -> Console:
        """A console that nobody reads, for procedures that tell of their steps."""
        paper = RichConsole(file=io.StringIO(), width=160, emoji=False)
        return Console(out=paper, err=paper)

    @property
    def containers(self) -> list[Container]:
        """Its containers as they were when somebody first looked."""
        return list(self._look("containers", lambda: self.engine.containers(self.project)))

    @property
    def inspected(self) -> list[dict[str, Any]]:
        """The same containers as `docker inspect` tells them, by the order of `containers`."""
        ids = [one.id for one in self.containers]
        return list(self._look("inspected", lambda: json.loads(self.engine.command("container", "inspect", *ids))))

    def look_again(self) -> None:
        """Forget what was seen of the containers: somebody has changed them."""
        with self._lock:
            self._seen.clear()

    def running(self, service: str) -> list[Container]:
        """Give a service's running containers; there is at least one."""
        found = [one for one in self.containers if one.service == service and one.state == "running"]
        if not found:
            reason = self.stack.reasons.get(service) or "it does not run"
            raise SkipCheck(f"{service}: {reason}" if service in self.known else f"this stack has no {service}")
        return found

    def addresses(self, service: str, network: str) -> list[str]:
        """Give the addresses of a service's running containers on a network of the stack."""
        running, name = {one.id for one in self.running(service)}, f"{self.project}_{network}"
        places = [one["NetworkSettings"]["Networks"].get(name) for one in self.inspected if one["Id"] in running]
        return [one["IPAddress"] for one in places if one and one["IPAddress"]]

    @property
    def known(self) -> set[str]:
        """Every service of the Compose files, those too that were left out."""
        return {*self.stack.services, *self.stack.left_out}

    def inside(self, service: str, command: Sequence[str], data: bytes = b"", *, patience: float = PATIENCE) -> str:
        """Run a command in the first container of a service, and give what it prints."""
        return self.within(self.running(service)[0], command, data, patience=patience)

    def within(
        self, container: Container, command: Sequence[str], data: bytes = b"", *, patience: float = PATIENCE
    ) -> str:
        """Run a command in a container, with `data` on its standard input, and give what it prints."""
        what = f"{command[0]} in {container.service}"
        run = command if data else leashed(command)
        with self.engine.pipe("exec", "--interactive", container.id, *run, what=what, patience=patience) as running:
            if data:
                running.write(data)
                return running.finish().decode(errors="replace")
            told = b"".join(iter(running.read, b""))  # its input is its leash: it ends last
            return (told + running.finish()).decode(errors="replace")

    def probe(
        self,
        name: str,
        spec: object,
        *,
        network: str = "",
        beside: Container | None = None,
        alias: str = "",
        volume: str = "",
        image: str = "",
        patience: float = PATIENCE,
    ) -> Any:  # noqa: ANN401 - what the probe prints
        """Run `probes/NAME.py` in a container of its own, and give the JSON that it prints.

        It finds `spec` as `SPEC`, and uses the standard library alone; nothing of it is in a command line. It stands on
        networks of the stack (`edge`, or `edge,probe`), by the name `alias` where there is one, or beside a container,
        with that one's own view of the network and of processes. `volume` is one of the stack's, to be read below
        /volume, whosesoever its files are. `image` is another one than the application's.
        """
        text = resources.files("cotai_tasks.validate").joinpath(f"probes/{name}.py").read_text(encoding="utf-8")
        program = f"import json\nSPEC = json.loads({json.dumps(spec)!r})\n{text}"
        places = [f"container:{beside.id}"] if beside else [f"{self.project}_{one}" for one in split(network)]
        labels = ("--label", f"cotai.validate={self.project}")
        more: tuple[str, ...] = ("--network-alias", alias) if alias else ()
        more += ("--pid", places[0]) if beside else ()
        more += tuple(part for place in places or ["none"] for part in ("--network", place))
        more += _reading(f"{self.project}_{volume}") if volume else ()
        command = ("run", "--rm", "--interactive", *labels, *_LIMITS, *more)
        arguments = (*command, "--entrypoint", "python3", image or self.image, "-I", "-")
        with self.engine.pipe(*arguments, what=f"the probe {name}", patience=patience) as running:
            running.write(program.encode())
            told = running.finish()
        try:
            return json.loads(told)
        except ValueError as error:
            raise EngineError(f"the probe {name} told nothing", evidence=told.decode(errors="replace")) from error

    def program(
        self, image: str, folder: str, files: Path, command: Sequence[str], *, patience: float = PATIENCE
    ) -> None:
        """Run a server's own program on files of ours, which it finds in `folder` of a container of its own.

        They are handed to it through the engine, so that one on another machine does as well. A program that ends
        badly becomes an `EngineError` with its last words.
        """
        found = {str(one.relative_to(files)): one.read_bytes() for one in files.rglob("*") if one.is_file()}
        packed = pack({".": {name: VolumeFile(content) for name, content in found.items()}})
        rooms = ("--tmpfs", f"{folder}:uid=65534", "--tmpfs", "/tmp", "--memory", "1g")  # noqa: S108
        run = ("run", "--rm", "--interactive", "--network", "none", *_LIMITS, *rooms)
        script = f'tar -x -f - -C {folder} && "$@" 1>&2'  # what it says is its last words, if it ends badly
        arguments = (*run, "--entrypoint", "sh", image, "-c", script, "sh", *command)
        with self.engine.pipe(*arguments, what=" ".join(command[:2]), patience=patience) as running:
            running.write(packed)
            running.finish()

    @property
    def image(self) -> str:
        """An image of the stack that has Python: what probes run in."""
        for service in ("backend", "celery-worker", "llm-service"):
            if found := [one.image_id for one in self.containers if one.service == service]:
                return found[0]
        raise SkipCheck("no container of the application is there, whose Python the probe could use")

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Make what several checks need when the first of them asks, and keep it; others wait for it meanwhile."""
        return self._first(self._kept, name, make)

    def _look(self, name: str, observe: Callable[[], T]) -> T:
        """Look once, until `look_again`."""
        return self._first(self._seen, name, observe)

    def _first(self, kept: dict[str, Any], name: str, make: Callable[[], T]) -> T:
        with self._lock:
            lock = self._locks[name]
        with lock:
            if name not in kept:
                kept[name] = make()
            found: T = kept[name]
            return found
