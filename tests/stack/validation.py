"""Validating a whole stack from outside, as a person would: by `inv`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cotai_tasks.validate.catalogue import TIMED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.conftest import Live


def validate(stack: Live, folder: Path, *arguments: str) -> dict[str, Any]:
    """Validate a stack, and give the document; whatever the verdict."""
    done = stack.inv("monitor.validate", "--json", "--output", str(folder), *arguments)
    assert done.returncode in {0, 19}, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def faults(document: dict[str, Any]) -> dict[str, str]:
    """Give the checks that failed or came to no end, with their figures; those that measure time may fail."""
    return {
        one["id"]: f"{one['figure']} {one['evidence']}"
        for one in document["checks"]
        if one["state"] == "error" or (one["state"] == "fail" and one["id"] not in TIMED)
    }


def state(document: dict[str, Any], identity: str) -> str:
    return next(str(one["state"]) for one in document["checks"] if one["id"] == identity)
