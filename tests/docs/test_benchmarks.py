"""The page of benchmarks has every figure that is claimed, and no other."""

from __future__ import annotations

from pathlib import Path

from bench.figures import CATALOGUE
from bench.table import BEGIN, END, expectation

PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"


def test_every_figure_is_on_the_page() -> None:
    """In order, each with its part and what is expected now: `nox -s bench -- --docs` writes the table anew."""
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    assert [(row[0], row[1], row[4]) for row in rows[2:]] == [
        (one.part, one.what, expectation(one)) for one in CATALOGUE.values()
    ]
