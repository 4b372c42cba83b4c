"""Backing up and restoring one stream of rows: this project, a shell pipeline, restic; on one S3, in turns."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TYPE_CHECKING

import boto3
import psutil

from bench.rows import write_rows
from cotai_tasks.age import make_identity
from cotai_tasks.console import Console
from cotai_tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PYTHON = sys.executable
IMAGE = "cotai-offline/s3:4.48"
CONTAINER = "cotai-bench-s3"
SERVER = (
    "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=0.0.0.0", "-filer", "-s3", "-master.telemetry=false",
    "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=1024", "-volume.max=200", "-volume.preStopSeconds=1",
    "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.port.grpc=19333", "-volume.port.grpc=18080",
    "-filer.port.grpc=18888", "-s3.port.grpc=18333",
)  # fmt: skip
LOGIN = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
_BEAT = 0.05
"""Seconds between two looks at a command's memory."""
_PATIENCE = 60
"""Seconds for the S3 service to answer."""


@dataclass(frozen=True)
class Way:
    """One way to make a backup, as lines of shell."""

    name: str
    create: str
    restore: str
    prepare: str = "true"


def _ways() -> Iterator[Way]:
    for level in (1, 3):
        yield Way(f"ours, zstd {level}", f"{PYTHON} -m bench.ours create {level}", f"{PYTHON} -m bench.ours restore")
        yield Way(
            f"zstd -{level} -T2 | age | aws s3 cp",
            f'cat "$SOURCE" | zstd -q -{level} -T2 | age -r "$RECIPIENT" | "$AWS" s3 cp --quiet - "s3://$BUCKET/rows"',
            '"$AWS" s3 cp --quiet "s3://$BUCKET/rows" - | age -d -i "$IDENTITY" | zstd -q -d',
        )
    yield Way(
        "restic",
        'cat "$SOURCE" | restic -q backup --stdin --stdin-filename rows',
        "restic -q dump latest rows",
        prepare="restic -q init",
    )


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    seconds: float
    cpu: float
    """Seconds of all its processes."""
    memory: int
    """Bytes: the most that its processes had in memory at the same time."""


def main() -> None:
    """Measure every way so many times, in turns, and show the medians."""
    given = _arguments()
    _require_tools(given.aws)
    console = Console()
    size = int(given.size * 2**30)
    ways = [*_ways()]
    costs: dict[str, dict[str, list[Cost]]] = {way.name: {"create": [], "restore": []} for way in ways}
    with TemporaryDirectory(prefix="cotai-bench-", dir=given.folder) as folder, _s3() as endpoint:
        environ = _environ(Path(folder), endpoint, given.aws)
        with console.step(f"writing {given.size:g} GiB of rows"):
            write_rows(Path(environ["SOURCE"]), size)
        for turn in range(given.rounds):
            for number, way in enumerate(ways):
                with console.step(f"round {turn + 1}: {way.name}"), _bucket(endpoint, f"bench-{turn}-{number}") as name:
                    own = environ | {"BUCKET": name, "RESTIC_REPOSITORY": f"s3:{endpoint}/{name}/restic"}
                    measure(way.prepare, own)
                    measure('cat "$SOURCE"', own)  # it is in memory for everybody
                    costs[way.name]["create"].append(measure(way.create, own))
                    costs[way.name]["restore"].append(measure(way.restore, own))
    _show(costs, size, given.rounds, console)
    _write(costs, size, given.output)
    console.done(f"every run is in {given.output}")


def measure(line: str, environ: Mapping[str, str]) -> Cost:
    """Run a line of shell to its end, its output thrown away; raise with its last words where it fails."""
    before, begun, memory = _cpu(), time.monotonic(), 0
    with TemporaryFile() as said, _running(line, environ, said) as process:
        while process.poll() is None:
            memory = max(memory, _memory(process.pid))
            time.sleep(_BEAT)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{line}: exit code {process.returncode}\n{said.read().decode(errors='replace')}")
    return Cost(time.monotonic() - begun, _cpu() - before, memory)


