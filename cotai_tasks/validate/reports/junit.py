"""JUnit XML: what every continuous integration shows. A suite to each group, a case to each check."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from cotai_tasks.validate.catalogue import GROUPS
from cotai_tasks.validate.check import State

_NOT_PASSED = {State.FAIL: "failure", State.ERROR: "error", State.SKIP: "skipped"}


def junit(document: dict[str, Any]) -> str:
    """Write the document as JUnit XML; a warning is a case that passed and said something."""
    name = f"{document['environment']}-{document['profile']}"
    root = Element("testsuites", name=f"{document['stack']} {name}")
    _count(root, document["checks"], document["seconds"])
    for group, found in groupby(document["checks"], key=lambda one: one["group"]):
        checks = list(found)
        suite = SubElement(root, "testsuite", name=f"{group} {GROUPS[group]}", timestamp=document["started"])
        _count(suite, checks, sum(one["seconds"] for one in checks))
        for check in checks:
            case = SubElement(suite, "testcase", name=f"{check['id']} {check['promise']}")
            case.attrib |= {"classname": f"{name}.{group}", "time": f"{check['seconds']:.3f}"}
            _tell(case, check)
    indent(root)
    return tostring(root, "unicode", xml_declaration=True) + "\n"


def _count(element: Element, checks: list[dict[str, Any]], seconds: float) -> None:
    element.set("tests", str(len(checks)))
    for state, plural in ((State.FAIL, "failures"), (State.ERROR, "errors"), (State.SKIP, "skipped")):
        element.set(plural, str(sum(one["state"] == state for one in checks)))
    element.set("time", f"{seconds:.3f}")


def _tell(case: Element, check: dict[str, Any]) -> None:
    """Add what came of a check, where there is more to say than that it passed."""
    text = "\n".join(
        [f"expected: {check['threshold']}", *check["evidence"], *([check["cure"]] if check["cure"] else [])]
    )
    if tag := _NOT_PASSED.get(check["state"]):
        told = SubElement(case, tag, message=check["figure"])
        if tag != "skipped":
            told.set("type", check["severity"])
            told.text = text
    elif check["figure"]:
        SubElement(case, "system-out").text = "\n".join(
            [check["figure"], *([text] if check["state"] == State.WARN else [])]
        )
