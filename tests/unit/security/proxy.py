"""An nginx made of plain data: it serves what it was told to load, for the tests of `security`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cotai_tasks.errors import EngineError
from cotai_tasks.testing import FakeEngine, container
from tests.unit.security import production

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Project
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

FOLDER = "proxy/certs"


@dataclass
class Proxy(FakeEngine):
    """An engine with one nginx; `deaf` lets it go on with what it had, `refuses` lets its check fail."""

    deaf: bool = False
    refuses: bool = False
    loaded: bytes = b""
    tokens: list[dict[str, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Under which names tokens were asked for."""

    def __post_init__(self) -> None:
        self.host = {"NCPU": 2}
        self.rendered = {"services": {"nginx": {"image": "nginx:1"}}}

    def execute(self, project: Project, service: str, command: Sequence[str]) -> str:  # noqa: ARG002
        """Answer as nginx and curl do."""
        self.calls.append(("execute", service, *command[:3]))
        match command:
            case ["nginx", "-t"] if self.refuses:
                raise EngineError("nginx in nginx failed", evidence="nginx: [emerg] key values mismatch")
            case ["nginx", "-s", "reload"] if not self.deaf:
                self.loaded = self.folders[FOLDER]["fullchain.pem"]
            case ["sh", "-c", script, *_] if "%{certs}" in script:
                return self.loaded.decode()
            case ["sh", "-c", _, _, name, token]:
                self.asked.append(name)
                self.tokens.append(dict(self.folders["proxy/acme"]))
                return self.folders["proxy/acme"][token].decode()
        return ""


def running(*, deaf: bool = False) -> Proxy:
    """Give an engine whose nginx runs."""
    return Proxy(deaf=deaf, found_containers=[container("nginx", project="cotai-prod")])


def settings(directory: Path) -> Settings:
    """Give a production without secrets, and with this project's own Compose files."""
    return production.settings(directory).model_copy(update={"home": Path(__file__).parents[3]})


@contextmanager
def lock(_: Stack, __: Engine, ___: str) -> Iterator[None]:
    """Hold nothing."""
    yield
