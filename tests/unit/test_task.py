"""The decorator of every task: help, dry runs, and errors as one line with an exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

from cotai_tasks import task as tasks
from cotai_tasks.errors import DatabaseError
from cotai_tasks.settings import load_settings
from cotai_tasks.task import DEFAULTS, open_settings, project_directory, task
from cotai_tasks.testing import FakeEngine, container

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoke.tasks import Task


def context(**changes: object) -> Context:
    return Context(Config(overrides={"cotai": DEFAULTS | {"env": "dev"}} | changes))


def raising(error: BaseException) -> Task[Any]:
    @task()
    def fails(_: Context) -> None:
        """Fail."""
        raise error

    return fails


def test_common_flags_are_explained_once() -> None:
    """Each task that has --env, --json, --yes or --dry-run explains them alike; its own help comes on top."""

    @task(help={"svc": "Services."})
    def some(c: Context, svc: str = "", env: str = "", json: bool = False, yes: bool = False) -> None:  # noqa: FBT001, FBT002
        """Do something."""

    assert some.help == {"svc": "Services.", "env": tasks.ENV_HELP, "json": tasks.JSON_HELP, "yes": tasks.YES_HELP}
    assert some.__doc__ == "Do something."
    assert [one.name for one in some.get_arguments()] == ["svc", "env", "json", "yes"]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DatabaseError("down", cure="Start it."), 11, "✗ down. Start it."),
        (KeyboardInterrupt(), 130, "! interrupted; to repeat the command is safe"),
    ],
)
def test_a_known_error_is_one_line_and_a_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person reads a sentence, a script an exit code; nobody a traceback."""
    monkeypatch.delenv("INVOKE_DEBUG", raising=False)
    with pytest.raises(Exit) as caught:
        raising(error)(context())
    assert caught.value.code == code
    assert capsys.readouterr().err == f"{text}\n"


def test_debug_shows_where_an_error_came_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`inv --debug` adds the traceback."""
    monkeypatch.setenv("INVOKE_DEBUG", "1")
    with pytest.raises(Exit):
        raising(DatabaseError("down"))(context())
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_not_hidden() -> None:
    """What is not one of our errors keeps its traceback."""
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())(context())


def test_a_reader_that_leaves_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`inv deploy.logs | head` ends quietly."""
    redirected: list[int] = []
    monkeypatch.setattr(os, "dup2", lambda _, to: redirected.append(to))
    with pytest.raises(Exit) as caught:
        raising(BrokenPipeError())(context())
    assert (caught.value.code, redirected) == (0, [1])


@pytest.mark.parametrize(("config", "flag", "dry"), [(False, False, False), (True, False, True), (False, True, True)])
def test_inv_dry_is_a_dry_run(*, config: bool, flag: bool, dry: bool) -> None:
    """`inv --dry deploy.clean` and `inv deploy.clean --dry-run` are the same."""
    seen: list[bool] = []

    @task()
    def clean(_: Context, dry_run: bool = False) -> None:  # noqa: FBT001, FBT002
        """Clean."""
        seen.append(dry_run)

    clean(context(run={"dry": config}), dry_run=flag)
    assert seen == [dry]


def meant(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine | None, **config: object) -> Callable[[str], str]:
    """Give what environment `open_settings` loads for a value of --env."""
    seen: list[str] = []

    def load(directory: Path, environment: str, **options: Any) -> Any:  # noqa: ANN401
        seen.append(environment)
        return load_settings(directory, "dev", **options)

    monkeypatch.setattr("cotai_tasks.settings.load_settings", load)
    c = context(cotai=DEFAULTS | config)

    def answer(env: str) -> str:
        open_settings(c, env, engine)
        return seen[-1]

    return answer


def test_the_environment_is_picked_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """--env, then COTAI_ENV, then `invoke.yaml`, then the stack that runs; dev when no engine answers."""
    monkeypatch.delenv("COTAI_ENV", raising=False)
    engine = FakeEngine(found_containers=[container("db", project="cotai-prod")])
    assert meant(monkeypatch, engine)("") == "prod"
    assert meant(monkeypatch, None)("") == "dev"
    assert meant(monkeypatch, engine, env="dev")("") == "dev"
    monkeypatch.setenv("COTAI_ENV", "prod")
    assert meant(monkeypatch, None, env="dev")("") == "prod"
    assert meant(monkeypatch, engine, env="prod")("dev") == "dev"


def test_the_project_is_where_tasks_py_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder below it too, as Invoke finds it."""
    monkeypatch.chdir(tmp_path)
    assert project_directory(context()) == tmp_path
    config = Config(project_location=tmp_path / "project")
    assert project_directory(Context(config)) == tmp_path / "project"
