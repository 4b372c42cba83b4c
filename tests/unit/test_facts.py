"""Reading what the engine tells."""

from __future__ import annotations

import pytest

from cotai_tasks.facts import Usage, read_glance, read_size, read_usage, version_numbers


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 3 seconds (health: starting)", "starting"),
        ("Up 2 hours (healthy)", "healthy"),
        ("Up 2 hours (unhealthy)", "unhealthy"),
        ("Up 5 seconds", ""),
        ("Exited (137) 2 minutes ago", ""),
    ],
)
def test_a_glance_tells_the_health(status: str, health: str) -> None:
    """Docker writes the health into its status line, in three ways."""
    one = read_glance(f"abc\tcotai-dev-api-1\tapi\tapi:1\trunning\t{status}", "cotai-dev")
    assert (one.id, one.name, one.service, one.image, one.project, one.health) == (
        "abc",
        "cotai-dev-api-1",
        "api",
        "api:1",
        "cotai-dev",
        health,
    )


def test_numbers_are_read_as_docker_prints_them() -> None:
    """Versions with a prefix and a suffix, memory in binary units."""
    assert version_numbers("v2.26.1-4") == (2, 26, 1)
    assert version_numbers("none") == (0,)
    assert read_size("12.5MiB / 1GiB") == 12.5 * 2**20


def test_usage_is_read_as_docker_prints_it() -> None:
    """What has moved is kept in both directions; one that has just gone uses nothing."""
    told = {"CPUPerc": "0.52%", "MemUsage": "110MiB / 768MiB", "NetIO": "87.8kB / 1MB", "BlockIO": "5MB / 0B"}
    assert read_usage(told) == Usage(0.52, 110 * 2**20, received=87_800, sent=1_000_000, read=5_000_000, written=0)
    gone = {"CPUPerc": "--", "MemUsage": "-- / --", "NetIO": "--", "BlockIO": "--"}
    assert read_usage(gone) == Usage(0, 0)
