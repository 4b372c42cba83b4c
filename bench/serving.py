"""What the users of a stack notice of a backup: response times of its API without one and while one is made.

The API is asked by containers of its own image, inside its network, so that no limit of Nginx counts; quiet and backup
take turns. A drill of the last backup is timed at the end.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.figures import Figure, measured
from bench.workbench import inv
from cotai_tasks.age import make_identity
from cotai_tasks.errors import UnhealthyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.workbench import Workbench
    from cotai_tasks.engine import Engine
    from tests.stack.conftest import Production

ASK = """
import sys, threading, time, urllib.request
end, told = time.monotonic() + float(sys.argv[1]), []
def ask():
    while time.monotonic() < end:
        begun = time.perf_counter()
        question = urllib.request.Request("http://backend:8000" + sys.argv[2], headers={"Host": "localhost"})
        try:
            with urllib.request.urlopen(question, timeout=20) as answer:
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
FAILED = -1.0
"""What stands for the seconds of an answer that did not come."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """Ask the API during a backup and for as long without one, in turns; then drill the last backup."""
    production, quiet, loaded = bench.production, [], []
    identity = make_identity()
    inv(production, "db.seed", "--count", "200", "--yes")
    with TemporaryDirectory(prefix="cotai-bench-") as folder:
        key, store = Path(folder, "identity"), ("--store", str(Path(folder, "store")))
        key.write_text(f"{identity}\n")
        key.chmod(0o600)
        create = production.command("backup.create", *store, "--recipient", str(identity.to_public()))
        for turn in range(bench.rounds):
            with bench.console.step(f"round {turn + 1}: the API during a backup, and without one"):
                answers, seconds = _during(bench.engine, production, create)
                loaded.append(p95(answers))
                answers, _ = _during(bench.engine, production, ["sleep", str(seconds)])  # in slices too
                quiet.append(p95(answers))
        yield measured("serving", loaded, quiet)
        with bench.console.step("a drill"):
            drill = inv(production, "backup.drill", *store, "--identity", str(key))
    yield measured("drill", drill)


def p95(answers: Sequence[float]) -> float:
    """Give the time in milliseconds within which 95 of 100 were answered; raise `UnhealthyError` if one was not."""
    if lost := answers.count(FAILED):
        raise UnhealthyError(f"{lost} of {len(answers)} requests failed beside the backup")
    return 1000 * statistics.quantiles(answers, n=20)[-1]


def _during(engine: Engine, production: Production, command: Sequence[str]) -> tuple[list[float], float]:
    """Ask for as long as a command runs, again and again; give the answers and the command's seconds."""
    begun, answers = time.monotonic(), list[float]()
    with subprocess.Popen(
        command, env=production.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        while running.poll() is None:
            answers += _ask(engine, production.name, 2)
        if running.returncode:
            told = running.stderr.read() if running.stderr else ""
            raise UnhealthyError(f"{command[1]} ended with {running.returncode}", evidence=told)
    return answers, time.monotonic() - begun


def _ask(engine: Engine, stack: str, seconds: float) -> list[float]:
    """Ask the API as four users do; give the seconds of each answer."""
    image = next(one.image for one in engine.containers(stack) if one.service == "backend")
    network = ("--network", f"{stack}_edge")
    argv = ("run", "--rm", *network, "--entrypoint", "python", image, "-c", ASK, str(seconds), PATH)
    return [float(line) for line in engine.command(*argv).split()]
