"""Which log lines are kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import UsageError
from cotai_tasks.monitor.logs import LEVELS, keep, level_of, show_logs
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.facts import Project

LINES = [
    'api-1  | {"event": "started", "level": "info"}',
    'api-1  | {"event": "no such tender", "level": "error"}',
    "api-1  | Traceback (most recent call last):",
    "db-1   | 2026-01-01 LOG:  checkpoint",
    "db-1   | 2026-01-01 ERROR:  relation is missing",
    'api-1  | {"event": "again", "level": "info"}',
]


def test_a_level_keeps_what_is_at_least_as_grave() -> None:
    """A traceback has no level: it belongs to the error before it, of the same container."""
    assert list(keep(LINES, None, "error")) == [LINES[1], LINES[2], LINES[4]]


def test_a_pattern_keeps_what_matches() -> None:
    """The pattern is held against the text, never against the container's name."""
    assert list(keep(LINES, re.compile("tender|api"), "")) == [LINES[1]]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('{"level": "warning"}', "warning"),
        ("[ERROR] broken", "error"),
        ("level=warn msg=x", "warning"),
        ("FATAL:  no role", "critical"),
        ("2026 INFO ok", "info"),
        ('{"event": "no error seen", "level": "info"}', "info"),
        ('{"event": "ERROR: told elsewhere", "log.level": "debug"}', "debug"),
        ("GET /api/info 500 ERROR", "error"),
        ("GET /api?level=info 500 ERROR", "error"),
        ("2026-01-01 12:00:00.123 UTC [34] LOG:  statement: select 'ERROR'", "info"),
        ("[2026-01-01 12:00:00,123: WARNING/MainProcess] no error", "warning"),
        ("2026/01/01 12:00:00 [error] 7#7: no such file", "error"),
        ("2026-01-01T12:00:00.123Z warn the info is old", "warning"),
        ("info: no error", "info"),
        ("could not connect, error: refused", "error"),
        (" 1:C 23 Nov 2026 21:56:26.657 # WARNING Memory overcommit must be enabled!", "warning"),
        (" 1:M 23 Nov 2026 21:56:26.661 * Configuration loaded, ERROR: is a word here", "info"),
    ],
)
def test_levels_are_found_in_the_dialects_of_many_servers(text: str, level: str) -> None:
    """JSON, logfmt, brackets and plain words; a word of the message is no level."""
    assert level_of(text) == LEVELS.index(level)


@pytest.mark.parametrize(
    "text", ['{"event": "no error seen"}', "GET /api/info 200", "GET /ERROR 200", "the log of the last critical path"]
)
def test_a_word_of_the_message_is_no_level(text: str) -> None:
    """What tells no level belongs to the line before it."""
    assert level_of(text) is None


class Followed(FakeEngine):
    """An engine whose logs go on until Ctrl-C."""

    def compose(self, project: Project, *arguments: str) -> Iterator[str]:
        """Give the lines, and then what Ctrl-C gives."""
        yield from super().compose(project, *arguments)
        raise KeyboardInterrupt


def test_following_ends_quietly_with_ctrl_c() -> None:
    """Ctrl-C is how following ends; anywhere else it is an interruption."""
    engine = Followed(answers={"logs": LINES})
    given: dict[str, Any] = {"names": "", "since": "", "tail": "all", "grep": "", "level": "error"}
    console = RecordingConsole()
    assert show_logs(follow=True, settings=settings(), engine=engine, console=console, **given) == 3
    assert console.text().splitlines() == [LINES[1], LINES[2], LINES[4]]
    with pytest.raises(KeyboardInterrupt):
        show_logs(follow=False, settings=settings(), engine=engine, console=console, **given)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"grep": "("}, r"--grep \(: not a regular expression"),
        ({"level": "warn"}, "no such level: 'warn'"),
        ({"tail": "many"}, "--tail many: not a number of lines"),
    ],
)
def test_bad_filters_are_refused_before_anything_is_read(flags: dict[str, str], message: str) -> None:
    """One line says which flag is wrong."""
    given = {"names": "", "since": "", "tail": "all", "grep": "", "level": ""} | flags
    with pytest.raises(UsageError, match=message):
        show_logs(follow=False, settings=settings(), engine=FakeEngine(), console=RecordingConsole(), **given)
