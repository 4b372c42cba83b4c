"""Following a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.console import Console as RichConsole

from cotai_tasks.build.progress import BuildLog, follow_build
from cotai_tasks.errors import BuildError, CotaiError, EngineError, RegistryError
from cotai_tasks.testing import RecordingConsole
from tests.unit.build.reports import report, vertex

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = "[production app-dependencies 3/5] RUN --mount=type=cache,target=/root/.cache  with-ca   install-dependencies"
SHARED = INSTALL.replace("production", "celery-worker")
CHECK = '[production production 2/2] RUN ["python", "-m", "cotai_runtime.check", "APP_MODULE"]'
METADATA = "[production internal] load metadata for docker.io/library/python:3.13-slim"
FAILED = {"error": 'process "/bin/sh -c x" did not complete successfully: exit code: 3'}


def failing(lines: list[str]) -> Iterator[str]:
    yield from lines
    raise EngineError("docker bake failed: whatever")


def failure(lines: list[str]) -> CotaiError:
    with pytest.raises(CotaiError) as caught:
        follow_build(failing(lines), "production", console=RecordingConsole())
    return caught.value


@pytest.mark.parametrize("pretty", [True, False], ids=["spread over lines", "one line each"])
def test_a_finished_step_is_told_once_in_one_line(*, pretty: bool) -> None:
    """Two images that share a step say so once, without its mounts; what came from the cache is only counted."""
    console = RecordingConsole()
    lines = [
        *report(vertex(INSTALL), vertex(SHARED), pretty=pretty),
        *report(vertex(INSTALL, 12.5), pretty=pretty),
        *report(vertex(SHARED, 12.5), vertex(CHECK, 0, cached=True), pretty=pretty),
        *report(vertex("[internal] load build context", 2), pretty=pretty),
        *report(vertex("[base 1/5] FROM docker.io/library/python:3.13-slim", 0), pretty=pretty),
    ]
    log = follow_build(lines, "production", console=console)
    assert console.text() == "  app-dependencies 3/5  RUN with-ca install-dependencies (12 s)\n"
    assert (log.built, log.cached) == (1, 2)


def test_the_display_shows_what_runs_now() -> None:
    """Whoever watches sees each running stage and step with its elapsed time, and how much is done."""
    log = BuildLog()
    copy = "[production app-dependencies 1/5] COPY --from=app pyproject.tom[l] ./"
    waiting = {"digest": "waiting", "name": "[production production 1/2] COPY . ."}
    for line in report(vertex(INSTALL), vertex(SHARED), vertex(METADATA), vertex(copy), vertex(CHECK, 1.0), waiting):
        log.feed(line)
    terminal = RichConsole(width=100)
    with terminal.capture() as drawn:
        terminal.print(log)
    assert [" ".join(line.split()) for line in drawn.get().splitlines()] == [
        "1 steps done, 0 from the cache",
        "● app-dependencies 3/5 RUN with-ca install-dependencies 0.0 s",
        "● app-dependencies 1/5 COPY --from=app pyproject.tom[l] ./ 0.0 s",
    ]


def test_a_failing_step_is_named_with_its_own_last_words() -> None:
    """The error names image, stage and step; its evidence is what that step printed, not what others did meanwhile."""
    lines = [
        *report(vertex(CHECK), vertex(INSTALL), logs={CHECK: "something else\n"}),
        *report(logs={INSTALL: "".join(f"line {number}\n" for number in range(100)) + "no ma"}),
        *report(logs={INSTALL: "tch"}),
        *report(vertex(CHECK, 3, error="context canceled: context canceled"), vertex(INSTALL, 3, **FAILED)),
        "Dockerfile:31",
        "ERROR: failed to solve: process did not complete successfully: exit code: 3",
    ]
    error = failure(lines)
    assert isinstance(error, BuildError)
    assert str(error) == (
        "production failed in stage app-dependencies, step 3/5 (RUN with-ca install-dependencies): exit code: 3"
    )
    assert error.evidence.splitlines() == [*(f"line {number}" for number in range(70, 100)), "no match"]


def test_a_missing_module_is_said_by_its_own_line() -> None:
    """An application without the named module gets the sentence of the check, not a step's number."""
    sentence = "APP_MODULE=shop.main:app: the application has no module 'shop'"
    error = failure(report(vertex(CHECK, 1, **FAILED), logs={CHECK: f"{sentence}\n"}))
    assert (type(error), str(error), error.evidence) == (
        BuildError,
        f"production could not be built: {sentence}",
        "",
    )


def test_an_unreachable_registry_is_no_build_error() -> None:
    """A base image that cannot be fetched is named with its cause."""
    error = failure(report(vertex(METADATA, 1, error="dial tcp: lookup registry: no such host")))
    assert (type(error), str(error)) == (
        RegistryError,
        "python:3.13-slim could not be fetched: dial tcp: lookup registry: no such host",
    )


def test_a_broken_dockerfile_is_shown_as_buildx_shows_it() -> None:
    """An error before any step is Buildx's own sentence, with the lines of the file that it points at."""
    words = ["Dockerfile:7", "   7 | >>> RUM true", "ERROR: failed to solve: dockerfile parse error on line 7: RUM"]
    error = failure(words)
    assert str(error) == "production could not be built: dockerfile parse error on line 7: RUM"
    assert error.evidence.splitlines() == words


def test_a_full_disk_says_how_to_get_space() -> None:
    """A step that finds no space names the cure."""
    error = failure(
        report(vertex(INSTALL, 1, **FAILED), logs={INSTALL: "dd: error writing: No space left on device\n"})
    )
    assert (str(error), error.cure) == ("production: the disk is full", "inv build.prune, or docker system df.")


def test_an_engine_that_does_not_answer_is_no_build_error() -> None:
    """The engine's own error passes unchanged."""
    lines = ["ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"]
    assert str(failure(lines)) == "docker bake failed: whatever"
