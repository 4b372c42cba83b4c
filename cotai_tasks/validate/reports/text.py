"""What was seen, made fit to be shown: lines without control characters and without secrets."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "[redacted]"

_LONGEST = 2000
"""Characters of a line; nobody reads further."""

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
"""What a terminal obeys: colours, movements, titles."""

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
"""Control characters, what turns the direction of writing, and what no file may hold."""


def lines(text: str, secrets: Collection[str] = ()) -> list[str]:
    """Give the lines of a text that was seen somewhere, each of them harmless; empty ones are left out."""
    safe = redacted(_SEQUENCES.sub("", text), secrets)
    found = (_UNSEEN.sub("\N{REPLACEMENT CHARACTER}", one.replace("\t", " ")).strip() for one in safe.splitlines())
    return [one if len(one) <= _LONGEST else f"{one[:_LONGEST]}…" for one in found if one]


def line(text: str, secrets: Collection[str] = ()) -> str:
    """Give a text as one harmless line."""
    return " ".join(lines(text, secrets))


def redacted(text: str, secrets: Collection[str]) -> str:
    """Take secrets out of a text, also as they are written in a URL or in JSON; the longest first."""
    forms = {form for one in secrets if one for form in (one, quote(one, safe=""), json.dumps(one)[1:-1])}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    return text


def plain(value: object, secrets: Collection[str] = ()) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Give a value of any kind as what JSON can hold, every text in it harmless, keys too."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return line(value, secrets)
        case Mapping():
            return {line(str(key), secrets): plain(one, secrets) for key, one in value.items()}
        case Collection() if not isinstance(value, bytes):
            return [plain(one, secrets) for one in value]
        case _:
            return line(str(value), secrets)
