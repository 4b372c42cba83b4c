"""Work that is done by several threads at once, each passing bytes on to the next."""

from __future__ import annotations

import ctypes
import io
import time
from collections import deque
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PIECE = 2**20
"""Bytes that are handed on at once: a switch between threads for fewer would cost more than they do."""

_GRACE = 1.0
"""Seconds that a stage has, after a cut, to come to its end by itself."""

_ROOM = 4 * PIECE
"""Bytes that may wait between two threads."""

_LARGE = 4 * PIECE
_M_MMAP_THRESHOLD = -3
"""As malloc.h of the GNU C library has it."""


class Line:
    """Bytes from one thread to another, a few of them at a time; both ends look like files.

    Once it is cut, whoever waits at either end raises what it was cut by, and so does everybody who comes later.
    """

    def __init__(self) -> None:
        self.passed = 0
        """Bytes that went in so far."""
        self.error: BaseException | None = None
        """What it was cut by."""
        self._changed = Condition()
        self._waiting: deque[bytes] = deque()
        self._room = _ROOM
        self._ended = False
        self._gathered: list[bytes] = []
        self._size = 0
        self._current = io.BytesIO()

    def write(self, data: bytes) -> int:
        """Pass bytes on, once they are worth it."""
        self._gathered.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            self._pass_on()
        return len(data)

    def close(self) -> None:
        """Say that no more will come."""
        if self._gathered:
            self._pass_on()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def read(self, size: int = PIECE) -> bytes:
        """Wait for bytes and give at most `size`; none at the end."""
        return self._current.read(size) or self._next().read(size)

    def cut(self, error: BaseException) -> None:
        """Let both ends fail by this; the first cut counts."""
        with self._changed:
            self.error = self.error or error
            self._changed.notify_all()

    def _pass_on(self) -> None:
        piece, self._gathered, self._size = b"".join(self._gathered), [], 0
        with self._changed:
            self._wait_for(lambda: self._room > 0)
            self._room -= len(piece)
            self.passed += len(piece)
            self._waiting.append(piece)
            self._changed.notify_all()

    def _next(self) -> io.BytesIO:
        with self._changed:
            self._wait_for(lambda: bool(self._waiting) or self._ended)
            piece = self._waiting.popleft() if self._waiting else b""
            self._room += len(piece)
            self._changed.notify_all()
        self._current = io.BytesIO(piece)
        return self._current

    def _wait_for(self, true: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self.error or true())
        if self.error:
            raise self.error


@contextmanager
def at_work(
    lines: Sequence[Line], *stages: Callable[[], None], free: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Run stages in threads of their own beside the block; whatever fails, here or there, ends them all and is raised.

    Leaving the block waits until every stage has come to its end. `free` ends what a stage may wait for beside its
    lines: it is called where one is still at work a moment after they were cut.
    """

    def run(stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits for this thread
            _cut(lines, error)

    threads = [Thread(target=run, args=(stage,), daemon=True) for stage in stages]
    try:
        for thread in threads:
            thread.start()
        yield
        _await(threads)
    except BaseException as error:
        _cut(lines, error)
        _await(threads, _GRACE)
        if any(thread.is_alive() for thread in threads):
            free()
        _await(threads)
        raise
    if lines[0].error:
        raise lines[0].error


def give_back_large_blocks() -> None:
    """Ask the GNU C library to give memory back at once where a block was large.

    Left to itself it soon keeps parts of 16 MiB in the heaps of several threads: 60 MiB more (measured with 2.36).
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def _await(threads: Sequence[Thread], seconds: float | None = None) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    for thread in threads:
        if not thread.is_alive():  # ended; or never started, where the interruption came before
            continue
        thread.join(None if end is None else max(0.0, end - time.monotonic()))


def _cut(lines: Sequence[Line], error: BaseException) -> None:
    for line in lines:
        line.cut(error)
