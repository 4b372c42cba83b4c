"""The workflows: pinned, with few rights, bounded in time, and every command in them exists."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cotai_tasks import ns

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
GITHUB = REPOSITORY / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FILES = [*WORKFLOWS, *sorted(GITHUB.glob("actions/*/action.yml"))]
NAMES = [str(one.relative_to(GITHUB)) for one in FILES]
_PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_SESSION = re.compile(r'\bnox -s (?:"([^"]+)"|(\S+))')
_TASK = re.compile(r"\binv ([a-z.-]+)(.*)")
_FLAG = re.compile(r"(?<![\w-])--[a-z-]+")


@cache
def sessions() -> frozenset[str]:
    """Ask nox which sessions there are."""
    listed = subprocess.run([sys.executable, "-m", "nox", "--list"], cwd=REPOSITORY, capture_output=True, check=True)
    return frozenset(re.findall(r"^[*-] (.+?) -> ", listed.stdout.decode(), re.MULTILINE))


@cache
def flags() -> dict[str, frozenset[str]]:
    """Name the flags of each task."""
    return {str(one.name): frozenset(one.flags) for one in ns.to_contexts()}


def cells(job: dict[str, Any]) -> list[dict[str, str]]:
    """Give the values of the matrix for each job that it makes."""
    matrix: dict[str, list[str]] = dict(job.get("strategy", {}).get("matrix", {}))
    more: list[Any] = matrix.pop("include", [])
    return [dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())] + more


def commands(job: dict[str, Any]) -> Iterator[str]:
    """Give the scripts of a job as they run in each cell of its matrix, with their variables filled in."""
    for step, cell in itertools.product(job["steps"], cells(job)):
        script = str(step.get("run", ""))
        for name, value in {**job.get("env", {}), **step.get("env", {})}.items():
            script = script.replace(f'${{{name}:+"${name}"}}', str(value)).replace(f"${name}", str(value))
        for key, value in cell.items():
            script = script.replace(f"${{{{ matrix.{key} }}}}", value)
        yield script


def faults(text: str) -> list[str]:
    """Say what is wrong with a workflow, or with an action that is one of its steps."""
    found = [f"not pinned: {one}" for one in re.findall(r"\buses: (.+)", text) if not _well_named(one)]
    document = yaml.safe_load(text)
    if "jobs" in document:
        jobs = document["jobs"]
        found += ["rights for every job"] if document.get("permissions") != {} else []
        found += ["no concurrency"] if "group" not in document.get("concurrency", {}) else []
        found += [f"{name}: no permissions" for name, job in jobs.items() if "permissions" not in job]
        found += [f"{name}: no timeout-minutes" for name, job in jobs.items() if "timeout-minutes" not in job]
    else:
        jobs = {"runs": document["runs"]}
    for step in itertools.chain.from_iterable(job["steps"] for job in jobs.values()):
        if step.get("uses", "").startswith("actions/checkout@"):
            found += ["a token stays"] if step.get("with", {}).get("persist-credentials") is not False else []
    for script in itertools.chain.from_iterable(commands(job) for job in jobs.values()):
        found += [f"no session {one}" for one in map("".join, _SESSION.findall(script)) if one not in sessions()]
        for task, rest in _TASK.findall(script):
            known = flags().get(task, frozenset())
            found += [] if known else [f"no task {task}"]
            found += [f"inv {task}: no flag {one}" for one in _FLAG.findall(rest) if known and one not in known]
    return sorted(set(found))


def _well_named(uses: str) -> bool:
    """Tell whether it is an action of this repository that exists, or another's at a commit whose version is named."""
    if uses.startswith("$/"):
        return (REPOSITORY / uses.removeprefix("$/") / "action.yml").is_file()
    return bool(_PINNED.fullmatch(uses))


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_nothing_is_wrong(file: Path) -> None:
    """Actions are pinned, rights are given to jobs alone, no job runs for ever, sessions, tasks and flags exist."""
    assert faults(file.read_text()) == []


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_what_it_wants_is_explained(file: Path) -> None:
    """The page names every variable and secret that has to be made."""
    page = (REPOSITORY / "docs/workflows.md").read_text()
    wanted = set(re.findall(r"\b(?:vars|secrets)\.(\w+)", file.read_text()))
    assert {name for name in wanted if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_each_has_its_place_on_the_page(file: Path) -> None:
    """The page has a section for each workflow."""
    assert f"\n## {file.stem} " in (REPOSITORY / "docs/workflows.md").read_text()


SOUND = """
permissions: {}
concurrency: {group: x}
jobs:
  one:
    timeout-minutes: 5
    permissions: {contents: read}
    strategy: {matrix: {env: [dev], include: [{env: prod}]}}
    env: {ENV: "${{ matrix.env }}"}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {persist-credentials: false}
      - uses: $/.github/actions/reach
      - run: nox -s "validate($ENV, full)" && nox -s lint
      - env: {DATABASES: "${{ inputs.databases && '--with-databases' || '' }}"}
        run: ./bootstrap inv deploy.prod --yes ${DATABASES:+"$DATABASES"}
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("x", "x", []),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", ["not pinned: actions/checkout@v7"]),
        (" # v7.0.1", "", ["not pinned: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"]),
        ("actions/reach", "actions/rich", ["not pinned: $/.github/actions/rich"]),
        ("permissions: {}", "permissions: {contents: read}", ["rights for every job"]),
        ("permissions: {}", "on: push", ["rights for every job"]),
        ("    permissions: {contents: read}\n", "", ["one: no permissions"]),
        ("concurrency: {group: x}", "on: push", ["no concurrency"]),
        ("    timeout-minutes: 5\n", "", ["one: no timeout-minutes"]),
        ("persist-credentials: false", "clean: true", ["a token stays"]),
        ("env: prod", "env: pord", ["no session validate(pord, full)"]),
        ("-s lint", "-s lnit", ["no session lnit"]),
        ("deploy.prod", "deploy.production", ["no task deploy.production"]),
        ("--with-databases", "--with-database", ["inv deploy.prod: no flag --with-database"]),
    ],
)
def test_each_fault_is_found(old: str, new: str, fault: list[str]) -> None:
    """The reader of the workflows itself: one change to a sound workflow, one fault."""
    assert faults(SOUND.replace(old, new)) == fault
