"""What threads pass to one another: bytes in their order, a bounded number of them, and the reason why it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.line import PIECE, Line, at_work

if TYPE_CHECKING:
    from collections.abc import Callable


class BrokenError(Exception):
    """What a stage fails by."""


def test_bytes_come_out_as_they_went_in() -> None:
    """Whatever the sizes on both sides; never more than was asked for, and nothing at the end, however often."""
    line = Line()
    pieces = [bytes([number]) * number * 1000 for number in range(100)]

    def fill() -> None:
        for piece in pieces:
            assert line.write(piece) == len(piece)
        line.close()

    taken = []
    with at_work([line], fill):
        while piece := line.read(4096):
            taken.append(piece)
    assert b"".join(taken) == b"".join(pieces)
    assert max(map(len, taken)) == 4096
    assert (line.read(), line.read(), line.passed) == (b"", b"", sum(map(len, pieces)))


def test_what_waits_is_bounded() -> None:
    """Whoever writes waits for whoever reads."""
    line, full = Line(), threading.Event()

    def fill() -> None:
        for number in range(100):
            line.write(bytes(PIECE))
            if number == 3:
                full.set()

    def wait() -> None:
        with at_work([line], fill):
            full.wait()
            raise BrokenError

    with pytest.raises(BrokenError):
        wait()
    assert line.passed <= 5 * PIECE


def stuck_writer(line: Line) -> None:
    while True:
        line.write(bytes(PIECE))


@pytest.mark.parametrize("stage", [stuck_writer, Line.read])
def test_a_block_that_fails_ends_its_stages(stage: Callable[[Line], object]) -> None:
    """Whether they wait for room or for bytes."""
    line, before = Line(), threading.active_count()
    with pytest.raises(BrokenError, match="the block"), at_work([line], lambda: (stage(line), None)[1]):
        raise BrokenError("the block")
    assert threading.active_count() == before


@pytest.mark.parametrize("wait", [stuck_writer, Line.read])
def test_a_stage_that_fails_ends_the_block(wait: Callable[[Line], object]) -> None:
    """And the other stages: its error is raised, whoever noticed."""
    first, second, before = Line(), Line(), threading.active_count()

    def fail() -> None:
        raise BrokenError("the stage")

    with pytest.raises(BrokenError, match="the stage"), at_work([first, second], fail, lambda: stuck_writer(second)):
        wait(first)
    assert threading.active_count() == before


def test_a_stage_that_waits_for_something_else_is_freed() -> None:
    """It does not look at its lines: whoever knows what it waits for is told to end that."""
    freed, before = threading.Event(), threading.active_count()
    with pytest.raises(BrokenError), at_work([Line()], lambda: (freed.wait(), None)[1], free=freed.set):
        raise BrokenError
    assert freed.is_set()
    assert threading.active_count() == before


def test_a_stage_that_fails_after_the_block_is_noticed() -> None:
    """The block waits for its stages, and for what became of them."""
    left = threading.Event()

    def fail() -> None:
        left.wait()
        raise BrokenError

    with pytest.raises(BrokenError), at_work([Line()], fail):
        left.set()


def test_the_first_error_counts() -> None:
    """What others fail by because of it is of no interest."""
    line = Line()
    line.cut(BrokenError("first"))
    line.cut(BrokenError("second"))
    with pytest.raises(BrokenError, match="first"):
        line.read()
    with pytest.raises(BrokenError, match="first"):
        line.write(bytes(PIECE))
