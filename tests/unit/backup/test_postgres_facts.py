"""Facts of a database as they are read, and what counts as a difference."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from cotai_tasks.backup.components import postgres_facts as module
from cotai_tasks.backup.components.base import Difference
from cotai_tasks.backup.components.postgres_facts import LOCKED, SNAPSHOT, differences, read_facts, rows, whole

OVERVIEW = {
    "database": "cotai",
    "extensions": {"plpgsql": "1.0"},
    "settings": {": app.key": "set"},
    "sequences": {"public.up": {"last": 5, "step": 1}, "public.down": {"last": -5, "step": -1}},
    "materialized_views": {"public.seen": True},
    "objects": {"indexes": 2, "views": 1},
}
TABLES = {"public.a": {"rows": 3, "hash": "-17"}, "public.b": {"rows": 1000, "hash": "99"}}
LARGE = {"rows": 0, "hash": "0"}
LINES = [
    json.dumps(OVERVIEW),
    json.dumps({"snapshot": "00000003-1", "backend": 77}),
    json.dumps({"locked": True}),
    *(json.dumps({"table": name, **one}) for name, one in TABLES.items()),
    json.dumps({"large_objects": LARGE}),
    json.dumps({"end": True}),
]


def facts(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any fact
    return copy.deepcopy(OVERVIEW | {"tables": TABLES, "large_objects": LARGE} | changes)


def test_facts_are_read_in_steps() -> None:
    """Up to the snapshot before the dump begins, up to the locks before it goes on, the rest at its end."""
    told = iter([*LINES, "not ours"])
    first = read_facts(told, SNAPSHOT)
    assert first == OVERVIEW | {"snapshot": "00000003-1", "backend": 77}
    first |= read_facts(told, LOCKED)
    all_of_them = first | read_facts(told)
    assert whole(all_of_them)
    assert all_of_them == facts()
    assert next(told) == "not ours"


@pytest.mark.parametrize("length", range(len(LINES)))
def test_a_script_that_ends_early_is_not_whole(length: int) -> None:
    """Wherever it was cut off."""
    assert not whole(read_facts(LINES[:length]))


def test_equal_is_equal() -> None:
    """A sequence that is further than it was recorded, and another name of the database, are no difference."""
    found = facts(
        database="cotai__restore",
        sequences={"public.up": {"last": 7, "step": 1}, "public.down": {"last": -9, "step": -1}, "new": {"last": None}},
    )
    assert differences(facts(), found) == []
    assert rows(found) == 1003


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {"tables": {**TABLES, "public.a": {"rows": 2, "hash": "-17"}}},
            ("table public.a", "3 rows (content ffffffffffffffef)", "2 rows (content ffffffffffffffef)"),
        ),
        (
            {"tables": {**TABLES, "public.a": {"rows": 3, "hash": "-16"}}},
            ("table public.a", "3 rows (content ffffffffffffffef)", "3 rows (content fffffffffffffff0)"),
        ),
        (
            {"tables": {"public.b": TABLES["public.b"]}},
            ("table public.a", "3 rows (content ffffffffffffffef)", "nothing of this name"),
        ),
        (
            {"sequences": {**OVERVIEW["sequences"], "public.up": {"last": 4, "step": 1}}},  # type: ignore[dict-item]
            ("sequence public.up", "at 5 or further", "at 4"),
        ),
        (
            {"sequences": {"public.up": {"last": 5, "step": 1}}},
            ("sequence public.down", "at -5 or further", "at None"),
        ),
        (
            {"materialized_views": {"public.seen": False}},
            ("materialized view public.seen", "populated", "not populated"),
        ),
        (
            {"tables": {**TABLES, "public.a": {"rows": 2, "hash": None}}},
            ("table public.a", "3 rows (content ffffffffffffffef)", "2 rows"),
        ),
        ({"objects": {"indexes": 1, "views": 1}}, ("number of indexes", "2", "1")),
        (
            {"large_objects": {"rows": 1, "hash": "0"}},
            ("large objects", "0 rows (content 0000000000000000)", "1 rows (content 0000000000000000)"),
        ),
        ({"settings": {}}, ("setting : app.key", "set", "nothing of this name")),
        ({"extensions": {}}, ("extension plpgsql", "there", "nothing of this name")),
    ],
)
def test_every_difference_is_told(changes: dict[str, Any], difference: tuple[str, str, str]) -> None:
    """Where it is, what was expected, what was found."""
    where, expected, found = difference
    assert differences(facts(), facts(**changes)) == [Difference(f"cotai, {where}", expected, found)]


def test_few_rows_are_counted_only() -> None:
    """A hash over little could be tried out by whoever reads the manifest: of tables and of large objects."""
    assert module.CONTENT.count(f"CASE WHEN count(*) >= {module.HASHED} THEN") == 2
    assert differences(*[facts(tables={"public.a": {"rows": 3, "hash": None}}) for _ in "ab"]) == []


def test_no_value_of_a_setting_is_a_fact() -> None:
    """ALTER DATABASE … SET may hold a secret: it goes into the dump, and its name alone into the facts."""
    assert "setconfig" in module.SETTINGS
    assert "substr(setting" not in module.OVERVIEW
    assert module.OVERVIEW.count("split_part(setting, '=', 1)") == module.OVERVIEW.count("unnest(setconfig)") == 1
