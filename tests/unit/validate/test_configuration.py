"""What the checks of configuration decide."""

from __future__ import annotations

import pytest

from cotai_tasks.stack import UNAVAILABLE
from cotai_tasks.validate.check import State
from cotai_tasks.validate.groups.configuration import is_pinned, judge_pins

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("postgres:17.6", True),
        (f"postgres@{DIGEST}", True),
        (f"postgres:latest@{DIGEST}", True),
        ("registry.example.org:5000/team/redis:8.0.2", True),
        ("postgres", False),
        ("postgres:latest", False),
        ("registry.example.org:5000/team/redis", False),
        ("nginx:stable", False),
        ("postgres@sha256:abc", False),
    ],
)
def test_a_pin_means_the_same_tomorrow(image: str, *, pinned: bool) -> None:
    """CFG-03: a version or a digest; a registry's port is no tag."""
    assert is_pinned(image) == pinned


def test_pins() -> None:
    """CFG-03: the service is named; our own images, and those that cannot be had, are not looked at."""
    fine = {"backend": "cotai/production:dev", "redis": "redis:8.0.2", "grafana": UNAVAILABLE}
    assert judge_pins(fine, "cotai/").state == State.PASS
    assert judge_pins(fine | {"web": "nginx:latest"}, "cotai/").evidence == ("web: nginx:latest",)
    assert judge_pins({}, "cotai/").state == State.FAIL
