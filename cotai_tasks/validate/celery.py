"""Tasks of Celery's own, through the application's Celery app and its workers: no application has to offer one."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from cotai_tasks.errors import EngineError
from cotai_tasks.validate.subject import SkipCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cotai_tasks.facts import Container
    from cotai_tasks.validate.subject import Subject


def with_tasks(
    subject: Subject, where: Container, spec: Mapping[str, Any], *, patience: float = 50.0
) -> dict[str, Any]:
    """Run probes/errands.py in a container that has the application; `SkipCheck` where it keeps no results."""
    text = resources.files("cotai_tasks.validate").joinpath("probes/errands.py").read_text(encoding="utf-8")
    program = f"import json\nSPEC = json.loads({json.dumps(spec)!r})\n{text}"
    told = subject.within(where, ["with-secrets", "python3", "-"], program.encode(), patience=patience)
    try:
        found: dict[str, Any] = json.loads(told.splitlines()[-1])  # an application may print when it is imported
    except (ValueError, IndexError) as error:
        raise EngineError(f"the tasks in {where.name} told nothing", evidence=told) from error
    if not found["backend"]:
        raise SkipCheck("the application keeps no results of its tasks (result_backend)")
    return found
