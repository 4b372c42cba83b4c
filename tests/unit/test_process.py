"""Commands under way with bytes streaming through them: nothing hangs, nothing is left running, the cause is told."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from cotai_tasks.engine import leashed
from cotai_tasks.errors import EngineError
from cotai_tasks.process import LAST_WORDS, Piped


def piped(script: str, *, patience: float = 30.0) -> Piped:
    return Piped(["sh", "-c", script], os.environ, "dump", patience)


def running(mark: str) -> bool:
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False).returncode == 0


def test_bytes_come_out_as_they_are() -> None:
    """Every byte, whatever its value, and then the end."""
    with piped("head -c 3000000 /dev/zero; printf '\\377\\0\\n'") as command:
        told = b"".join(iter(command.read, b""))
        command.finish()
    assert told == bytes(3_000_000) + b"\xff\x00\n"


def test_bytes_go_in_and_an_answer_comes_out() -> None:
    """What is written arrives whole, more than a pipe holds, and `finish` gives what the command says to it."""
    with piped("wc -c") as command:
        for _ in range(5):
            command.write(bytes(2**20))
        assert int(command.finish()) == 5 * 2**20


def test_a_failure_after_many_bytes_is_a_failure() -> None:
    """The exit code counts, not the bytes that came before; the last words are the cause."""
    with piped("head -c 3000000 /dev/zero; echo 'connection lost' >&2; exit 3") as command:
        while command.read():
            pass
        with pytest.raises(EngineError, match="dump failed: connection lost"):
            command.finish()


def test_a_full_standard_error_blocks_nothing() -> None:
    """Megabytes of complaints are read along; the end of them is kept."""
    with piped("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo end >&2; exit 1") as command:
        while command.read():
            pass
        with pytest.raises(EngineError, match="end"):
            command.finish()
    assert len(command.last_words) <= LAST_WORDS


def test_silence_has_an_end() -> None:
    """A command that hangs is given up, and ended."""
    with (
        pytest.raises(EngineError, match="dump has given nothing for 0 s"),
        piped("exec sleep 41.7", patience=0.2) as c,
    ):
        c.read()
    assert not running("sleep 41.7")


def test_a_command_that_takes_nothing_is_given_up() -> None:
    """A reader that hangs does not make the writer hang."""
    with (
        piped("exec sleep 41.8", patience=0.2) as command,
        pytest.raises(EngineError, match="has taken nothing"),
    ):
        command.write(bytes(4 * 2**20))
    assert not running("sleep 41.8")


def test_a_command_that_leaves_early_says_why() -> None:
    """Its own last words, not a broken pipe."""
    with piped("head -c 10 >/dev/null; echo 'disk full' >&2; exit 4") as command, pytest.raises(EngineError) as caught:
        command.write(bytes(8 * 2**20))
    assert "disk full" in str(caught.value)


def test_whoever_leaves_ends_the_command() -> None:
    """Leaving the block ends what is still running, also in the middle of its output."""
    with piped("exec yes 41.9") as command:
        command.read(10)
    assert not running("yes 41.9")


def test_a_leash_ends_the_command_with_its_owner() -> None:
    """In a container nobody would end it: it ends when its standard input does."""
    child = subprocess.Popen(leashed(["sleep", "42.1"]), stdin=subprocess.PIPE)
    assert child.stdin
    while not running("^sleep 42.1"):
        time.sleep(0.01)
    child.stdin.close()
    assert child.wait(30) != 0
    assert not running("^sleep 42.1")


@pytest.mark.parametrize("code", [0, 7])
def test_a_leash_keeps_output_and_exit_code(code: int) -> None:
    """The command is otherwise as it was."""
    with Piped(leashed(["sh", "-c", f"echo told; exit {code}"]), os.environ, "dump") as command:
        assert b"".join(iter(command.read, b"")) == b"told\n"
        if code:
            with pytest.raises(EngineError, match="exit code 7"):
                command.finish()
        else:
            command.finish()
