"""The page about validation has the catalogue as it is."""

from __future__ import annotations

from pathlib import Path

from cotai_tasks.validate.catalogue import catalogue

PAGE = Path(__file__).parents[2] / "docs/validate.md"


def rows() -> list[str]:
    """Give the lines of the table that the page should have."""
    cells = [
        (one.id, one.severity, one.promise, one.threshold, ", ".join(one.envs), one.profile, one.effect)
        for one in catalogue()
    ]
    return [f"| {' | '.join(row)} |" for row in cells]


def test_every_check_is_on_the_page() -> None:
    """In order, each with its severity, promise, threshold, environments, profile and effect; and nothing else."""
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "-" in line[:9]] == rows()
