"""A check that cannot fail is a defect: every blocker has something broken on which it does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cotai_tasks.validate.catalogue import catalogue
from cotai_tasks.validate.check import Severity

TESTS = Path(__file__).parents[2]
BY_ITS_DECISION = {
    "SEC-09": "no vulnerability database can be had where the tests run: test_scans.py gives it what Trivy would say",
    "SEC-11": "test_scanning.py lets sslyze look at a server of the last decade; test_scans.py judges what it says",
    "SEC-15": "test_edge.py: a login that is let in",
}
"""Blockers whose broken case is plain data, and why."""


def broken() -> dict[str, str]:
    """Give every broken case that the tests name in a dictionary BROKEN, by the check's id."""
    found: dict[str, str] = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == "BROKEN"
                and isinstance(node.value, ast.Dict)
            ):
                keys = [one.value for one in node.value.keys if isinstance(one, ast.Constant)]
                found |= {str(key): path.name for key in keys if re.fullmatch(r"[A-Z]+-\d\d", str(key))}
    return found


def test_every_blocker_has_a_broken_case() -> None:
    """A real one: a file, a container, a stack; or a reason why there is none."""
    blockers = {one.id for one in catalogue() if one.severity == Severity.BLOCKER}
    assert blockers - broken().keys() - BY_ITS_DECISION.keys() == set()


def test_every_broken_case_is_of_a_check() -> None:
    """What is renamed is renamed everywhere, and an excuse that is not needed goes."""
    known = {one.id for one in catalogue()}
    assert broken().keys() - known == set()
    assert BY_ITS_DECISION.keys() & broken().keys() == set()
