"""One stack: its services, the source of its images, its lock."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from dotenv import dotenv_values

from cotai_tasks import stack as module
from cotai_tasks.errors import LockedError, PreflightError, UsageError
from cotai_tasks.facts import Image
from cotai_tasks.lock import stack_lock
from cotai_tasks.stack import (
    Service,
    choose_source,
    containers_by_service,
    known_source,
    open_stack,
    pick_environment,
    read_formats,
    read_services,
    registry_reachable,
    split,
    stack_variables,
)
from cotai_tasks.testing import FakeEngine, container
from tests.unit.deploy.stacks import service, settings, stack

if TYPE_CHECKING:
    from collections.abc import Mapping

API = service("api", depends_on=frozenset({"db", "migrate"}))
MIGRATE = service("migrate", depends_on=frozenset({"db"}), one_shot=True)
MODEL = service("model", group="ai", depends_on=frozenset({"db"}))
STACK = stack(
    API,
    MIGRATE,
    MODEL,
    service("db"),
    left_out={"grafana": service("grafana", group="monitoring")},
    reasons={"grafana": "its image needs a registry"},
)


def test_a_service_is_read_from_what_compose_renders() -> None:
    """Group, addresses, volumes and our labels of a full service; the defaults of a bare one."""
    config = {
        "services": {
            "bare": {"image": "bare:1"},
            "full": {
                "image": "full:1",
                "profiles": ["ai"],
                "restart": "no",
                "mem_limit": "268435456",
                "healthcheck": {"test": ["CMD", "true"]},
                "container_name": "the-one",
                "depends_on": {"bare": {"condition": "service_healthy"}},
                "labels": {"cotai.description": "what it is", "cotai.url": "http://x", "cotai.login": "ADMIN"},
                "ports": [
                    {"target": 80, "published": "8080", "host_ip": "127.0.0.1"},
                    {"target": 81, "published": "8081"},
                    {"target": 82},
                ],
                "volumes": [
                    {"type": "volume", "source": "data", "target": "/data"},
                    {"type": "bind", "source": "/x", "target": "/y"},
                    {"type": "volume", "target": "/anonymous"},
                ],
            },
        },
        "volumes": {"data": {"name": "cotai-dev_data", "labels": {"cotai.format": "x-1"}}, "old": {"name": "old"}},
    }
    assert read_services(config) == {
        "bare": service("bare", checked=False),
        "full": Service(
            name="full",
            image="full:1",
            group="ai",
            one_shot=True,
            depends_on=frozenset({"bare"}),
            description="what it is",
            url="http://x",
            login="ADMIN",
            awaited=True,
            ports=(("127.0.0.1", 8080), ("0.0.0.0", 8081)),  # noqa: S104 - what Compose means by no address
            volumes=frozenset({"cotai-dev_data"}),
            memory=256 * 2**20,
            fixed_name="the-one",
        ),
    }
    assert read_formats(config) == {"cotai-dev_data": "x-1"}


@pytest.mark.parametrize(
    ("only", "without", "chosen"),
    [
        ("", "", ["api", "db", "migrate", "model"]),
        ("api", "", ["api", "db", "migrate"]),
        ("model, db,model", "", ["db", "model"]),
        ("", "ai", ["api", "db", "migrate"]),
        ("", "ai,monitoring", ["api", "db", "migrate"]),
        ("api,model", "ai", ["api", "db", "migrate"]),
    ],
)
def test_services_are_chosen_with_what_they_need(only: str, without: str, chosen: list[str]) -> None:
    """`--only` brings dependencies along, `--without` drops groups."""
    assert STACK.select(only, without) == chosen


@pytest.mark.parametrize(
    ("only", "without", "message", "cure"),
    [
        ("apl", "", "no such service: 'apl'", "Did you mean api?"),
        ("", "monitorin", "no such group: 'monitorin'", "Did you mean monitoring?"),
        ("", "core", "no such group: 'core'", "Known: ai, monitoring."),
        ("grafana", "", "grafana is not part of this stack: its image needs a registry", ""),
    ],
)
def test_an_unknown_name_gets_the_nearest(only: str, without: str, message: str, cure: str) -> None:
    """A mistyped service or group is answered; one that cannot be had says why."""
    with pytest.raises(UsageError) as caught:
        STACK.select(only, without)
    assert (str(caught.value), caught.value.cure) == (message, cure)


def test_names_are_split_once_each() -> None:
    """A comma-separated flag forgives spaces, doubles and stray commas."""
    assert split(" a, b,,a ,") == ["a", "b"]


def test_containers_are_grouped_by_service() -> None:
    """A service that scales has several."""
    first, second, other = container("api", id="1"), container("api", id="2"), container("db")
    assert containers_by_service([first, other, second]) == {"api": [first, second], "db": [other]}


UPSTREAM, OFFLINE = "python:3", "cotai-offline/python:3"


@pytest.mark.parametrize(
    ("setting", "present", "answers", "known", "chosen"),
    [
        ("auto", [], True, "upstream", ("upstream", "the registry answers")),
        ("auto", [], False, "upstream", ("offline", "no image registry answered within 4 s")),
        ("auto", [UPSTREAM, OFFLINE], False, "upstream", ("upstream", "they are on this host")),
        (
            "auto",
            [OFFLINE],
            True,
            "offline",
            ("offline", "they are on this host; COTAI_IMAGES=upstream changes to the registry"),
        ),
        ("offline", [UPSTREAM], True, "offline", ("offline", "COTAI_IMAGES=offline")),
        ("upstream", [OFFLINE], False, "upstream", ("upstream", "COTAI_IMAGES=upstream")),
    ],
)
def test_the_source_of_the_images(
    *,
    setting: str,
    present: list[str],
    answers: bool,
    known: str,
    chosen: tuple[str, str],
) -> None:
    """A setting decides; then what is on this host; only then the registry is asked."""
    engine = FakeEngine(found_images={name: Image(name, (name,), 1, "") for name in present})
    given = settings(COTAI_IMAGES=setting)
    assert known_source(given, engine) == known
    assert choose_source(given, engine, lambda: answers) == chosen


@pytest.mark.parametrize(
    ("named", "running", "environment"),
    [
        ("prod", ["cotai-dev"], "prod"),
        ("", [], "dev"),
        ("", ["cotai-prod", "other-dev"], "prod"),
        ("", ["cotai-dev"], "dev"),
    ],
)
def test_the_environment_that_is_meant(named: str, running: list[str], environment: str) -> None:
    """The one named, else the only one that runs, else development."""
    engine = FakeEngine(found_containers=[container("db", project=name) for name in running])
    assert pick_environment(named, engine, "cotai") == environment


def test_two_running_environments_are_an_open_question() -> None:
    """Nothing is done to a stack that was not clearly meant."""
    engine = FakeEngine(found_containers=[container("db", project=f"cotai-{name}") for name in ("dev", "prod")])
    with pytest.raises(UsageError, match="dev and prod are both running"):
        pick_environment("", engine, "cotai")


def test_a_stack_is_opened() -> None:
    """Compose gets absolute contexts, the right images, and a private file of variables; what cannot be had is out."""
    rendered = {"services": {"api": {"image": "api:1"}, "grafana": {"image": "cotai-offline/unavailable"}}}
    engine = FakeEngine(rendered=rendered)
    given = settings(COTAI_IMAGES="offline", LLM_MODEL="it's 5, \\n and more", LLM_FALLBACK_MODELS="$5")
    opened = open_stack(given, engine)
    assert (list(opened.services), list(opened.left_out)) == (["api"], ["grafana"])
    assert opened.variables == stack_variables(given, "offline")
    assert opened.variables["PYTHON_IMAGE"] == OFFLINE
    assert opened.variables["APP_CONTEXT"] == str(given.app_context)
    assert opened.project.name == "cotai-dev"
    assert [path.name for path in opened.project.files] == ["compose.yaml", "compose.dev.yaml"]
    assert opened.project.env_file.stat().st_mode & 0o777 == 0o600
    assert dotenv_values(opened.project.env_file, interpolate=False) == opened.variables


def test_a_gpu_is_one_more_file() -> None:
    """A host without a GPU never reads the NVIDIA override."""
    opened = open_stack(settings(COTAI_GPU=True), FakeEngine())
    assert [path.name for path in opened.project.files] == ["compose.yaml", "compose.dev.yaml", "compose.gpu.yaml"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds passwords. What belongs to a process that lives stays, and so does what only has a name like it."""
    with subprocess.Popen(["true"]) as dead:
        pass
    for name in (f"cotai-{dead.pid}-x", f"cotai-{os.getppid()}-x", "cotai-validate-x"):
        (tmp_path / name).mkdir()
    with TemporaryDirectory(prefix=f"cotai-{os.getpid()}-", dir=tmp_path) as folder:
        monkeypatch.setattr(module, "_scratch", SimpleNamespace(name=folder))
        open_stack(settings(), FakeEngine())
        left = {one.name for one in tmp_path.iterdir()}
    assert left == {f"cotai-{os.getppid()}-x", "cotai-validate-x", Path(folder).name}


