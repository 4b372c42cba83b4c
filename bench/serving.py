"""What the users of a stack notice of a backup: response times of its API without one and while one is made.

python -m bench.serving --recipient age1… [--rounds 3] [--output FILE]

The production stack that runs is asked by containers of its own image, inside its network, so that no limit of Nginx
counts; quiet and backup take turns. A drill of the last backup is timed at the end, where --identity opens it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from cotai_tasks.console import Console
from cotai_tasks.engine import Engine

ASK = """
import sys, threading, time, urllib.request
end, told = time.monotonic() + float(sys.argv[1]), []
def ask():
    while time.monotonic() < end:
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen("http://backend:8000" + sys.argv[2], timeout=20) as answer:
                answer.read()
            told.append(time.perf_counter() - begun)
        except OSError:
            told.append(-1.0)
        time.sleep(0.05)
users = [threading.Thread(target=ask) for _ in range(4)]
[one.start() for one in users], [one.join() for one in users]
print(*told, sep="\\n")
"""
PATH = "/api/v1/quotations?page_size=50"


def ask(stack: str, seconds: float) -> list[float]:
    """Ask the API as four users do; give the seconds of each answer, -1 for one that failed."""
    engine = Engine()
    image = next(one.image for one in engine.containers(stack) if one.service == "backend")
    network = ("--network", f"{stack}_edge")
    argv = ("run", "--rm", *network, "--entrypoint", "python", image, "-c", ASK, str(seconds), PATH)
    return [float(line) for line in engine.command(*argv).split()]


def during(stack: str, command: list[str]) -> tuple[list[float], float]:
    """Ask for as long as a command runs, again and again; give the answers and the command's seconds."""
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        answers: list[float] = []
        while running.poll() is None:
            answers += ask(stack, 2)
        if running.returncode:
            sys.exit(running.stderr.read() if running.stderr else "the command failed")
    return answers, time.monotonic() - begun


def p95(answers: list[float]) -> float:
    """Give the time in milliseconds within which 95 of 100 were answered."""
    return 1000 * statistics.quantiles([one for one in answers if one >= 0], n=20)[-1]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="cotai-prod")
    parser.add_argument("--recipient", required=True)
    parser.add_argument("--identity", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    inv = str(Path(sys.executable).parent / "inv")
    rounds: list[dict[str, Any]] = []
    drill = 0.0
    with TemporaryDirectory() as store:
        where = ("--store", store, "--env", "prod")
        for _ in range(chosen.rounds):
            create = [inv, "backup.create", *where, "--recipient", chosen.recipient]
            loaded, seconds = during(chosen.stack, create)
            quiet, _ = during(chosen.stack, ["sleep", str(seconds)])  # in slices too: to start one costs something
            rounds.append({"quiet": p95(quiet), "backup": p95(loaded), "seconds": seconds, "failed": loaded.count(-1)})
        if chosen.identity:
            begun = time.monotonic()
            subprocess.run([inv, "backup.drill", *where, "--identity", chosen.identity], check=True)
            drill = time.monotonic() - begun
    table = Table("round", "p95 quiet, ms", "p95 with backup, ms", "ratio", "backup, s", "failed requests", box=None)
    for number, one in enumerate(rounds, 1):
        cells = (one["quiet"], one["backup"], one["backup"] / one["quiet"], one["seconds"])
        table.add_row(str(number), *(f"{cell:.2f}" for cell in cells), str(one["failed"]))
    Console().render(table)
    told = {
        "rounds": rounds,
        "ratio": statistics.median(one["backup"] / one["quiet"] for one in rounds),
        "drill_seconds": drill,
    }
    print(json.dumps(told))  # noqa: T201 - for a program
    if chosen.output:
        chosen.output.write_text(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
