"""Measures every figure that the project claims, beside what else one would use: `python -m bench`, `nox -s bench`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench import backup, deploys, images, latencies, stacks
from bench.figures import PARTS, Figure, whole
from bench.table import COLUMNS, cells, document, page
from bench.workbench import REPOSITORY, Workbench
from cotai_tasks.console import Console
from cotai_tasks.errors import CotaiError
from cotai_tasks.files import replace_file
from cotai_tasks.stack import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.figures import Part

MEASURES: dict[Part, Callable[[Workbench], Iterator[Figure]]] = {
    "images": images.measure,
    "stacks": stacks.measure,
    "latencies": latencies.measure,
    "deploys": deploys.measure,
    "backup": backup.measure,
}
PAGE = REPOSITORY / "docs/benchmarks.md"


def main() -> None:
    """Measure the parts that are meant, show all figures, and write them down."""
    given = _arguments()
    console = Console()
    meant = split(given.only) or [*PARTS]
    figures: list[Figure] = []
    with Workbench(console, given.rounds, given.size, given.aws, given.folder) as bench:
        machine = bench.machine()
        for part in PARTS:
            figures += _measured(part, bench) if part in meant else whole([], part, "left out")
    console.table(COLUMNS, [cells(one) for one in figures])
    given.output.parent.mkdir(parents=True, exist_ok=True)
    replace_file(given.output, json.dumps(document(figures, machine), indent=2).encode(), 0o644)
    if given.docs:
        replace_file(PAGE, page(PAGE.read_text(), figures, machine).encode(), 0o644)
    console.done(f"every run is in {given.output}")


def _measured(part: Part, bench: Workbench) -> list[Figure]:
    """Measure a part; what fails takes nothing else with it, and says why in each row that is missing then."""
    found, why = list[Figure](), "it was not told"
    try:
        for one in MEASURES[part](bench):
            found.append(one)
    except CotaiError as error:
        bench.console.error(error)
        why = str(error)
    except Exception as error:  # noqa: BLE001 - an hour of others is not thrown away
        bench.console.warn(f"{part}: {error!r}")
        why = type(error).__name__
    return whole(found, part, why)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", metavar="PARTS", help=f"separated by commas: {','.join(PARTS)}")
    parser.add_argument("--size", type=float, default=1, metavar="GiB", help="of rows to back up (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing is done (default: 3)")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/benchmarks.md")
    parser.add_argument("--aws", default="aws", metavar="FILE", help="AWS' own command line (default: the one on PATH)")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="for the rows (default: the system's own)")
    parser.add_argument("--output", type=Path, default=Path("reports/bench.json"), metavar="FILE")
    given = parser.parse_args()
    if unknown := set(split(given.only)) - {*PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return given


if __name__ == "__main__":
    main()