@contextmanager
def _running(line: str, environ: Mapping[str, str], said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a line of shell; nothing of it outlives the block."""
    argv = ["/bin/bash", "-o", "pipefail", "-c", line]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:  # one of them has just ended
        return 0


@contextmanager
def _s3() -> Iterator[str]:
    """Give the address of a SeaweedFS of our own, empty."""
    engine = Engine()
    login = [f"--env={name}={value}" for name, value in LOGIN.items()]
    where = ("--rm", "--name", CONTAINER, "--publish", "127.0.0.1::8333")
    engine.command("run", "--detach", *where, *login, IMAGE, *SERVER)
    try:
        endpoint = f"http://{engine.command('port', CONTAINER, '8333').splitlines()[0]}"
        end = time.monotonic() + _PATIENCE
        while not _answers(endpoint):
            if time.monotonic() > end:
                raise SystemExit(f"{CONTAINER} does not answer: docker logs {CONTAINER}")
            time.sleep(1)
        yield endpoint
    finally:
        engine.command("rm", "--force", "--volumes", CONTAINER)


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/healthz", timeout=1):  # noqa: S310 - our own
            return True
    except OSError:
        return False


@contextmanager
def _bucket(endpoint: str, name: str) -> Iterator[str]:
    """Give an empty bucket, and remove it with what is in it."""
    session = boto3.Session(LOGIN["AWS_ACCESS_KEY_ID"], LOGIN["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    client = session.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=name)
    yield name
    client.delete_bucket(Bucket=name)  # SeaweedFS removes a full one too


def _environ(folder: Path, endpoint: str, aws: str) -> dict[str, str]:
    identity = make_identity()
    key = folder / "identity"
    key.write_text(f"{identity}\n")
    return {
        **os.environ,
        "SOURCE": str(folder / "rows"),
        "FOLDER": str(folder),
        "AWS": aws,
        "AWS_ENDPOINT_URL": endpoint,
        **LOGIN,
        "AWS_DEFAULT_REGION": "us-east-1",
        "RECIPIENT": str(identity.to_public()),
        "IDENTITY": str(key),
        "RESTIC_PASSWORD": "bench",
        "RESTIC_CACHE_DIR": str(folder / "restic"),
    }


def _show(costs: Mapping[str, Mapping[str, list[Cost]]], size: int, rounds: int, console: Console) -> None:
    rows = []
    for name, runs in costs.items():
        create, restore = runs["create"], runs["restore"]
        rows.append(
            (
                name,
                f"{_rate(create, size):.0f}",
                f"{statistics.median(one.cpu for one in create):.1f}",
                f"{max(one.memory for one in create) / 2**20:.0f}",
                f"{_rate(restore, size):.0f}",
                f"{statistics.median(one.cpu for one in restore):.1f}",
                f"{max(one.memory for one in restore) / 2**20:.0f}",
            )
        )
    columns = ("way", "create MB/s", "CPU s", "peak MiB", "restore MB/s", "CPU s", "peak MiB")
    console.table(columns, rows, f"{size / 2**30:g} GiB of rows, median of {rounds}, {os.cpu_count()} processors")


def _rate(runs: list[Cost], size: int) -> float:
    return size / 10**6 / statistics.median(one.seconds for one in runs)


def _write(costs: Mapping[str, Mapping[str, list[Cost]]], size: int, output: Path) -> None:
    runs = {name: {what: [asdict(one) for one in found] for what, found in way.items()} for name, way in costs.items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    host = {"processors": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    output.write_text(json.dumps({"bytes": size, "host": host, "runs": runs}, indent=2))


def _require_tools(aws: str) -> None:
    missing = [tool for tool in ("age", "bash", "restic", "zstd") if not shutil.which(tool)]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}. sudo apt-get install {' '.join(missing)}")
    if not shutil.which(aws):
        raise SystemExit(f"missing: {aws}. nox -s bench installs it; or --aws FILE")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1, metavar="GiB", help="of rows (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is taken (default: 3)")
    parser.add_argument("--aws", default="aws", metavar="FILE", help="AWS' own command line (default: the one on PATH)")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="for the rows (default: the system's own)")
    parser.add_argument("--output", type=Path, default=Path("reports/bench-backup.json"), metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
