"""The page and its drawings: nothing from outside, nothing that runs, everything told in words too."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from cotai_tasks.validate.check import State
from cotai_tasks.validate.reports import plots
from cotai_tasks.validate.reports.figures import Limit, Matrix, Memory
from cotai_tasks.validate.reports.page import change, measure, page
from tests.unit.validate.reports.samples import made, parsed, result, with_history

BAD = "<b>&\"'"


class Seen(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.elements.append((tag, dict(attrs)))


def seen(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Seen()
    parser.feed(text)
    return parser.elements


@pytest.mark.parametrize("document", [made(), with_history(), made([])], ids=["first", "later", "empty"])
def test_the_page_needs_nothing_and_runs_nothing(document: dict[str, object]) -> None:
    """No script, no handler, no style but its own, no address but its neighbours' and its own parts'."""
    elements = seen(page(document))
    tags = {tag for tag, _ in elements}
    assert not tags & {"script", "iframe", "img", "object", "embed", "base", "form", "b"}
    assert [name for _, attributes in elements for name in attributes if name.startswith("on") or name == "style"] == []
    addresses = {value for _, one in elements for name, value in one.items() if name in {"href", "src"} and value}
    neighbours = {"report.json", "junit.xml", "report.sarif", "summary.md"}
    assert {one for one in addresses if not one.startswith(("#", "data:"))} == neighbours
    identities = [str(one["id"]) for _, one in elements if "id" in one]
    assert len(identities) == len(set(identities))
    assert {one[1:] for one in addresses if one.startswith("#")} <= set(identities)


def test_what_was_seen_is_text() -> None:
    """Evidence, cures and names that look like HTML are shown as they are."""
    text = page(with_history())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "read_only: true &lt;b&gt;now&lt;/b&gt;" in text
    assert "canary" not in text
    names = made(
        [
            result(
                *("DB-01", BAD, State.FAIL, BAD),
                cure=BAD,
                latencies_ms={BAD: [1, 2]},
                memory={BAD: {"peak": 1, "limit": 2}},
                matrix={"rows": [BAD], "columns": [BAD], "open": [[BAD, BAD]], "allowed": []},
            )
        ],
        stack=BAD,
        host={BAD: BAD},
    )
    assert BAD not in page(names)


def test_every_check_is_on_the_page() -> None:
    """With what was measured, what it is held against, and what to do."""
    document = with_history()
    text = page(document)
    for one in document["checks"]:
        assert f'id="{one["id"]}"' in text
    assert "expected: as declared" in text
    assert "Take it off the network." in text


def test_the_page_says_what_is_new() -> None:
    """States and figures that are others than the last time; the first time it says nothing of it."""
    text = page(with_history())
    assert 'id="changes"' in text
    assert re.search(r"POST tenders p95</th>.*?\+\d+ %", text, re.DOTALL)
    assert 'id="changes"' not in page(made())


@pytest.mark.parametrize(("part", "text"), [(0.123, "+12 %"), (-0.5, "\N{MINUS SIGN}50 %"), (0, "+0 %")])
def test_a_change_is_told_with_its_sign(part: float, text: str) -> None:
    """Never without."""
    assert change(part) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(3.14159, "ms", "3.14 ms"), (1234, "ms", "1.23 s"), (5e6, "bytes", "5 MB")]
)
def test_a_figure_has_its_unit(value: float, unit: str, text: str) -> None:
    """As people write it."""
    assert measure(value, unit) == text


DRAWINGS = {
    "percentiles": plots.percentiles({BAD: [1, 2, 3], "other": [4]}, Limit("p95 < 5 ms", 5, 0.95), BAD),
    "without a limit": plots.percentiles({"": [0, 0]}, None, "x"),
    "many": plots.percentiles({str(number): [number] * 1000 for number in range(9)}, None, "x"),
    "bar": plots.bar(Memory(1, 2), BAD),
    "network": plots.network(Matrix((BAD,), (BAD,), frozenset({(BAD, BAD)}), frozenset()), BAD),
    "trend": plots.trend(made()["trend"], BAD),
    "proportions": plots.proportions({"pass": 0, "fail": 0}, BAD),
    "spark": plots.spark([1, 1], BAD),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_has_a_name_and_says_what_it_shows(name: str) -> None:
    """It is well-formed, whatever its names are, and all its numbers are numbers."""
    root = parsed(DRAWINGS[name])
    assert [one.tag for one in root][:2] == ["title", "desc"]
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert not re.search("nan|inf", DRAWINGS[name])


def test_a_limit_is_drawn_where_it_is() -> None:
    """A curve below the broken line keeps it, one above breaks it."""

    def heights(values: list[float]) -> tuple[float, float]:
        root = parsed(plots.percentiles({"": values}, Limit("p95 < 50 ms", 50, 0.95), "x"))
        limit = next(one for one in root if one.get("class") == "limit")
        p95 = [one for one in root if one.tag == "circle"][1]
        return float(str(limit.get("y1"))), float(str(p95.get("cy")))

    limit, p95 = heights([3.0] * 100)
    assert p95 > limit
    limit, p95 = heights([70.0] * 100)
    assert p95 < limit


@pytest.mark.parametrize(
    ("share", "width", "name"), [(0.5, "50.0", "roomy"), (0.8, "80.0", "tight"), (1.2, "100.0", "full")]
)
def test_a_bar_is_as_long_as_its_share(share: float, width: str, name: str) -> None:
    """And never longer than the whole; how tight it is has a word."""
    used = next(one for one in parsed(plots.bar(Memory(share * 100, 100), "x")) if "bar-used" in str(one.get("class")))
    assert (used.get("width"), used.get("class")) == (width, f"bar-used {name}")


def test_each_way_has_its_own_shape() -> None:
    """Open as allowed, open though not allowed, allowed though closed, closed: told by shape and in words too."""
    ways = Matrix(
        ("a",), ("p", "q", "r", "s"), frozenset({("a", "p"), ("a", "q")}), frozenset({("a", "p"), ("a", "r")})
    )
    root = parsed(plots.network(ways, "x"))
    shapes = {one.findtext("title"): (one.tag, one.get("class")) for one in root if one.find("title") is not None}
    assert shapes == {
        "a → p: open, allowed": ("circle", "way"),
        "a → q: open, not allowed": ("g", "undue"),
        "a → r: closed, allowed": ("circle", "missing"),
        "a → s: closed, not allowed": ("circle", "shut"),
    }
