"""Reading the logs of several services at once, and keeping only the lines that matter."""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

LEVELS = ("debug", "info", "warning", "error", "critical")
_NAMES = {"warn": "warning", "err": "error", "fatal": "critical", "panic": "critical", "log": "info", "notice": "info"}
_WORD = r"(debug|info|notice|log|warn(?:ing)?|err(?:or)?|critical|fatal|panic)\b"
_KEY = re.compile(rf"""(?:^|[\s{{(,.'"])(?:level|severity|levelname)["']?\s*[:=]\s*["']?{_WORD}""", re.IGNORECASE)
"""A field that says so: JSON and logfmt."""
_PLACE = re.compile(
    rf"""(?:
        \[                                                                               # [error]
      | ^\s*                                                                             # at the line's start
      | \d\d:\d\d:\d\d (?:[.,]\d+)? (?:Z|\s?[+-]\d\d:?\d\d|\s[A-Z]{{3,4}})? \]? [\s|-]+  # after a timestamp
      | \b (?={_WORD}:)                                                                  # FATAL:
      | (?<![\w/]) (?=(?-i:[A-Z]+\b))                                                    # in capitals
    ){_WORD}""",
    re.IGNORECASE | re.VERBOSE,
)
"""A word that stands where servers put their level; elsewhere it is only a word of the message."""
_REDIS = re.compile(r"\s*\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ ([.*#-]) ")
_MARKS = {".": "debug", "-": "info", "*": "info", "#": "warning"}
"""Redis has a sign for each level, after process, role and time."""


def show_logs(  # noqa: PLR0913 - one keyword for each flag of the command
    *,
    names: str,
    follow: bool,
    since: str,
    tail: str,
    grep: str,
    level: str,
    settings: Settings,
    engine: Engine,
    console: Console,
) -> int:
    """Print the log lines of services that pass the filters; give their number."""
    pattern = _compile(grep)
    if level and level.lower() not in LEVELS:
        raise UsageError(f"no such level: {level!r}", cure=nearest(level.lower(), LEVELS))
    if not (tail == "all" or tail.isdecimal()):
        raise UsageError(f"--tail {tail}: not a number of lines")
    stack = open_stack(settings, engine)
    lines = engine.logs(stack.project, stack.named(names) if names else [], follow=follow, since=since, tail=tail)
    count = 0
    with suppress(KeyboardInterrupt) if follow else nullcontext():  # how following ends
        for line in keep(lines, pattern, level.lower()):
            console.out(line)
            count += 1
    return count


def keep(lines: Iterable[str], pattern: re.Pattern[str] | None, level: str) -> Iterator[str]:
    """Keep the lines that match, of at least that level; a line without a level belongs to the one before it."""
    kept_level = dict[str, int]()
    threshold = LEVELS.index(level) if level else 0
    for line in lines:
        source, _, text = line.partition("|")
        found = level_of(text)
        if found is not None:
            kept_level[source] = found
        if level and kept_level.get(source, LEVELS.index("info")) < threshold:
            continue
        if pattern is None or pattern.search(text):
            yield line


def level_of(text: str) -> int | None:
    """Find the level in a log line, JSON or not, as an index into `LEVELS`; `None` when it tells none."""
    if redis := _REDIS.match(text):
        return LEVELS.index(_MARKS[redis[1]])
    found = _KEY.search(text) or _PLACE.search(text[:400])
    if not found:
        return None
    name = found[found.re.groups].lower()
    return LEVELS.index(_NAMES.get(name, name))


def _compile(grep: str) -> re.Pattern[str] | None:
    try:
        return re.compile(grep, re.IGNORECASE) if grep else None
    except re.error as error:
        raise UsageError(f"--grep {grep}: not a regular expression ({error})") from error
