"""The one place that prints.

What happens goes to standard error; what was asked for (tables, JSON) goes to standard output, so that
`inv deploy.status --json | jq` works while a person still sees the steps.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cotai_tasks.errors import CotaiError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType

_PLAIN_WIDTH = 160
"""Columns where no terminal tells its own: wide enough that no table is folded in a log."""


_SIGN_OF_LIFE = 30.0
"""Seconds after which long work says how far it is where nobody watches a bar."""


class Console:
    """Steps, notices, tables and questions for a person; JSON for a program."""

    def __init__(self, out: RichConsole | None = None, err: RichConsole | None = None) -> None:
        self._out = out or _terminal(stderr=False)
        self._err = err or _terminal(stderr=True)

    def _tell(self, text: str, **style: Any) -> None:  # noqa: ANN401 - as rich takes them
        """Print a line of the story. A terminal that has gone must not end what goes on."""
        with suppress(OSError):
            self._err.print(text, **style)

    @property
    def interactive(self) -> bool:
        """Whether a person sits before the steps, who can watch a moving display and answer a question."""
        return self._err.is_terminal and sys.stdin.isatty()

    def say(self, text: str) -> None:
        """Tell what is going on, in one line."""
        self._tell(escape(text), highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Tell what a person should not overlook."""
        self._tell(f"[yellow]![/] {escape(text)}", highlight=False, soft_wrap=True)

    def done(self, text: str) -> None:
        """Tell what came of it."""
        self._tell(f"[green]✓[/] {escape(text)}", highlight=False, soft_wrap=True)

    def line(self, text: str, style: str = "") -> None:
        """Print one line of somebody else's output (a log, a build step) as it is."""
        self._tell(escape(text), style=style or None, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Name a step while it runs, and say how long it took."""
        begun = time.monotonic()
        if self.interactive:
            with self._err.status(escape(text)):
                yield
        else:
            self.say(f"  {text} …")
            yield
        self.done(f"{text} ({duration(time.monotonic() - begun)})")

    @contextmanager
    def live(self) -> Iterator[Live]:
        """Give a display that is redrawn in place; without a terminal it stays silent."""
        with Live(console=self._err, refresh_per_second=4, transient=True) as display:
            yield display

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Progress]:
        """Give a bar for long work of `total` parts: `bar.advance(bar.task_ids[0])`."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True, disable=not self.interactive) as bar:
            bar.add_task(escape(text), total=total)
            yield bar

    @contextmanager
    def transfer(self, text: str, total: int = 0) -> Iterator[Callable[[int, int], None]]:
        """Show bytes that stream through: `told(plain, stored)` with the bytes so far on both sides of compression.

        `total` are the plain bytes that are expected, where that is known: then there is a bar, and the time left.
        """
        begun = last = time.monotonic()
        plain = stored = 0
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}"),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
        ]
        if total:
            columns[1:1] = [BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
        with Progress(*columns, console=self._err, transient=True, disable=not self.interactive) as bar:
            task = bar.add_task(escape(text), total=total or None, told="")

            def told(plain_now: int, stored_now: int) -> None:
                nonlocal plain, stored, last
                plain, stored = plain_now, stored_now
                now = time.monotonic()
                line = _transferred(plain, stored, now - begun)
                bar.update(task, completed=plain, told=line)
                if not self.interactive and now - last > _SIGN_OF_LIFE:
                    last = now
                    self.say(f"  {text}: {line}")

            yield told
        self.done(f"{text}: {_transferred(plain, stored, time.monotonic() - begun)}")

    def out(self, text: str) -> None:
        """Print one line of the result itself on standard output."""
        print(text, file=self._out.file)

    def render(self, what: RenderableType) -> None:
        """Print a table or another drawn result on standard output."""
        self._out.print(what)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
        """Print a list as a table on standard output."""
        self._out.print(make_table(columns, rows, title))

    def json(self, value: object) -> None:
        """Print a machine's answer on standard output."""
        print(json.dumps(value, indent=2, default=str), file=self._out.file)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed; raise `RefusedError` unless the answer is yes."""
        if yes:
            return
        if self._answer(question, "[y/N] ").lower() not in {"y", "yes"}:
            raise RefusedError("not confirmed: nothing was changed")

    def confirm_name(self, question: str, name: str, *, yes: bool) -> None:
        """Ask for a name to be typed before live data is replaced; raise `RefusedError` unless it is that name."""
        if yes:
            return
        if self._answer(question, f"Type {name} to go on: ") != name:
            raise RefusedError("not confirmed: nothing was changed")

    @contextmanager
    def uninterrupted(self, what: str) -> Iterator[None]:
        """Let no interruption end the block: in the middle of it there is neither old nor new."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def wait(number: int, _: object) -> None:  # noqa: ARG001 - as handlers are called
            self.warn(f"too late to interrupt: {what}, which ends in a moment")

        endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [(one, signal.signal(one, wait)) for one in endings]
        try:
            yield
        finally:
            for one, handler in before:
                signal.signal(one, handler)

    def _answer(self, question: str, how: str) -> str:
        """Ask a person; raise `RefusedError` where nobody is there."""
        if not self.interactive:
            raise RefusedError(f"{question} Nobody is here to answer", cure="Repeat the command with --yes.")
        try:
            return self._err.input(f"[yellow]?[/] {escape(f'{question} {how}')}").strip()
        except EOFError:
            return ""

    def password(self, question: str) -> str:
        """Ask for a password that is not shown; raise `RefusedError` where nobody is there."""
        if not self.interactive:
            raise RefusedError(f"{question}? Nobody is here to answer", cure="Repeat the command at a terminal.")
        return self._err.input(f"[yellow]?[/] {escape(question)}: ", password=True)

    def error(self, error: CotaiError) -> None:
        """Show an error: the last words of what failed, every finding, and the sentence last."""
        if error.evidence:
            for text in error.evidence.splitlines():
                self.line(f"  │ {text}", style="dim")
        for finding in error.findings:
            self._tell(f"  [red]•[/] {escape(str(finding))}", highlight=False, soft_wrap=True)
        cure = f" {error.cure}" if error.cure else ""
        self._tell(f"[red]✗[/] {escape(f'{error}.{cure}')}", highlight=False, soft_wrap=True)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """Draw a list as a table; cells may carry rich markup."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _transferred(plain: int, stored: int, seconds: float) -> str:
    """Say how much went through: both sizes, their ratio, the rate, the time."""
    ratio = f" as {size(stored)} ({plain / stored:.1f} to 1)" if stored else ""
    return f"{size(plain)}{ratio}, {size(plain / seconds if seconds else 0)}/s, {duration(seconds)}"


def duration(seconds: float) -> str:
    """Give a length of time as a person says it: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 10:  # noqa: PLR2004 - below ten seconds the tenth is of interest
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(index for index, (value, _) in enumerate(units) if value)
    return " ".join(f"{value} {unit}" for value, unit in units[first : first + 2] if value)


def size(count: float) -> str:
    """Give a number of bytes as a person says it: `81 MB` (powers of 1000, as Docker counts)."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:  # noqa: PLR2004 - the base of the units
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def count(number: int, thing: str) -> str:
    """Say how many there are of a thing: `1 table`, `1,204 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _terminal(*, stderr: bool) -> RichConsole:
    """Make a console that prints `redis:lock:1` as it is, where rich would draw an emoji."""
    console = RichConsole(stderr=stderr, emoji=False)
    return console if console.is_terminal else RichConsole(stderr=stderr, emoji=False, width=_PLAIN_WIDTH)
