"""A tender's fields from a model's answer: whatever can be understood of it, and never an error.

A large model answers with clean JSON. A small one answers with JSON in prose, half an object, a list of lines or
nonsense. All of them are read here. What a model says is believed only where the tender says so too, since models make
things up; what it missed and stands plainly in the tender is taken from there.
"""

import json
import re

from app.schemas import Fields

_LONGEST = 300
_NOTHING = {"", "null", "none", "n/a", "unknown", "not specified", "not stated", "..."}

_LINE = re.compile(r"^[\s\-*{\"]*(?P<name>[a-z][a-z _]+?)[\s\"*]*[:=]\s*(?P<value>.+)$", re.IGNORECASE | re.MULTILINE)
_MONEY = re.compile(r"R\$\s?\d[\d.]*(?:,\d{2})?")
_DATE = re.compile(r"\b(?:\d{2}/\d{2}/\d{4}|\d{4}-\d{2}-\d{2})\b")


def extract_fields(answer: str, tender_text: str) -> Fields:
    """Read the fields from the answer, as far as they are in the tender, and complete them from the tender itself."""
    said = _first_object(answer) or _labelled_lines(answer)
    tender = _folded(tender_text)
    found = {name: value for name in Fields.model_fields if (value := _plain(said.get(name)))}
    found = {name: value for name, value in found.items() if _folded(value) in tender}
    for name, pattern in (("estimated_value", _MONEY), ("deadline", _DATE)):
        if name not in found and (written := pattern.search(tender_text)):
            found[name] = written[0]
    return Fields(**found)


def storable(text: str) -> str:
    """Drop what no database takes, NUL and halves of characters, both of which models do say."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode().strip()


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _first_object(answer: str) -> dict[str, object]:
    """Give the first JSON object that is complete, wherever it stands in the answer."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"\{", answer):
        try:
            value, _ = decoder.raw_decode(answer, brace.start())
        except (ValueError, RecursionError):
            continue
        return {str(name).lower(): item for name, item in value.items()}
    return {}


def _labelled_lines(answer: str) -> dict[str, object]:
    """Read `Name: value` lines, which are also what remains of an object that was cut off."""
    lines = _LINE.finditer(answer)
    return {line["name"].lower().replace(" ", "_"): line["value"].strip(" \t\",'*") for line in lines}


def _plain(value: object) -> str | None:
    """Give a value as text; None for what says nothing."""
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    plain = storable(str(value))[:_LONGEST]
    return None if plain.lower() in _NOTHING else plain