class LockEngine(FakeEngine):
    """An engine whose lock container somebody may hold; its process is a `cat` of ours."""

    def __init__(self, holder: Mapping[str, str] | None = None, says: str = "") -> None:
        super().__init__(found_images={"python:3": Image("sha256:1", ("python:3",), 1, "")})
        self.holder, self.says = dict(holder or {}), says
        self.process: subprocess.Popen[bytes] | None = None

    def hold(self, name: str, image: str, labels: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Take the name, or refuse."""
        self.calls.append(("hold", name, image))
        refused = bool(self.holder or self.says)
        command = ["sh", "-c", f"echo '{self.says}' >&2"] if refused else ["cat"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        if refused:
            self.process.wait()
        else:
            self.holder = dict(labels)
        return self.process

    def container_labels(self, name: str) -> dict[str, str]:
        """Give the holder's labels."""
        self.calls.append(("labels", name))
        return self.holder


LOCKED: dict[str, Any] = {"variables": {"PYTHON_IMAGE": "python:3", "COTAI_REPOSITORY": "cotai"}}


def test_the_lock_is_held_for_the_block() -> None:
    """It is taken by name at the engine, and let go even when the block fails."""
    engine = LockEngine()

    def work() -> None:
        with stack_lock(stack(**LOCKED), engine, "deploy"):
            assert engine.process
            assert engine.process.poll() is None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert engine.calls == [("hold", "cotai-dev-lock", "python:3"), ("labels", "cotai-dev-lock")]
    assert engine.process
    assert engine.process.poll() == 0
    assert engine.holder["cotai.purpose"] == "deploy"


@pytest.mark.parametrize(
    ("holder", "says", "error", "message"),
    [
        (
            {"cotai.owner": "ana@laptop (pid 7)", "cotai.since": "today", "cotai.purpose": "deploy"},
            "in use",
            LockedError,
            "cotai-dev is held by ana@laptop (pid 7) since today (deploy)",
        ),
        ({}, "the name is already in use", LockedError, "cotai-dev was just held by somebody else"),
        ({}, "no such image", PreflightError, "the lock container cotai-dev-lock did not start"),
    ],
)
def test_a_lock_that_cannot_be_had_says_why(
    holder: dict[str, str], says: str, error: type[Exception], message: str
) -> None:
    """Two at once: the second is told who holds the stack, since when and for what; nothing of its block runs."""
    with pytest.raises(error) as caught, stack_lock(stack(**LOCKED), LockEngine(holder, says), "deploy"):
        pytest.fail("entered without the lock")
    assert str(caught.value) == message


def test_the_registry_is_asked_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """401 is how a healthy registry greets a stranger; an error page or no network is a no."""

    def answer(status: int | None) -> bool:
        def get(_: str, *, timeout: float) -> requests.Response:
            assert timeout == 4
            if status is None:
                raise requests.ConnectionError
            response = requests.Response()
            response.status_code, response.raw = status, io.BytesIO()
            return response

        monkeypatch.setattr(requests, "get", get)
        return registry_reachable()

    assert [answer(status) for status in (200, 401, 403, 503, None)] == [True, True, False, False, False]


def test_the_lock_needs_no_image_of_its_own() -> None:
    """The image that all is built from may be pruned away: one that was built from it holds the lock as well."""
    engine = LockEngine()
    engine.found_images = {"cotai/production:dev": Image("sha256:2", (), 1, "")}
    with stack_lock(stack(service("api", image="cotai/production:dev"), **LOCKED), engine, "stop"):
        assert ("hold", "cotai-dev-lock", "cotai/production:dev") in engine.calls
    engine.found_images = {}
    with pytest.raises(PreflightError, match="none of the images"), stack_lock(stack(**LOCKED), engine, "stop"):
        pytest.fail("nothing can hold the lock")
