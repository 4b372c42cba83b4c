"""Which backups stay, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cotai_tasks.backup.catalogue import Entry
from cotai_tasks.backup.retention import plan, read_keep
from cotai_tasks.backup.verification import Level, Verification
from cotai_tasks.errors import Finding, UsageError
from tests.unit.backup.catalogues import NOW, backup_id, manifest, stream

FAULT = Finding("x", "damaged", "")


def entry(time: datetime, **changes: Any) -> Entry:  # noqa: ANN401 - any field of an entry
    backup = backup_id(time)
    fields: dict[str, Any] = {"id": backup, "manifest": manifest(backup, time=time)}
    return Entry(**fields | changes)


def every(step: timedelta, count: int, end: datetime = NOW) -> list[Entry]:
    return [entry(end - step * number) for number in range(count)]


def verified(level: Level, *, ok: bool = True) -> dict[Level, Verification]:
    return {level: Verification(level=level, ok=ok, at=NOW, seconds=1, host="here")}


def kept(entries: list[Entry], keep: str, min_keep: int = 1, now: datetime = NOW) -> dict[str, tuple[str, ...]]:
    decisions = plan(entries, keep=read_keep(keep), min_keep=min_keep, now=now)
    return {f"{one.entry.time:%m-%d %H}": one.reasons for one in decisions if one.keeps}


def test_each_one_that_stays_says_every_reason() -> None:
    """A person reads why; the newest of each period is the one that stays."""
    entries = every(timedelta(hours=8), 9)
    assert kept(entries, "last=2 daily=3 weekly=2 monthly=1 yearly=1 hourly=1") == {
        "11-23 12": (
            "last 2",
            "daily 2026-11-23",
            "weekly 2026-W48",
            "monthly 2026-11",
            "yearly 2026",
            "hourly 2026-11-23 12h",
        ),
        "11-23 04": ("last 2",),
        "11-22 20": ("daily 2026-11-22", "weekly 2026-W47"),
        "11-21 20": ("daily 2026-11-21",),
    }


def test_a_skipped_day_erases_nothing() -> None:
    """Only periods with a backup count: after a month without any, the seven older days are all there."""
    old = every(timedelta(days=1), 10, end=NOW - timedelta(days=31))
    assert len(kept(old, "daily=7")) == 7
    assert list(kept([entry(NOW), *old], "daily=7")) == [
        "11-23 12",
        *("10-23 12", "10-22 12", "10-21 12", "10-20 12", "10-19 12", "10-18 12"),
    ]


def test_nightly_backups_thin_out_without_a_hole() -> None:
    """Pruned every night for two years, there is always one of each of the latest days, weeks and months."""
    rules = read_keep("last=3 daily=7 weekly=4 monthly=12 yearly=3")
    nights = [datetime(2024, 2, 27, 3, 30, tzinfo=UTC) + timedelta(days=number) for number in range(800)]
    there: list[Entry] = []
    for number, night in enumerate(nights):
        decisions = plan([entry(night), *there], keep=rules, min_keep=3, now=night)
        there = [one.entry for one in decisions if one.keeps]
        if number % 9:
            continue
        so_far = nights[: number + 1]
        for shape, count in (("%Y-%m-%d", 7), ("%G-%V", 4), ("%Y-%m", 12), ("%Y", 3)):
            wanted = sorted({f"{night:{shape}}" for night in so_far})[-count:]
            assert {f"{one.time:{shape}}" for one in there} >= set(wanted)
        assert len(there) <= 7 + 4 + 12 + 3


def test_a_year_of_weeks_is_not_the_calendars() -> None:
    """The last days of December can be the first week of the next year: one week, one backup."""
    december, january = datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)
    entries = [entry(january), entry(december), entry(december - timedelta(days=7))]
    reasons = kept(entries, "weekly=2", now=january)
    assert reasons == {"01-02 00": ("weekly 2026-W53",), "12-24 00": ("weekly 2026-W52",)}


def test_days_are_those_of_utc() -> None:
    """A clock that is put back at home makes no day longer."""
    late = datetime.fromisoformat("2026-11-23T00:30:00+02:00")
    assert list(kept([entry(late), entry(NOW)], "daily=5").values()) == [("daily 2026-11-23",), ("daily 2026-11-22",)]


def test_no_rule_goes_below_the_least_number() -> None:
    """Whatever the rules say, so many that would restore stay, the newest first."""
    entries = every(timedelta(hours=1), 5)
    assert kept(entries, "last=1", min_keep=3) == {
        "11-23 12": ("last 1",),
        "11-23 11": ("one of at least 3",),
        "11-23 10": ("one of at least 3",),
    }
    assert len(kept(entries, "last=0", min_keep=9)) == 5


def test_a_damaged_one_fills_no_place_and_is_never_removed() -> None:
    """Three damaged ones on top push no good one out, and a person decides on them."""
    damaged = [entry(NOW + timedelta(hours=number), fault=FAULT, manifest=None) for number in (3, 2, 1)]
    assert kept([*damaged, *every(timedelta(days=1), 3)], "last=2 daily=2", min_keep=2) == {
        "11-23 15": ("damaged: only a person removes it",),
        "11-23 14": ("damaged: only a person removes it",),
        "11-23 13": ("damaged: only a person removes it",),
        "11-23 12": ("last 2", "daily 2026-11-23"),
        "11-22 12": ("last 2", "daily 2026-11-22"),
    }


def test_partial_ones_take_nobodys_place() -> None:
    """The newest of each set of components stays, beside what the rules keep; neither counts for the least number."""

    def partial(hours: int, *parts: str, **changes: Any) -> Entry:  # noqa: ANN401
        time = NOW - timedelta(hours=hours)
        backup = backup_id(time)
        streams = [stream(backup, part, b"data", component=part) for part in parts]
        return entry(time, manifest=manifest(backup, *streams, time=time, complete=False, **changes))

    entries = [
        *(partial(1, "redis"), partial(2, "postgres", "redis"), partial(3, "redis"), partial(4, "redis", tag="mine")),
        *every(timedelta(days=1), 4, end=NOW - timedelta(days=1)),
    ]
    assert kept(entries, "last=1 daily=2", min_keep=3) == {
        "11-23 11": ("newest of redis",),
        "11-23 10": ("newest of postgres,redis",),
        "11-23 08": ("tag mine",),
        "11-22 12": ("last 1", "daily 2026-11-22"),
        "11-21 12": ("daily 2026-11-21",),
        "11-20 12": ("one of at least 3",),
    }


def test_one_from_the_future_fills_no_place() -> None:
    """A clock that was wrong once must push no good one out; it stays until its time has come, or a person decides."""
    entries = [entry(NOW + timedelta(days=9)), *every(timedelta(days=1), 3, end=NOW + timedelta(minutes=59))]
    assert kept(entries, "last=1 daily=2") == {
        "12-02 12": ("its time lies in the future",),
        "11-23 12": ("last 1", "daily 2026-11-23"),
        "11-22 12": ("daily 2026-11-22",),
    }


def test_the_best_proved_one_stays() -> None:
    """Newer ones may be good, but that one was restored; it goes when a newer one was."""
    entries = every(timedelta(days=1), 3)
    entries[2] = entry(entries[2].time, verified=verified("restore"))
    entries[1] = entry(entries[1].time, verified=verified("data"))
    assert kept(entries, "last=1")["11-21 12"] == ("newest verified by restore",)
    entries[0] = entry(NOW, verified=verified("restore"))
    assert kept(entries, "last=1") == {"11-23 12": ("last 1", "newest verified by restore")}
    assert kept(every(timedelta(days=1), 2), "last=1") == {"11-23 12": ("last 1",)}


def test_a_tag_holds() -> None:
    """What somebody gave a name stays until a person removes it."""
    old = entry(NOW - timedelta(days=400))
    tagged = entry(old.time, manifest=manifest(old.id, time=old.time, tag="before the move"))
    assert kept([entry(NOW), tagged], "last=1")["10-19 12"] == ("tag before the move",)


def test_a_lock_is_respected_and_told() -> None:
    """The store would refuse; a lock that has ended is none."""
    old, older = NOW - timedelta(days=1), NOW - timedelta(days=2)
    entries = [
        entry(NOW),
        entry(old, locked_until=NOW + timedelta(hours=1)),
        entry(older, locked_until=NOW - timedelta(hours=1)),
    ]
    assert kept(entries, "last=1") == {"11-23 12": ("last 1",), "11-22 12": ("locked until 2026-11-23 13:00",)}


@pytest.mark.parametrize(("text", "fault"), [("dayly=3", "no such rule: 'dayly'"), ("last=x", "last=x: not a count")])
def test_a_rule_that_is_none_is_refused(text: str, fault: str) -> None:
    """A slip must not mean that a rule keeps nothing."""
    with pytest.raises(UsageError, match=fault):
        read_keep(text)
