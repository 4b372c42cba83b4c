"""The reference application with what deploys are tried with (tests/apps/restless), in a project of its own."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.stack.conftest import REPOSITORY, stranger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.conftest import Strange

DEPLOY = ("deploy.prod", "--without", "ai,monitoring", "--yes")


@contextmanager
def restless(folder: Path, *values: str) -> Iterator[Strange]:
    """Give the project with its images built; nothing runs yet."""
    shutil.copytree(REPOSITORY / "docker/reference/backend", folder / "backend")
    shutil.copy(REPOSITORY / "tests/apps/restless/trial.py", folder / "backend/app")
    for module, line in (("main", "trial.install(app)"), ("worker", "__all__ += [trial.note.name]")):
        with (folder / f"backend/app/{module}.py").open("a") as code:
            code.write(f"\nfrom app import trial\n\n{line}\n")
    (folder / "own.env").touch()
    own = ("COTAI_TAG=test-restless", "APP_CONTEXT=backend", "APP_ENV_FILE=own.env")
    queues = ("CELERY_QUEUES=default,maintenance", "CELERY_AI_QUEUES=ai")
    with stranger(folder, *own, *queues, *values) as stack:
        yield stack
