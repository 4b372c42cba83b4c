"""A docker command under way: read by line while it runs, or with bytes that stream through it."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Self

from cotai_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PIPE = 2**20
"""Bytes that a pipe may hold: as much as Linux allows to everybody. The usual 64 kB mean a switch for each of them."""

LAST_WORDS = 16 * 2**10
"""Bytes of a command's standard error that are kept: its end."""

PATIENCE = 600.0
"""Seconds of silence after which a command that should give bytes, or take them, is given up."""

_GRACE = 5.0
"""Seconds that a command has to end once it was told to."""


class Running:
    """A docker command under way, to be looked at while it runs; used as a context it never outlives its block."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self._argv = argv
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C is for us: we end it when we end
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def ended(self) -> bool:
        """Whether the command has ended, well or badly."""
        return self._process.poll() is not None

    @property
    def error(self) -> EngineError | None:
        """What went wrong, once the command has ended badly."""
        if not self._process.poll():
            return None
        self._reader.join()
        return engine_error(title(self._argv), "\n".join(self.lines))

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line.rstrip("\r\n"))


class Piped:
    """A docker command whose standard input and output are streams of bytes; as a context it never outlives its block.

    Its standard error is read meanwhile, so that it cannot fill up, and its end is kept for the error.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], what: str, patience: float = PATIENCE) -> None:
        self._what = what
        self._patience = patience
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C is for us: we say when it ends
        )
        assert self._process.stdin  # noqa: S101 - as asked for
        assert self._process.stdout  # noqa: S101
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        for pipe in (self._stdin, self._stdout):
            if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        self._said = b""
        self._ended = False
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._process.poll() is None:
            self._process.terminate()
        self._finish_or_kill()
        self._stdout.close()
        if self._process.stderr:
            self._process.stderr.close()

    def read(self, size: int = PIPE) -> bytes:
        """Give the next bytes, at most `size`; none once the command has closed its output.

        Raises `EngineError` after `patience` seconds of silence.
        """
        if not select.select([self._stdout], [], [], self._patience)[0]:
            raise self._silent("has given nothing")
        data = self._stdout.read(size) or b""
        self._ended = not data
        return data

    def write(self, data: bytes) -> int:
        """Give the command bytes; `EngineError` where it takes no more, with its own last words."""
        rest = memoryview(data)
        try:
            while rest:
                if not select.select([], [self._stdin], [], self._patience)[1]:
                    raise self._silent("has taken nothing")
                rest = rest[self._stdin.write(rest[:PIPE]) or 0 :]
        except BrokenPipeError as error:
            self._finish_or_kill()
            raise engine_error(self._what, self.last_words or "it takes no more input") from error
        return len(data)

    def finish(self) -> bytes:
        """End the input, wait for the end, and give the output that nobody has read; raise if the command failed.

        One whose output was read to its end leaves by itself: its input, which may hold its leash, ends last.
        """
        if self._ended:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self._close()
        rest = b"".join(iter(self.read, b""))
        self._process.wait()
        self._listener.join(_GRACE)
        if self._process.returncode:
            raise engine_error(self._what, self.last_words or f"exit code {self._process.returncode}")
        return rest

    @property
    def last_words(self) -> str:
        """The end of what the command said on its standard error."""
        return self._said.decode(errors="replace").strip()

    def _finish_or_kill(self) -> None:
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_GRACE)

    def _close(self) -> None:
        with suppress(BrokenPipeError):  # it has gone already, and its exit code says why
            self._stdin.close()

    def _silent(self, what: str) -> EngineError:
        return EngineError(f"{self._what} {what} for {self._patience:.0f} s: given up", evidence=self.last_words)

    def _listen(self) -> None:
        while self._process.stderr and (told := self._process.stderr.read(LAST_WORDS)):
            self._said = (self._said + told)[-LAST_WORDS:]


_VERBS = {"up", "down", "stop", "restart", "logs", "exec", "run", "bake", "build", "pull", "push", "inspect"}


def title(argv: Sequence[str]) -> str:
    """Name a command by its verb alone: its whole line is for nobody's eyes."""
    return f"docker {next((word for word in argv[1:] if word in _VERBS), argv[1])}"


def engine_error(what: str, output: str) -> EngineError:
    """Name the cause of a refused command, most specific first."""
    text = output.lower()
    lines = [line for line in output.strip().splitlines() if line.strip()]
    if "permission denied" in text and "docker" in text and "sock" in text:
        return EngineError(
            "no permission on the Docker socket",
            cure="sudo usermod -aG docker $USER, then log in again (or: newgrp docker).",
        )
    if "cannot connect to the docker daemon" in text or "error during connect" in text:
        return EngineError("no Docker Engine answers", cure="Start it (./bootstrap does), or check DOCKER_HOST.")
    if "is not a docker command" in text or "unknown command: docker" in text:
        return EngineError(f"{what}: this docker client lacks the plugin", cure="Install Compose v2 and Buildx.")
    if "non-overlapping ipv4 address pool" in text:
        cure = "Remove networks that nothing uses: docker network ls, docker network rm NAME."
        return EngineError(f"{what}: the engine has no addresses left for another network", cure=cure)
    if "no space left on device" in text:
        return EngineError(f"{what}: the disk is full", cure="inv build.prune, or docker system df.", evidence=output)
    return EngineError(f"{what} failed: {lines[-1] if lines else 'it said nothing'}", evidence="\n".join(lines[-20:]))
