"""Notices: what leaves the host, and what a failure of the messenger may say."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests

from cotai_tasks.errors import StoreError
from cotai_tasks.notify import failure_told, message, notify
from cotai_tasks.testing import RecordingConsole
from tests.unit.deploy.stacks import settings

URL = "https://hooks.example.org/services/canary-token"


def answer(code: int) -> requests.Response:
    made = requests.Response()
    made.status_code = code
    made.raw = io.BytesIO()
    return made


def test_what_a_notice_says() -> None:
    """A sentence for people, and its parts for programs; no other field."""
    assert message("cotai-prod", "host1", "failure", "the disk is full", ["postgres: 3 bytes", "redis: none"]) == {
        "text": "cotai-prod on host1: the disk is full.\npostgres: 3 bytes\nredis: none",
        "stack": "cotai-prod",
        "host": "host1",
        "event": "failure",
        "detail": "postgres: 3 bytes\nredis: none",
    }
    assert message("cotai-prod", "host1", "stale", "none is fresh")["text"] == "cotai-prod on host1: none is fresh."


def test_it_is_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, once, without following elsewhere, for a few seconds at most."""
    posted: list[tuple[str, dict[str, Any]]] = []

    def post(url: str, **options: Any) -> requests.Response:  # noqa: ANN401
        posted.append((url, options))
        return answer(204)

    monkeypatch.setattr("requests.post", post)
    monkeypatch.setattr("socket.gethostname", lambda: "host1")
    console = RecordingConsole()
    notify(settings(BACKUP_WEBHOOK_URL=URL), "stale", "none is fresh", console=console)
    [(url, options)] = posted
    assert url == URL
    assert options["json"] == message("cotai-dev", "host1", "stale", "none is fresh")
    assert options["allow_redirects"] is False
    assert max(options["timeout"]) <= 10
    assert not console.text()


def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address nothing is asked."""
    monkeypatch.setattr("requests.post", None)
    notify(settings(), "stale", "none is fresh", console=RecordingConsole())


@pytest.mark.parametrize("code", [302, 404, 500])
def test_an_answer_that_is_no_yes(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning that names the host alone: the rest of the address may be a token."""
    monkeypatch.setattr("requests.post", lambda *_, **__: answer(code))
    console = RecordingConsole()
    notify(settings(BACKUP_WEBHOOK_URL=URL), "failure", "the disk is full", console=console)
    assert console.text() == f"! nobody was told of it: hooks.example.org answered {code}\n"


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same warning, although the library's own words repeat the whole address."""

    def post(url: str, **_: object) -> requests.Response:
        raise requests.ConnectionError(f"Max retries exceeded with url: {url}")

    monkeypatch.setattr("requests.post", post)
    console = RecordingConsole()
    notify(settings(BACKUP_WEBHOOK_URL=URL), "failure", "the disk is full", console=console)
    assert console.text() == "! nobody was told of it: hooks.example.org could not be asked (ConnectionError)\n"


@pytest.mark.parametrize(("watched", "told"), [(False, ["backup.prune failed: no such bucket"]), (True, [])])
def test_a_failure_that_nobody_watches_is_told(
    watched: bool,  # noqa: FBT001 - a case
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a timer, or in a workflow; whoever sits at the terminal sees it. It goes on as the same error."""
    notices: list[str] = []
    monkeypatch.setattr("cotai_tasks.notify.notify", lambda _settings, _event, text, **_: notices.append(text))
    monkeypatch.setattr(RecordingConsole, "interactive", watched)
    with (
        pytest.raises(StoreError, match="no such bucket"),
        failure_told(settings(), "backup.prune", console=RecordingConsole()),
    ):
        raise StoreError("no such bucket")
    assert notices == told
