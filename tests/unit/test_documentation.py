"""Nothing that a user can type is left unexplained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks import errors, ns
from cotai_tasks.errors import CotaiError
from cotai_tasks.task import INTERRUPTED

if TYPE_CHECKING:
    from invoke.parser.context import ParserContext

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(ns.task_names))
def test_every_task_is_described(name: str) -> None:
    """A page of docs/ names it in full, as it is typed."""
    pages = "\n".join(page.read_text() for page in DOCS.glob("*.md"))
    assert re.search(rf"\binv {re.escape(name)}\b", pages)


@pytest.mark.parametrize("context", ns.to_contexts(), ids=lambda context: str(context.name))
def test_every_flag_has_help(context: ParserContext) -> None:
    """`inv --help TASK` says what each flag is for, by its long name; the task itself says in one line what it does."""
    assert [one.name for one in context.args.values() if len(one.names) > 1] == []
    assert [one.name for one in context.args.values() if not one.help] == []
    summary = ns[str(context.name)].__doc__
    assert summary
    assert len(summary.strip().splitlines()) == 1


def test_every_exit_code_is_in_the_table() -> None:
    """Scripts may rely on docs/errors.md: each code once, in order, and none that nothing ends with."""
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)]
    ours = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CotaiError)}
    assert listed == sorted(ours | {0, INTERRUPTED})
