"""The table of all figures: for a terminal, for `docs/benchmarks.md`, for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.figures import Figure

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
COLUMNS = ("part", "figure", "ours", "peer", "expected", "holds")
_LARGE = 100


def cells(figure: Figure) -> tuple[str, ...]:
    """Give the cells of a figure's row."""
    return (
        figure.part,
        figure.what,
        _amount(figure.value, figure.unit) if figure.value is not None else f"not measured: {figure.note}",
        _beside(figure),
        expectation(figure),
        {True: "yes", False: "no", None: ""}[figure.holds],
    )


def expectation(figure: Figure) -> str:
    """Say what is expected of a figure: `≤ 30 s`, or of its peer: `≥ 1.9x`; nothing where nothing is."""
    if not figure.expected:
        return ""
    unit = "x" if figure.expected.of_peer else f" {figure.unit}".rstrip()
    return f"{figure.expected.sign} {figure.expected.bound:g}{unit}"


def page(text: str, figures: Sequence[Figure], machine: Mapping[str, str]) -> str:
    """Put the table, and the machine on which it was measured, between the markers of a page."""
    head, _, rest = text.partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    facts = "; ".join(f"{name}: {value}" for name, value in machine.items())
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(cells(one) for one in figures)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{head}{BEGIN}\n\n{facts[0].upper()}{facts[1:]}.\n\n{table}\n\n{END}{tail}"


def document(figures: Sequence[Figure], machine: Mapping[str, str]) -> dict[str, Any]:
    """Give all of it as plain data, each run too."""
    found = [
        asdict(one)
        | {"value": one.value, "peer_value": one.peer_value, "expected": expectation(one), "holds": one.holds}
        for one in figures
    ]
    return {"machine": dict(machine), "figures": found}


def _beside(figure: Figure) -> str:
    """Say what the peer has, and how many times that ours is."""
    if not figure.peer or figure.value is None:
        return figure.peer
    if figure.peer_value is None:
        return f"{figure.peer}: not measured: {figure.note}"
    times = f", {number(figure.value / figure.peer_value)}x" if figure.peer_value and figure.value else ""
    return f"{figure.peer}: {_amount(figure.peer_value, figure.unit)}{times}"


def _amount(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip()


def number(value: float) -> str:
    """Give a number as a person reads it: `0.34`, `4.7`, `263`, `2,471`."""
    if value == int(value):
        return f"{value:,.0f}"
    digits = 2 if abs(value) < 1 else 1 if abs(value) < _LARGE else 0
    return f"{value:,.{digits}f}"
