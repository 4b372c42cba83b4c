"""The `doctor` task: a table for people, JSON for programs, and an exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

from cotai_tasks import host
from cotai_tasks.doctor import doctor
from cotai_tasks.host import Check
from cotai_tasks.task import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKS = [Check("Python", "pass", "3.13.1"), Check("disk", "warn", "[low]", "Tidy up.")]
BAD = [*CHECKS, Check("port 80", "fail", "taken", "Stop that.")]


def run(monkeypatch: pytest.MonkeyPatch, checks: Sequence[Check], *, as_json: bool = False) -> None:
    monkeypatch.setattr(host, "diagnose", lambda *_: list(checks))
    doctor(Context(Config(overrides={"cotai": DEFAULTS})), json=as_json)


def test_a_healthy_machine_is_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every check with its verdict and its cure; warnings leave the exit code 0."""
    run(monkeypatch, CHECKS)
    printed = capsys.readouterr()
    assert [line.split() for line in printed.out.splitlines()] == [
        ["check", "finding", "cure"],
        ["PASS", "Python", "3.13.1"],
        ["WARN", "disk", "[low]", "Tidy", "up."],
    ]
    assert printed.err == ""


def test_an_error_is_exit_code_8(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is printed all the same, and a sentence counts what failed."""
    with pytest.raises(Exit) as caught:
        run(monkeypatch, BAD)
    assert caught.value.code == 8
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].split() == ["FAIL", "port", "80", "taken", "Stop", "that."]
    assert printed.err == "✗ this machine is not ready: 1 of 3 checks fail.\n"


def test_a_program_gets_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same checks, and the same exit code."""
    with pytest.raises(Exit):
        run(monkeypatch, BAD, as_json=True)
    assert json.loads(capsys.readouterr().out)[2] == {
        "name": "port 80",
        "level": "fail",
        "says": "taken",
        "cure": "Stop that.",
    }
