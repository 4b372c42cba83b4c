"""Closing and opening: what is written, what is asked, and what is left alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.deploy import maintenance as module
from cotai_tasks.deploy.maintenance import set_maintenance
from cotai_tasks.errors import UnhealthyError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "proxy/maintenance"


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what the stack was locked for."""
    taken: list[str] = []

    @contextmanager
    def lock(_stack: object, _engine: object, purpose: str) -> Iterator[None]:
        taken.append(purpose)
        yield

    monkeypatch.setattr(module, "stack_lock", lock)
    return taken


def engine(status: str, *files: str) -> FakeEngine:
    return FakeEngine(
        rendered={"services": {"nginx": {"image": "cotai/nginx:dev"}}},
        found_containers=[container("nginx", project="cotai-prod")],
        folders={FOLDER: dict.fromkeys(files, b"")},
        answers={"execute nginx": [status]},
        host={"NCPU": 4, "MemTotal": 16 * 2**30},
    )


def tools(fake: FakeEngine) -> dict[str, Any]:
    development = settings(SERVER_NAME="cotai.test www.cotai.test")
    production = development.model_copy(update={"environment": "prod"})
    return {"settings": production, "engine": fake, "console": RecordingConsole()}


def asked(fake: FakeEngine) -> list[tuple[str, ...]]:
    return [call for call in fake.calls if call[0] == "execute"]


def test_on_writes_the_file_and_asks_nginx(locks: list[str]) -> None:
    """Under the lock; the question goes to the first public name, within the container."""
    fake = engine("503")
    given = tools(fake)
    assert set_maintenance("on", dry_run=False, **given)
    assert (fake.folders[FOLDER], locks) == ({"on": b""}, ["maintenance"])
    assert [(call[1], call[2], call[-1]) for call in asked(fake)] == [("nginx", "curl", "https://cotai.test:8443/")]
    assert given["console"].text() == "✓ cotai-prod: maintenance is on, users get 503\n"


def test_off_removes_the_file(locks: list[str]) -> None:
    """Users get their pages again."""
    fake = engine("200", "on")
    given = tools(fake)
    assert set_maintenance("off", dry_run=False, **given)
    assert (fake.folders[FOLDER], locks) == ({}, ["maintenance"])
    assert given["console"].text() == "✓ cotai-prod: maintenance is off, users get 200\n"


@pytest.mark.parametrize(("wanted", "files"), [("on", ("on",)), ("off", ())])
def test_a_second_time_there_is_nothing_to_do(locks: list[str], wanted: str, files: tuple[str, ...]) -> None:
    """Nothing is locked, written or asked."""
    fake = engine("200", *files)
    given = tools(fake)
    assert not set_maintenance(wanted, dry_run=False, **given)
    assert (locks, asked(fake)) == ([], [])
    assert given["console"].text() == f"✓ cotai-prod: nothing to do, maintenance is {wanted}\n"


def test_a_dry_run_says_what_it_would_do(locks: list[str]) -> None:
    """And leaves the stack open."""
    fake = engine("200")
    given = tools(fake)
    assert not set_maintenance("on", dry_run=True, **given)
    assert (fake.folders[FOLDER], locks) == ({}, [])
    assert given["console"].text() == "would turn maintenance of cotai-prod on\n"


def test_nginx_that_does_not_follow_is_an_error(locks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for some seconds, then its answer is told."""
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    with pytest.raises(UnhealthyError, match="maintenance is on, but nginx answers 200"):
        set_maintenance("on", dry_run=False, **tools(engine("200")))
    assert locks == ["maintenance"]


def test_without_nginx_there_is_nothing_to_close(locks: list[str]) -> None:
    """A stack that does not run, or development, which has none."""
    fake = engine("")
    fake.found_containers = []
    with pytest.raises(UsageError, match="no nginx of cotai-prod runs"):
        set_maintenance("on", dry_run=False, **tools(fake))
    assert locks == []


def test_another_word_is_refused() -> None:
    """On or off."""
    with pytest.raises(UsageError, match="maintenance can be on or off, not 'onn'"):
        set_maintenance("onn", dry_run=False, **tools(engine("")))
