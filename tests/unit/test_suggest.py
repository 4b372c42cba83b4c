"""The nearest name for what Invoke's parser does not know."""

from __future__ import annotations

import pytest
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from cotai_tasks.suggest import explain, suggest_names
from cotai_tasks.task import task


@task()
def status(c: object) -> None:
    """Do nothing."""


COLLECTION = Collection(deploy=Collection(status))
FLAGS = ParserContext("deploy.status", args=[Argument(name="watch", kind=bool)])


@pytest.mark.parametrize(
    ("said", "context", "answer"),
    [
        ("No idea what 'deploy.statsu' is!", None, "no such task: 'deploy.statsu'. Did you mean deploy.status?"),
        ("No idea what 'xyz' is!", None, "no such task: 'xyz'. inv --list shows them all."),
        ("No idea what '--wacth' is!", FLAGS, "no such flag: '--wacth'. Did you mean --watch?"),
        (
            "No idea what '--wacth=a-long-value' is!",
            FLAGS,
            "no such flag: '--wacth=a-long-value'. Did you mean --watch?",
        ),
        ("No idea what '--xyz' is!", None, "no such flag: '--xyz'. inv --help TASK shows them all."),
        ("Flag '--env' needed value and was not given one!", FLAGS, None),
    ],
)
def test_a_mistyped_word_is_answered(said: str, context: ParserContext | None, answer: str | None) -> None:
    """Tasks and flags get the nearest name; what the parser says of other faults stays."""
    assert explain(ParseError(said, context), COLLECTION) == (answer or said)


def test_inv_itself_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The running program ends with the usage code and our sentence."""
    monkeypatch.setattr(Program, "parse_tasks", Program.parse_tasks)
    suggest_names(COLLECTION)
    program = Program(namespace=COLLECTION)
    program.create_config()
    program.parse_core(["inv", "deploy.statsu"])
    program.parse_collection()
    with pytest.raises(Exit) as caught:
        program.parse_tasks()
    assert (caught.value.code, caught.value.message) == (
        2,
        "no such task: 'deploy.statsu'. Did you mean deploy.status?",
    )
