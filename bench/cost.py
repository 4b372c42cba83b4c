"""What a line of shell takes to its end: time, processors, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BEAT = 0.05
"""Seconds between two looks at a command's memory."""


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    seconds: float
    memory: int
    """Bytes: the most that its processes had in memory at the same time."""


def cost(line: str, environ: Mapping[str, str]) -> Cost:
    """Run a line of shell to its end, its output thrown away; raise `RuntimeError` with its last words if it fails."""
    begun, memory = time.monotonic(), 0
    with TemporaryFile() as said, _running(line, environ, said) as process:
        while process.poll() is None:
            memory = max(memory, _memory(process.pid))
            time.sleep(_BEAT)
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
            raise RuntimeError(f"{line}: exit code {process.returncode}: {words}")
    return Cost(time.monotonic() - begun, memory)


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


def _memory(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:  # one of them has just ended
        return 0
