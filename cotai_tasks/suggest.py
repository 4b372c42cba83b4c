"""The nearest name for a mistyped task or flag, which Invoke's own parser does not offer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

if TYPE_CHECKING:
    from invoke.collection import Collection


def suggest_names(collection: Collection) -> None:
    """Make the running `inv` answer a mistyped name with the nearest one, and exit with the usage code.

    Invoke has read this module's caller by the time it parses the command line, and it has no hook for this.
    """
    parse = Program.parse_tasks

    def parse_tasks(self: Program) -> None:
        try:
            parse(self)
        except ParseError as error:
            raise Exit(explain(error, collection), code=2) from error

    Program.parse_tasks = parse_tasks  # type: ignore[method-assign]


def explain(error: ParseError, collection: Collection) -> str:
    """Add the nearest known name to what Invoke's parser says."""
    from cotai_tasks.errors import nearest

    said = str(error)
    found = re.search(r"No idea what '(.+?)' is", said)
    if not found:
        return said
    word = found[1]
    if not word.startswith("-"):
        cure = nearest(word, collection.task_names)
        return f"no such task: {word!r}. {cure if cure.startswith('Did') else 'inv --list shows them all.'}"
    flags = list(error.context.flags) if error.context else []
    cure = nearest(word.split("=")[0], flags)
    return f"no such flag: {word!r}. {cure if cure.startswith('Did') else 'inv --help TASK shows them all.'}"
