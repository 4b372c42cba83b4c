"""Which log lines are kept."""

from __future__ import annotations

import re

import pytest

from cotai_tasks.deploy.logs import LEVELS, keep, level_of, show_logs
from cotai_tasks.errors import UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.deploy.stacks import settings

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
    ],
)
def test_levels_are_found_in_the_dialects_of_many_servers(text: str, level: str) -> None:
    """JSON, logfmt, brackets and plain words."""
    assert level_of(text) == LEVELS.index(level)


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
