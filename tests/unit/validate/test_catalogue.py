"""Which checks there are, and which of them are meant."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cotai_tasks.errors import UsageError
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.validate.catalogue import GROUPS, catalogue, select, show_catalogue
from cotai_tasks.validate.check import CATALOGUE, Check, Effect, Severity, check, passed

READS = {Effect.READS}
ALL = set(Effect)


def make(identity: str, **fields: Any) -> Check:  # noqa: ANN401 - any field of a check
    return Check(identity, "a promise", "a threshold", Severity.BLOCKER, lambda _: passed(), **fields)


CHECKS = [
    make("NET-01"),
    make("NET-02", envs=("prod",)),
    make("DB-02", effect=Effect.WRITES),
    make("BAK-03", effect=Effect.DISRUPTS, profile="full"),
    make("PERF-05", profile="full"),
]


def chosen(**how: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401 - what `select` takes
    meant, forbidden = select(CHECKS, **{"env": "dev", "profile": "quick", "effects": READS} | how)
    return [one.id for one in meant], [one.id for one in forbidden]


@pytest.mark.parametrize(
    ("how", "meant", "forbidden"),
    [
        ({}, ["NET-01"], ["DB-02"]),
        ({"env": "prod"}, ["NET-01", "NET-02"], ["DB-02"]),
        ({"effects": {Effect.READS, Effect.WRITES}}, ["NET-01", "DB-02"], []),
        ({"profile": "full"}, ["NET-01", "PERF-05"], ["DB-02", "BAK-03"]),
        ({"profile": "full", "effects": ALL}, ["NET-01", "DB-02", "BAK-03", "PERF-05"], []),
        ({"groups": "NET"}, ["NET-01"], []),
        ({"groups": "network,databases", "effects": ALL}, ["NET-01", "DB-02"], []),
        ({"ids": "perf-05"}, ["PERF-05"], []),
        ({"ids": "PERF-05", "groups": "net"}, ["NET-01", "PERF-05"], []),
        ({"ids": "NET-02"}, [], []),
    ],
)
def test_what_is_meant_is_chosen(how: dict[str, Any], meant: list[str], forbidden: list[str]) -> None:
    """By environment, profile, effect, group and id; what the stack at hand forbids is told apart."""
    assert chosen(**how) == (meant, forbidden)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"groups": "NTE"}, "no such group: 'NTE'"),
        ({"ids": "NET-20"}, "no such check: 'NET-20'"),
    ],
)
def test_what_does_not_exist_is_told(how: dict[str, str], told: str) -> None:
    """With the nearest name."""
    with pytest.raises(UsageError, match=told) as fault:
        chosen(**how)
    assert "NET" in fault.value.cure


def test_the_catalogue_is_in_order() -> None:
    """Every group has checks; ids are its letters and two digits, in order, and each says what it promises."""
    checks = catalogue()
    assert [one for one in GROUPS if one not in {check.group for check in checks}] == []
    assert all(re.fullmatch(rf"({'|'.join(GROUPS)})-\d\d", one.id) for one in checks)
    assert [one.id for one in checks if not (one.promise and one.threshold and one.run.__doc__)] == []
    assert len({one.promise for one in checks}) == len(checks)


def test_what_disrupts_is_never_quick() -> None:
    """A minute is no time to break things and to mend them."""
    assert [one.id for one in catalogue() if one.effect == Effect.DISRUPTS and one.profile == "quick"] == []


def test_an_id_is_given_once() -> None:
    """Two checks of one name would hide one another."""
    taken = next(iter(CATALOGUE or {one.id: one for one in catalogue()}))
    with pytest.raises(ValueError, match=taken):
        check(taken, "a promise", "a threshold", Severity.MINOR)(lambda _: passed())


def test_the_catalogue_can_be_read() -> None:
    """As a table, and as JSON."""
    console = RecordingConsole()
    show_catalogue(CHECKS, as_json=False, console=console)
    assert "BAK-03" in console.text()
    console = RecordingConsole()
    show_catalogue(CHECKS[:1], as_json=True, console=console)
    assert '"id": "NET-01"' in console.text()
