"""What was seen somewhere is harmless before anybody shows it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cotai_tasks.validate.reports.text import line, lines, plain
from tests.unit.validate.reports.samples import CANARY, HOSTILE

GONE = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("as it is", ["as it is"]),
        ("", []),
        ("\n  \n", []),
        (HOSTILE[1], [f"red  bell{GONE} null{GONE} {GONE}turned {GONE}"]),
        (HOSTILE[2], ["first line", "second line", "```", "| third"]),
        ("one\ttab", ["one tab"]),
        ("\x1b[2J\x1b(Bgone", ["Bgone"]),
        ("x" * 3000, ["x" * 2000 + "…"]),
    ],
)  # fmt: skip
def test_a_text_becomes_harmless_lines(text: str, found: list[str]) -> None:
    """No control character, no sequence that a terminal obeys, nothing that turns the direction, no endless line."""
    assert lines(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"login {CANARY} refused", "login [redacted] refused"),
        ("mongodb://cotai:s3cret%2Fcanary%2Bof%3Da%26test@mongodb", "mongodb://cotai:[redacted]@mongodb"),
        (f"{CANARY[:7]}\x1b[0m{CANARY[7:]}", "[redacted]"),
        ('{"password": "quo\\"te"}', '{"password": "[redacted]"}'),
        ("a longer one: secret-of-secrets", "a longer one: [redacted]"),
    ],
)
def test_a_secret_is_never_shown(text: str, found: str) -> None:
    """As it is, as URLs and JSON write it, with colours inside; one that is part of another leaves nothing of it."""
    assert line(text, [CANARY, 'quo"te', "secret", "secret-of-secrets", ""]) == found


def test_any_value_becomes_plain_data() -> None:
    """What JSON cannot hold is told as text or as nothing; keys are texts too."""
    given = {
        1: (True, 2, 2.5, None),
        "nan": float("nan"),
        f"key {CANARY}": {"\x1b[1mx"},
        "when": datetime(2026, 1, 2, tzinfo=UTC),
    }
    assert plain(given, [CANARY]) == {
        "1": [True, 2, 2.5, None],
        "nan": None,
        "key [redacted]": ["x"],
        "when": "2026-01-02 00:00:00+00:00",
    }
