"""Backing up and restoring one stream of rows: this project, a shell pipeline, restic; on one S3, in turns."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench import s3, serving
from bench.cost import Cost, cost
from bench.figures import Figure, measured, missing
from bench.rows import write_rows
from cotai_tasks.age import make_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.workbench import Workbench


@dataclass(frozen=True)
class Way:
    """One way to make a backup, as lines of shell."""

    name: str
    create: str
    restore: str
    tools: tuple[str, ...] = ()
    prepare: str = "true"


@dataclass(frozen=True)
class Runs:
    """What a way took, each time."""

    create: tuple[Cost, ...]
    restore: tuple[Cost, ...]


def _ours(level: int) -> Way:
    run = f"{sys.executable} -m bench.ours"
    return Way(f"ours {level}", f"{run} create {level}", f"{run} restore")


def _shell(level: int, aws: str) -> Way:
    return Way(
        f"shell {level}",
        f'cat "$SOURCE" | zstd -q -{level} -T2 | age -r "$RECIPIENT" | "{aws}" s3 cp --quiet - "s3://$BUCKET/rows"',
        f'"{aws}" s3 cp --quiet "s3://$BUCKET/rows" - | age -d -i "$IDENTITY" | zstd -q -d',
        ("zstd", "age", aws),
    )


_RESTIC = Way(
    "restic",
    'cat "$SOURCE" | restic -q backup --stdin --stdin-filename rows',
    "restic -q dump latest rows",
    ("restic",),
    prepare="restic -q init",
)


def measure(bench: Workbench) -> Iterator[Figure]:
    """Take every way whose tools are there so many times, in turns; then back a stack up while it serves."""
    ways = [_ours(1), _shell(1, bench.aws), _ours(3), _shell(3, bench.aws), _RESTIC]
    lacking = {way.name: lacks for way in ways if (lacks := [one for one in way.tools if not shutil.which(one)])}
    if s3.IMAGE in bench.engine.images(s3.IMAGE):
        runs = _runs(bench, [way for way in ways if way.name not in lacking])
        yield from figures(runs, {name: f"{', '.join(lacks)} missing" for name, lacks in lacking.items()}, bench.size)
    else:
        streams = ("create-1", "create-3", "create-restic", "create-memory", "restore-3", "restore-restic")
        yield from missing([*streams, "restore-memory"], f"no image {s3.IMAGE}: inv build.offline")
    yield from serving.measure(bench)


def figures(runs: Mapping[str, Runs], lacking: Mapping[str, str], size: float) -> list[Figure]:
    """Set our runs beside the others'; `lacking` says why a way was not taken, `size` is in GiB."""

    def rates(way: str, what: str) -> list[float]:
        return [size * 2**30 / 10**6 / one.seconds for one in _costs(runs, way, what)]

    def memory(way: str, what: str) -> list[float]:
        return [one.memory / 2**20 for one in _costs(runs, way, what)]

    def rate(name: str, way: str, peer: str, what: str) -> Figure:
        return measured(name, rates(way, what), rates(peer, what), lacking.get(peer, ""))

    def most(name: str, what: str) -> Figure:
        # The most of all runs, not the usual one: memory that is not there ends a backup.
        peer = memory("restic", what)
        ours = max(memory("ours 1", what) + memory("ours 3", what))
        return measured(name, ours, max(peer) if peer else (), lacking.get("restic", ""))

    return [
        rate("create-1", "ours 1", "shell 1", "create"),
        rate("create-3", "ours 3", "shell 3", "create"),
        rate("create-restic", "ours 3", "restic", "create"),
        most("create-memory", "create"),
        rate("restore-3", "ours 3", "shell 3", "restore"),
        rate("restore-restic", "ours 3", "restic", "restore"),
        most("restore-memory", "restore"),
    ]


def _costs(runs: Mapping[str, Runs], way: str, what: str) -> tuple[Cost, ...]:
    found = runs.get(way)
    if not found:
        return ()
    return found.create if what == "create" else found.restore


def _runs(bench: Workbench, ways: Sequence[Way]) -> dict[str, Runs]:
    costs: dict[str, list[tuple[Cost, Cost]]] = {way.name: [] for way in ways}
    with TemporaryDirectory(prefix="cotai-bench-", dir=bench.folder) as folder, s3.service(bench.engine) as endpoint:
        environ = _environ(Path(folder), endpoint)
        with bench.console.step(f"writing {bench.size:g} GiB of rows"):
            write_rows(Path(environ["SOURCE"]), int(bench.size * 2**30))
        for turn in range(bench.rounds):
            for number, way in enumerate(ways):
                place = s3.bucket(endpoint, f"bench-{turn}-{number}")
                with bench.console.step(f"round {turn + 1}: {way.name}"), place as name:
                    own = environ | {"BUCKET": name, "RESTIC_REPOSITORY": f"s3:{endpoint}/{name}/restic"}
                    cost(way.prepare, own)
                    cost('cat "$SOURCE"', own)  # it is in memory for everybody
                    costs[way.name].append((cost(way.create, own), cost(way.restore, own)))
    return {name: Runs(*(tuple(one) for one in zip(*pairs, strict=True))) for name, pairs in costs.items()}


def _environ(folder: Path, endpoint: str) -> dict[str, str]:
    identity = make_identity()
    key = folder / "identity"
    key.write_text(f"{identity}\n")
    return {
        **os.environ,
        **s3.LOGIN,
        "SOURCE": str(folder / "rows"),
        "FOLDER": str(folder),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "RECIPIENT": str(identity.to_public()),
        "IDENTITY": str(key),
        "RESTIC_PASSWORD": "bench",
        "RESTIC_CACHE_DIR": str(folder / "restic"),
    }
