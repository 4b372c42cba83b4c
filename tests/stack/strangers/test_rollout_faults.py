"""Deploys that go wrong, or are interrupted, or meet: users notice nothing, and the stack is left with one release."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
import requests

from tests.stack.conftest import Strange, eventually
from tests.stack.production.test_rollout import STEPS
from tests.stack.restless import DEPLOY, restless
from tests.stack.rolling import another, change, ids, inv, one_release, releases, steadily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHAOS = bool(os.environ.get("COTAI_CHAOS"))
"""All of it with COTAI_CHAOS=1, else a share that changes from run to run."""
pytestmark = pytest.mark.stack

MIGRATION = "backend/migrations/versions/0002_trial.py"
TAKES_AWAY = '''"""Take a column away."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.drop_column("tenders", "reason")
'''
ADDS = TAKES_AWAY.replace("away", "in").replace(
    'op.drop_column("tenders", "reason")', 'op.execute("ALTER TABLE tenders ADD x int")'
)
ENDS_THE_READING = (
    "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"
)
"""Killing the client would leave it at the server, with its lock, for the deploys of the next tests."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strange]:
    """Give a stack that runs, of an application and a project that may be broken at will."""
    with restless(tmp_path_factory.mktemp("restless")) as found:
        inv(found, *DEPLOY, "--build")
        yield found


# -- releases that are no good -----------------------------------------------------------------------------------------


def unhealthy_later(stack: Strange) -> None:
    (stack.folder / "own.env").write_text("TRIAL_FAULT=unhealthy\n")


def errors_later(stack: Strange) -> None:
    (stack.folder / "own.env").write_text("TRIAL_FAULT=errors\n")


def never_starts(stack: Strange) -> None:
    (stack.folder / "own.env").write_text("GUNICORN_CMD_ARGS=--no-such-flag\n")


def cannot_migrate(stack: Strange) -> None:
    change(stack, MIGRATE_COMMAND="alembic upgrade nowhere")


def takes_away(stack: Strange) -> None:
    (stack.folder / MIGRATION).write_text(TAKES_AWAY)


def breaks_nginx(stack: Strange) -> None:
    snippet = stack.folder / "nginx/snippets/own-routes.conf"
    snippet.parent.mkdir(parents=True, exist_ok=True)
    snippet.write_text("location /own/ { no_such_directive; }\n")


FAULTS: dict[Callable[[Strange], None], tuple[int, str]] = {
    never_starts: (6, "--no-such-flag"),
    # The deploy asks its health page too: by which of the two it is seen first is chance.
    unhealthy_later: (6, r"backend was healthy, and is not any more \(unhealthy\)|users see errors since the new"),
    errors_later: (6, "users see errors since the new release serves"),
    cannot_migrate: (6, "Can't locate revision identified by 'nowhere'"),
    takes_away: (10, "DROP COLUMN reason"),
    breaks_nginx: (8, 'unknown directive "no_such_directive"'),
}
"""What is wrong with a release, the exit code of its deploy, and what the error must show: a regular expression."""
CHOSEN_FAULTS = [*FAULTS] if CHAOS else random.sample([*FAULTS], 1)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", CHOSEN_FAULTS, ids=lambda one: one.__name__)
def test_a_release_that_is_no_good(stack: Strange, fault: Callable[[Strange], None]) -> None:
    """Users notice nothing; the old release is all there is; the error has the cause, in the new one's own words."""
    before = ids(stack)
    env_file = stack.env_file.read_text()
    code, cause = FAULTS[fault]
    try:
        with steadily(stack, rate=20) as asked:
            fault(stack)
            done = stack.inv(*DEPLOY, "--build", "--watch", "60")
    finally:
        stack.env_file.write_text(env_file)
        (stack.folder / "own.env").write_text("")
        (stack.folder / MIGRATION).unlink(missing_ok=True)
        shutil.rmtree(stack.folder / "nginx", ignore_errors=True)
    assert (done.returncode, bool(re.search(cause, done.stderr))) == (code, True), done.stderr
    if fault is errors_later:  # it served for as long as it takes to see that it should not
        assert asked["codes"].keys() == {"200", "500"}
        assert asked["codes"]["500"] < asked["codes"]["200"] / 5
    else:
        assert (asked["codes"].keys(), asked["wrong"]) == ({"200"}, [])
    assert ids(stack) == before
    inv(stack, *DEPLOY, "--build", "--watch", "0")


@pytest.mark.timeout(900)
def test_a_migration_does_not_wait_for_ever(stack: Strange) -> None:
    """It gives a lock up that it does not get: whoever asks next waits behind it, for seconds, and is answered."""
    before = ids(stack)
    (stack.folder / MIGRATION).write_text(ADDS)
    reading = stack.begin("db.shell", "postgres", "--command", "select count(*) from tenders; select pg_sleep(90)")
    try:
        with steadily(stack, rate=5) as asked:
            done = stack.inv(*DEPLOY, "--build", "--watch", "0")
    finally:
        inv(stack, "db.shell", "postgres", "--command", ENDS_THE_READING)
        reading.communicate(timeout=30)
        (stack.folder / MIGRATION).unlink()
    assert (done.returncode, "canceling statement due to lock timeout" in done.stderr) == (6, True), done.stderr
    assert (asked["codes"].keys(), asked["wrong"]) == ({"200"}, [])
    assert ids(stack) == before
    inv(stack, *DEPLOY, "--build", "--watch", "0")


# -- interrupted, and two at once --------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", STEPS if CHAOS else random.sample(STEPS, 1))
def test_a_deploy_that_is_interrupted(stack: Strange, step: str) -> None:
    """Ctrl-C in any step: it puts the old release back by itself, or says which command goes on; users are served."""
    before = ids(stack)
    with steadily(stack, rate=20) as asked:
        change(stack, LOG_LEVEL=another(stack))
        deploying = stack.begin(*DEPLOY, "--watch", "5")
        seen = next((line for line in deploying.stdout or () if step in line), "")
        deploying.send_signal(signal.SIGINT)
        rest = deploying.communicate(timeout=300)[0]
        assert (bool(seen), deploying.returncode) == (True, 130), rest
        if late := "inv deploy.resume goes on" in rest:
            inv(stack, "deploy.resume", "--watch", "0")
    assert asked["wrong"] == []
    assert releases(stack)[0]["outcome"] == ("live" if late else "failed")
    assert late or {name: before[name] for name in ("backend", "celery-worker")} == {
        name: ids(stack)[name] for name in ("backend", "celery-worker")
    }
    one_release(stack)
    assert "nothing to do, nobody holds it" in inv(stack, "deploy.unlock", "--yes")
    inv(stack, *DEPLOY, "--watch", "0")


@pytest.mark.timeout(900)
def test_two_deploys_from_two_checkouts(stack: Strange, tmp_path: Path) -> None:
    """The second is refused and told who has it, or waits; both checkouts know the same releases."""
    other = Strange(stack.name, stack.environ, tmp_path / "other")
    shutil.copytree(stack.folder, other.folder)
    change(stack, LOG_LEVEL=another(stack))
    change(other, LOG_LEVEL=another(other))
    deploying = stack.begin(*DEPLOY, "--watch", "5")
    assert next((line for line in deploying.stdout or () if "beside the old ones" in line), "")
    refused = other.inv(*DEPLOY)
    assert (refused.returncode, f"pid {deploying.pid}" in refused.stderr, "(deploy)" in refused.stderr) == (
        7,
        True,
        True,
    )
    waited = other.inv(*DEPLOY, "--lock-wait", "600")
    deploying.communicate(timeout=300)
    assert deploying.returncode == 0
    assert (waited.returncode, "nothing to do" in waited.stderr) == (0, True), waited.stderr
    assert releases(other) == releases(stack)
    one_release(stack)


@pytest.mark.timeout(900)
@pytest.mark.skipif(not CHAOS, reason="COTAI_CHAOS=1 runs it")
def test_workers_follow_their_queue(stack: Strange) -> None:
    """Up at once, down one by one when it is calm; a timer that calls while somebody deploys does no harm."""
    look = ("deploy.autoscale", "celery-worker", "--min", "2", "--max", "3", "--calm", "0", "--once")
    queued = requests.post(stack.url("/api/trial/tasks?count=60"), verify=stack.authority, timeout=60)
    assert queued.status_code == 200
    assert "3 shall run" in inv(stack, *look)
    assert len(stack.containers("celery-worker")) == 3
    change(stack, LOG_LEVEL=another(stack))
    deploying = stack.begin(*DEPLOY, "--watch", "0")
    assert next((line for line in deploying.stdout or () if "putting configuration" in line), "")
    called = stack.inv(*look)
    deploying.communicate(timeout=300)
    assert (called.returncode, deploying.returncode) == (0, 0), called.stderr
    inv(stack, "deploy.scale", "celery-worker", "3")
    eventually(lambda: len(stack.get("/api/trial/tasks").json()) == 60, "every task", patience=300)
    assert "2 shall run" in inv(stack, *look)
    assert len(stack.containers("celery-worker")) == 2


@pytest.mark.timeout(900)
@pytest.mark.skipif(not CHAOS, reason="COTAI_CHAOS=1 runs it")
def test_what_is_taken_away_on_purpose(stack: Strange) -> None:
    """After a backup, which the refused way back names. It is the last test: the schema is another from now on."""
    told = inv(stack, "backup.keygen", "--output", str(stack.folder / "identity.txt"))
    (stack.folder / "env/recipients.txt").write_text(next(one for one in told.split() if one.startswith("age1")) + "\n")
    takes_away(stack)
    inv(stack, *DEPLOY, "--build", "--watch", "0", "--allow-destructive")
    made = releases(stack)[0]
    assert made["taken_away"] == ["ALTER TABLE tenders DROP COLUMN reason"]
    refused = stack.inv("deploy.rollback", "--yes")
    assert (refused.returncode, f"the data of backup {made['backup']}" in refused.stderr) == (10, True), refused.stderr
    assert made["backup"] in inv(stack, "backup.list")
