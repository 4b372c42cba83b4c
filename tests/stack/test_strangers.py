"""Another team's application in production, from a project that is no checkout of ours."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest
import requests

from tests.stack.conftest import REPOSITORY, Production, eventually, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.stack

TASKS = 'from cotai_tasks import ns\n\n__all__ = ["ns"]\n'
FRONT = "location / {\n    limit_req zone=api burst=20 nodelay;\n    proxy_pass http://$backend:8000;\n}\n"
VALUES = (
    "SERVER_NAME=localhost",
    "COTAI_EVALUATION=true",
    "COTAI_TAG=test-strangers",
    "BIND_ADDRESS=127.0.0.1",
    f"APP_CONTEXT={REPOSITORY}/tests/apps/cantina",
    "APP_MODULE=cantina.asgi:application",
    "CELERY_APP=cantina.celery:app",
    "MIGRATE_COMMAND=python manage.py migrate",
    "APP_HEALTH_PATH=/kitchen/open",
    "APP_LIVE_PATH=/kitchen/open",
    "APP_SECRETS=environment",
)


class Strange(Production):
    """A production stack of another project."""

    @property
    def secrets(self) -> Path:
        """The folder of its secrets, where a project has it."""
        return self.folder / "env/secrets"

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of a task of that project."""
        inv, *rest = super().command(*arguments)
        return [inv, "--search-root", str(self.folder), *rest]


@pytest.fixture(scope="module")
def cantina(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strange]:
    """Give the stack with every service of its core up and healthy, and remove it."""
    folder = tmp_path_factory.mktemp("cantina")
    (folder / "tasks.py").write_text(TASKS)
    (folder / "nginx/snippets").mkdir(parents=True)
    (folder / "nginx/snippets/front.conf").write_text(FRONT)
    project, ports = f"cotai-test-{uuid.uuid4().hex[:6]}", free_ports()
    subnet = f"10.{uuid.uuid4().int % 200 + 20}.{uuid.uuid4().int % 250}.0/28"
    own = (f"PROBE_SUBNET={subnet}", *(f"{name}={ports[name]}" for name in ("HTTP_PORT", "HTTPS_PORT")))
    environ = {**os.environ, **ports, "INVOKE_COTAI_PROJECT": project, "COTAI_ENV": "prod"}
    stack = Strange(f"{project}-prod", environ, folder)
    given = [part for value in (*VALUES, *own) for part in ("--set", value)]
    try:
        for command in (
            ("deploy.init", "prod", *given),
            ("deploy.prod", "--without", "ai,monitoring", "--build", "--yes"),
        ):
            done = stack.inv(*command)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        yield stack
    finally:
        stack.inv("deploy.clean", "--volumes", "--yes")


def test_an_order_is_taken_and_cooked_behind_tls(cantina: Strange) -> None:
    """Its own paths, through its own front route, with the database and the broker of the stack."""
    order = requests.post(cantina.url("/orders"), json={"dish": "feijoada"}, verify=cantina.authority, timeout=15)
    assert order.status_code == 201
    path = f"/orders/{order.json()['id']}"
    assert eventually(lambda: cantina.get(path).json()["cooked"], "cooking")
    assert cantina.get("/health").json() == {"open": True}
    assert cantina.get("/nowhere").status_code == 404


def test_a_second_deploy_has_nothing_to_do(cantina: Strange) -> None:
    """Nothing of the project is taken for a change."""
    again = cantina.inv("deploy.prod", "--without", "ai,monitoring", "--yes")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout + again.stderr
