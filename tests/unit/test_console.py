"""What is printed, and where."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console as RichConsole

from cotai_tasks.console import Console, duration, size
from cotai_tasks.errors import EngineError, Finding, RefusedError


def consoles(*, terminal: bool = False) -> tuple[Console, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    made = [
        RichConsole(file=file, width=80, force_terminal=terminal, color_system=None, emoji=False) for file in (out, err)
    ]
    return Console(*made), out, err


def type_in(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a person at the terminal answer."""
    keyboard = io.StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)


def test_the_result_and_the_story_are_kept_apart() -> None:
    """A pipe gets what was asked for and nothing else."""
    console, out, err = consoles()
    console.say("looking")
    with console.step("thinking"):
        console.warn("careful")
    console.json({"a": 1})
    console.table(("name", "value"), [("x", "1")])
    console.done("found")
    story = err.getvalue().splitlines()
    assert story[:3] == ["looking", "  thinking …", "! careful"]
    assert story[3].startswith("✓ thinking (0.")
    assert story[4:] == ["✓ found"]
    assert out.getvalue() == '{\n  "a": 1\n}\nname  value\nx     1    \n'


@pytest.mark.parametrize("text", ["[red]not markup[/]", "redis:lock:1", "a\tb", "[/x]", "long " * 40 + "end"])
def test_foreign_text_is_printed_as_it_is(text: str) -> None:
    """Square brackets, colons and long lines of logs and database rows are neither markup nor emoji."""
    console, out, err = consoles()
    console.out(text)
    console.line(text)
    assert out.getvalue() == f"{text}\n"
    assert err.getvalue().expandtabs() == f"{text}\n".expandtabs()


def test_the_process_console_draws_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    """A key like `redis:lock:1` reaches the user unchanged."""
    Console().line("redis:lock:1")
    assert capsys.readouterr().err == "redis:lock:1\n"


def test_an_error_ends_with_its_sentence() -> None:
    """The last words of what failed, every finding, and last what went wrong and what to do."""
    console, out, err = consoles()
    console.error(
        EngineError("it broke", cure="Mend it.", findings=[Finding("a:1", "bad [x]", "Fix.")], evidence="one\ntwo")
    )
    assert err.getvalue() == "  │ one\n  │ two\n  • a:1: bad [x]. Fix.\n✗ it broke. Mend it.\n"
    assert out.getvalue() == ""


def test_json_holds_what_json_does_not_know() -> None:
    """A path or a date becomes text."""
    console, out, _ = consoles()
    console.json({"error": ValueError("x")})
    assert json.loads(out.getvalue()) == {"error": "x"}


def test_nobody_there_is_a_refusal() -> None:
    """Without a terminal nothing is destroyed, unless --yes says so."""
    console, _, _ = consoles()
    console.confirm("Remove all?", yes=True)
    with pytest.raises(RefusedError, match=r"Remove all\? Nobody is here to answer"):
        console.confirm("Remove all?", yes=False)


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_only_a_yes_is_a_yes(*, answer: str, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter, Ctrl-D and anything else leave all as it is; the question shows what can be answered."""
    console, _, err = consoles(terminal=True)
    type_in(answer, monkeypatch)
    if agreed:
        console.confirm("Remove all?", yes=False)
    else:
        with pytest.raises(RefusedError, match="not confirmed: nothing was changed"):
            console.confirm("Remove all?", yes=False)
    assert "? Remove all? [y/N] " in err.getvalue()


@pytest.mark.parametrize(
    ("answer", "agreed"), [("cotai-prod\n", True), (" cotai-prod \n", True), ("y\n", False), ("cotai-dev\n", False)]
)
def test_live_data_is_replaced_by_its_name_alone(*, answer: str, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever only says yes may mean another stack."""
    console, _, err = consoles(terminal=True)
    type_in(answer, monkeypatch)
    if agreed:
        console.confirm_name("Replace it?", "cotai-prod", yes=False)
    else:
        with pytest.raises(RefusedError, match="not confirmed: nothing was changed"):
            console.confirm_name("Replace it?", "cotai-prod", yes=False)
    assert "? Replace it? Type cotai-prod to go on: " in err.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (273600, "3 d 4 h"),
        (60, "1 min"),
        (86400, "1 d"),
    ],
)
def test_a_length_of_time_is_told_in_two_units(seconds: float, text: str) -> None:
    """As a person says it."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (81_000_000, "81 MB"), (5_400, "5 kB"), (1.25e9, "1.25 GB")]
)
def test_bytes_are_told_as_docker_does(count: float, text: str) -> None:
    """In powers of 1000."""
    assert size(count) == text
