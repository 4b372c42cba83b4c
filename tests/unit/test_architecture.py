"""Who may import whom, held by reading every import of the package."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cotai_tasks"

FLOORS = (
    {"errors", "facts"},
    {"files", "envfile", "variables", "console", "process", "suggest", "tuning", "age"},
    {"settings", "engine", "sizing"},
    {"places"},
    {"stack", "timers", "notify"},
    {"volumes", "lock"},
    {"host", "task", "testing"},
    {"build", "db", "backup", "security", "monitor"},
    {"deploy", "validate"},
    {"doctor"},
    {"namespace"},
)
"""From the ground: a floor imports those below it. Rooms of one floor know nothing of one another."""

CAPABILITIES = FLOORS[7] | FLOORS[8]
TASKS = ("tasks", "doctor")
"""Modules that Invoke reads to list the tasks."""


@dataclass(frozen=True)
class Import:
    """One import: from which module, of which, and whether it runs when the module is imported."""

    importer: str
    imported: str
    at_top: bool

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


def imports_of(source: str, importer: str, modules: frozenset[str]) -> list[Import]:
    """Read every import of one module, those in functions and for type checking too."""
    tree = ast.parse(source)
    at_top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                assert node.level == 0, f"{importer}: relative import"
                assert node.module
                names = [
                    whole if (whole := f"{node.module}.{alias.name}") in modules else node.module
                    for alias in node.names
                ]
            case _:
                continue
        found += [Import(importer, name, id(node) in at_top) for name in names]
    return found


def package_imports() -> list[Import]:
    files = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
        if "data" not in path.relative_to(PACKAGE).parts
    }
    modules = frozenset(files)
    return [one for name, path in files.items() for one in imports_of(path.read_text(), name, modules)]


IMPORTS = package_imports()
OURS = [one for one in IMPORTS if one.imported.split(".")[0] == "cotai_tasks"]


def room(module: str) -> str:
    """Give the first part of a module's name below the package; the package itself is `namespace`'s front door."""
    return [*module.split("."), "namespace"][1]


def floor(module: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


def test_every_module_has_a_floor() -> None:
    """A new room is put somewhere on purpose."""
    rooms = {room(one.importer) for one in IMPORTS} | {room(one.imported) for one in OURS}
    assert rooms <= set().union(*FLOORS)


def test_nobody_imports_upwards() -> None:
    """A room knows those below it, and its own; the version stands at the package's door for all."""
    wrong = [
        str(one)
        for one in OURS
        if room(one.importer) != room(one.imported)
        and floor(one.imported) >= floor(one.importer)
        and one.imported != "cotai_tasks"
    ]
    assert wrong == []


def test_capabilities_use_only_one_anothers_public_names() -> None:
    """`deploy` imports `cotai_tasks.build`, never a module inside it."""
    wrong = [
        str(one)
        for one in OURS
        if room(one.importer) in CAPABILITIES
        and room(one.imported) in CAPABILITIES
        and room(one.importer) != room(one.imported)
        and one.imported.count(".") > 1
    ]
    assert wrong == []


def test_procedures_know_nothing_of_invoke() -> None:
    """Below the tasks nobody imports Invoke, a task, or the decorator."""
    foreign = ("invoke", "cotai_tasks.task")
    allowed = {"task", "suggest", "namespace", "doctor"}
    wrong = [
        str(one)
        for one in IMPORTS
        if room(one.importer) not in allowed
        and not one.importer.endswith(".tasks")
        and (one.imported.split(".")[0] == "invoke" or one.imported in foreign or one.imported.endswith(".tasks"))
    ]
    assert wrong == []


def test_listing_tasks_imports_nothing_heavy() -> None:
    """`inv --list` is instant: a tasks module imports the standard library, Invoke and the decorator at its top."""
    light = sys.stdlib_module_names | {"invoke"}
    wrong = [
        str(one)
        for one in IMPORTS
        if one.importer.split(".")[-1] in TASKS
        and one.at_top
        and one.imported.split(".")[0] not in light
        and one.imported != "cotai_tasks.task"
    ]
    assert wrong == []


def test_one_border_for_docker() -> None:
    """Only `engine` knows python-on-whales; a registry is asked by `stack` alone, a webhook by `backup.notify`."""
    borders = {
        "python_on_whales": {"cotai_tasks.engine"},
        "requests": {"cotai_tasks.stack", "cotai_tasks.notify"},
    }
    for library, border in borders.items():
        assert {one.importer for one in IMPORTS if one.imported.split(".")[0] == library} <= border


def test_there_is_no_circle() -> None:
    """No module imports itself by way of others, wherever the imports stand."""
    graph: dict[str, set[str]] = {}
    for one in OURS:
        if room(one.importer) != "namespace":
            graph.setdefault(one.importer, set()).add(one.imported)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for imported in sorted(graph.get(module, ())):
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import json", [Import("m", "json", at_top=True)]),
        ("from cotai_tasks.build import sizes", [Import("m", "cotai_tasks.build.sizes", at_top=True)]),
        ("from cotai_tasks.build import ensure", [Import("m", "cotai_tasks.build", at_top=True)]),
        ("def f():\n    from cotai_tasks import build", [Import("m", "cotai_tasks.build", at_top=False)]),
        ("if TYPE_CHECKING:\n    import rich.table", [Import("m", "rich.table", at_top=False)]),
    ],
)
def test_imports_are_read_wherever_they_stand(source: str, found: list[Import]) -> None:
    """The reader of the imports itself: modules told from names, functions from the top."""
    modules = frozenset({"cotai_tasks", "cotai_tasks.build", "cotai_tasks.build.sizes"})
    assert imports_of(source, "m", modules) == found
