"""Reading what the engine tells."""

from __future__ import annotations

import pytest

from cotai_tasks.facts import read_glance, read_size, version_numbers


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
