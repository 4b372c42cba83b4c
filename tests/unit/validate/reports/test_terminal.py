"""The document at a terminal."""

from __future__ import annotations

from pathlib import Path

from cotai_tasks.testing import RecordingConsole
from cotai_tasks.validate.reports.terminal import show
from tests.unit.validate.reports.samples import made


def test_a_run_at_a_terminal() -> None:
    """The worst first, what passed folded by its group, then why and what to do, skips, counts; no colour obeyed."""
    console = RecordingConsole()
    show(made(), console)
    told = "".join(f"{line.rstrip()}\n" for line in console.text().splitlines())
    assert told == (Path(__file__).parent / "golden/terminal.txt").read_text()
