"""`db.tune`: what runs, against what fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cotai_tasks.db.tune import Advice, show_advice, tune
from cotai_tasks.errors import DatabaseError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from cotai_tasks.tuning import GiB, MiB, postgres_settings
from tests.unit.deploy.stacks import settings

SERVICES = ("postgres", "mongodb", "redis", "redis-cache")
LIMITS = {"postgres": 2 * GiB, "mongodb": 4 * GiB, "redis": 400 * MiB, "redis-cache": 0}
MONGODB = {"cache": 1.5 * GiB}
REDIS = ["maxmemory", "314572800", "maxmemory-policy", "noeviction", "appendonly", "yes"]
CACHE = ["maxmemory", "0", "maxmemory-policy", "noeviction", "appendonly", "no"]


def engine(*running: str, **changes: Any) -> FakeEngine:  # noqa: ANN401 - any field of the engine
    values = postgres_settings(2 * GiB, 2, 100)
    answers = {
        "execute postgres": [f"{name}={value}" for name, value in values.items()],
        "execute mongodb": [json.dumps(MONGODB)],
        "execute redis": REDIS,
        "execute redis-cache": CACHE,
        "container inspect": ["2000000000"],
    }
    return FakeEngine(
        rendered={"services": {name: {"image": f"{name}:1"} for name in SERVICES}},
        found_containers=[container(name, memory_limit=LIMITS[name]) for name in running],
        answers=answers | changes.pop("answers", {}),
        host={"MemTotal": 10 * GiB, "NCPU": 4},
        **changes,
    )


def differing(*running: str, **changes: Any) -> list[tuple[str, str, str, str]]:  # noqa: ANN401
    found = tune(settings=settings(), engine=engine(*running, **changes))
    return [(one.service, one.setting, one.current, one.recommended) for one in found if not one.fits]


def test_every_server_is_compared_with_its_container() -> None:
    """Those that fit are not told; one without a limit counts as the whole host."""
    assert differing(*SERVICES) == [
        ("redis-cache", "maxmemory", "no limit", "8.59 GB"),
        ("redis-cache", "maxmemory-policy", "noeviction", "allkeys-lru"),
    ]


def test_a_larger_container_wants_more() -> None:
    """Each setting with what it is now."""
    small = [f"{name}={value}" for name, value in postgres_settings(GiB, 4, 80).items()]
    found = differing("postgres", answers={"execute postgres": small, "container inspect": ["0"]})
    assert found[0] == ("postgres", "shared_buffers", "256MB", "512MB")
    assert "max_connections" not in {name for _, name, _, _ in found}
    assert "max_parallel_workers" not in {name for _, name, _, _ in found}


def test_the_image_for_evaluation_has_no_cache_to_tune() -> None:
    """It does not tell of one."""
    assert tune(settings=settings(), engine=engine("mongodb", answers={"execute mongodb": ["{}"]})) == []


def test_without_a_database_there_is_nothing_to_ask() -> None:
    """All are named with their start."""
    with pytest.raises(DatabaseError, match="not running in cotai-dev: postgres, mongodb, redis, redis-cache"):
        tune(settings=settings(), engine=engine())


@pytest.mark.parametrize(
    ("current", "recommended", "fits"),
    [
        ("1GB", "1024MB", True),
        ("16MB", "16384kB", True),
        ("1.1", "1.1", True),
        ("2", "2", True),
        ("noeviction", "noeviction", True),
        ("128MB", "129MB", False),
        ("no limit", "8 GB", False),
    ],
)
def test_the_same_amount_fits_however_it_is_written(current: str, recommended: str, *, fits: bool) -> None:
    """PostgreSQL shows 1024MB as 1GB."""
    assert Advice("postgres", "x", current, recommended, "").fits is fits


def test_what_to_change_is_a_table() -> None:
    """With the reason, and how many fit."""
    console = RecordingConsole()
    advice = [Advice("redis", "maxmemory", "1 MB", "2 MB", "because"), Advice("redis", "appendonly", "yes", "yes", "")]
    show_advice(advice, as_json=False, settings=settings(), console=console)
    lines = console.text().splitlines()
    assert lines[1].split() == ["redis", "maxmemory", "1", "MB", "2", "MB", "because"]
    assert lines[2].startswith("1 of 2 settings fit. Development is small on purpose")


def test_nothing_to_do_is_said() -> None:
    """As every command does."""
    console = RecordingConsole()
    advice = [Advice("redis", "appendonly", "yes", "yes", "")]
    show_advice(advice, as_json=False, settings=settings(), console=console)
    assert console.text() == "✓ nothing to do: all 1 settings fit the containers\n"


def test_json_has_all_of_it() -> None:
    """What fits, too."""
    console = RecordingConsole()
    show_advice([Advice("redis", "a", "1", "1", "w")], as_json=True, settings=settings(), console=console)
    assert json.loads(console.text()) == [
        {"service": "redis", "setting": "a", "current": "1", "recommended": "1", "why": "w", "fits": True}
    ]
