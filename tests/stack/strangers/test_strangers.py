"""Another team's application in production, from a project that is no checkout of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.stack.conftest import REPOSITORY, eventually, stranger
from tests.stack.rolling import change, ids, inv, steadily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.conftest import Strange

pytestmark = pytest.mark.stack

FRONT = "location / {\n    limit_req zone=api burst=20 nodelay;\n    proxy_pass http://$backend:8000;\n}\n"
VALUES = (
    "COTAI_TAG=test-strangers",
    f"APP_CONTEXT={REPOSITORY}/tests/apps/cantina",
    "APP_MODULE=cantina.asgi:application",
    "CELERY_APP=cantina.celery:app",
    "MIGRATE_COMMAND=python manage.py migrate",
    "APP_HEALTH_PATH=/kitchen/open",
    "APP_LIVE_PATH=/kitchen/open",
    "APP_SECRETS=environment",
)


@pytest.fixture(scope="module")
def cantina(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strange]:
    """Give the stack with every service of its core up and healthy, and remove it."""
    folder = tmp_path_factory.mktemp("cantina")
    (folder / "nginx/snippets").mkdir(parents=True)
    (folder / "nginx/snippets/front.conf").write_text(FRONT)
    with stranger(folder, *VALUES) as stack:
        done = stack.inv("deploy.prod", "--without", "ai,monitoring", "--build", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack


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


def test_it_rolls_as_ours_does(cantina: Strange) -> None:
    """With its own health path and migration, and no page that tells a version: nobody notices, forth and back."""
    before = ids(cantina)
    with steadily(cantina, "/orders/1", 5) as asked:  # a connection to PostgreSQL, with TLS, each
        change(cantina, LOG_LEVEL="WARNING")
        order = requests.post(cantina.url("/orders"), json={"dish": "moqueca"}, verify=cantina.authority, timeout=15)
        said = inv(cantina, "deploy.prod", "--without", "ai,monitoring", "--yes", "--watch", "4")
        after = ids(cantina)
        inv(cantina, "deploy.rollback", "--yes", "--watch", "4")
    assert (asked["codes"].keys(), asked["wrong"]) == ({"200"}, [])
    assert "'python manage.py migrate' does to the schema is not known beforehand" in said
    assert not [name for name in ("backend", "celery-beat", "celery-worker") if before[name] & after[name]]
    assert before["postgres"] == after["postgres"]
    assert eventually(lambda: cantina.get(f"/orders/{order.json()['id']}").json()["cooked"], "cooking")
