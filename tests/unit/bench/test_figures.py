"""The figures that the project claims: what is expected of them, and their table."""

from __future__ import annotations

import pytest

from bench.figures import CATALOGUE, PARTS, Expectation, Figure, measured, missing, of_part, whole
from bench.table import BEGIN, END, cells, document, number, page


@pytest.mark.parametrize(
    ("expectation", "value", "peer", "holds"),
    [
        (Expectation("≤", 30), 30, None, True),
        (Expectation("≤", 30), 30.1, None, False),
        (Expectation("≥", 1.9, of_peer=True), 190, 100, True),
        (Expectation("≥", 1.9, of_peer=True), 189, 100, False),
        (Expectation("≤", 0.3, of_peer=True), 31, 100, False),
        (Expectation("≤", 0.3, of_peer=True), 31, None, None),
    ],
)
def test_an_expectation_is_held_against_a_number_or_the_peer(
    expectation: Expectation, value: float, peer: float | None, *, holds: bool | None
) -> None:
    """The bound itself is as good as expected; without the peer's figure nothing is said."""
    assert expectation.holds(value, peer) is holds


def test_of_several_runs_the_median_counts() -> None:
    """On both sides."""
    found = measured("create-restic", [100, 300, 200], [90, 100, 500])
    assert (found.value, found.peer_value, found.holds) == (200, 100, True)


def test_what_was_not_measured_stands_there_with_the_reason() -> None:
    """A part has a row for each of its figures, in order, whatever became of it."""
    rows = whole([measured("list", 0.4, 0.2)], "stacks", "the engine is gone")
    assert [(one.what, one.value, one.note) for one in rows] == [
        (CATALOGUE[name].what, 0.4 if name == "list" else None, "" if name == "list" else "the engine is gone")
        for name in of_part("stacks")
    ]


def test_no_two_figures_have_one_name() -> None:
    """Each part has figures, and each of those its own words."""
    assert {one.part for one in CATALOGUE.values()} == {*PARTS}
    assert len({one.what for one in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.344, "0.34"), (4.72, "4.7"), (99.96, "100.0"), (263.4, "263"), (2471, "2,471"), (60.0, "60")],
)
def test_numbers_are_as_exact_as_they_are_useful(value: float, text: str) -> None:
    """Two digits below one, one below a hundred, none above."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("figure", "row"),
    [
        (measured("gateway", 12.3), "12.3 ms||≤ 500 ms|yes"),
        (measured("size-flower", 162, 896), "162 MB|Dockerfile.naive: 896 MB, 0.18x|≤ 0.25x|yes"),
        (measured("deploy-failed", 0, 31), "0|docker compose up -d --force-recreate: 31|≤ 0|yes"),
        (
            measured("create-restic", 150, (), "restic missing"),
            "150 MB/s|restic: not measured: restic missing|≥ 1.9x|",
        ),
        (missing(["drill"], "it failed")[0], "not measured: it failed||≤ 300 s|"),
    ],
)
def test_a_row_says_what_was_measured_beside_what(figure: Figure, row: str) -> None:
    """Ours, the peer with how many times that ours is, what was expected, whether it holds."""
    assert "|".join(cells(figure)[2:]) == row


def test_the_page_is_written_between_its_markers() -> None:
    """What stands around them stays; a second writing replaces the first."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = page(text, [measured("gateway", 12.3)], {"date": "2026-11-27", "processors": "2"})
    assert made == (
        f"before\n{BEGIN}\n\nDate: 2026-11-27; processors: 2.\n\n"
        "| part | figure | ours | peer | expected | holds |\n| --- | --- | --- | --- | --- | --- |\n"
        f"| latencies | {CATALOGUE['gateway'].what} | 12.3 ms |  | ≤ 500 ms | yes |\n\n{END}\nafter\n"
    )
    assert page(made, [measured("gateway", 12.3)], {"date": "2026-11-27", "processors": "2"}) == made
    with pytest.raises(ValueError, match="the page has no"):
        page("nothing", [], {})


def test_a_program_reads_every_run() -> None:
    """The machine, and each figure with its runs, medians and verdict."""
    told = document([measured("serving", [10, 12], [10, 10])], {"processors": "2"})
    assert told["machine"] == {"processors": "2"}
    assert [
        (one["runs"], one["value"], one["peer_value"], one["expected"], one["holds"]) for one in told["figures"]
    ] == [((10, 12), 11, 10, "≤ 1.3x", True)]
