"""The production stack under faults: killed, hanging, rebooted, stopped. It runs after `test_production.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.stack.conftest import REPOSITORY, drafted, eventually, post

if TYPE_CHECKING:
    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack


def test_a_killed_database_comes_back_and_no_task_is_lost(deployed: Production) -> None:
    """PostgreSQL is killed from the host: readiness says 503, then it recovers by itself; every tender is drafted."""
    tenders = [post(deployed) for _ in range(3)]
    kill(deployed, "postgres", "postgres")
    eventually(lambda: deployed.get("/health").status_code == 503, "an honest 503")
    eventually(lambda: deployed.get("/health").status_code == 200, "its recovery")
    redis(deployed, "MULTI\nSET canary alive\nEXEC")
    time.sleep(2)  # the append-only file is written every second
    kill(deployed, "redis", "redis-server")
    eventually(lambda: deployed.get("/health").status_code == 200, "the broker's recovery")
    assert redis(deployed, "GET canary") == "alive"
    tenders.append(eventually(lambda: post(deployed), "a tender after the fault"))
    eventually(lambda: all(drafted(deployed, one) for one in tenders), "every quotation", patience=240)


def test_a_worker_that_hangs_ends_itself(deployed: Production) -> None:
    """Whatever its code does, even without letting another thread run; and it says where it hung."""
    program = "import cotai_runtime.celery as c; c.PATIENCE_S = 1; c.worker_lives()\nwhile True: pass"
    names = ("DATABASE_URL", "MONGODB_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL")
    variables = [part for name in names for part in ("--env", f"{name}=redis://nowhere")]
    ended = container(deployed, "--network", "none", *variables, "cotai/celery-worker:test", "python", "-c", program)
    assert (ended.returncode, "Timeout" in ended.stderr, 'File "<string>", line 2' in ended.stderr) == (1, True, True)


def test_an_application_may_ask_for_its_secrets_in_the_environment(deployed: Production) -> None:
    """By an explicit setting, and only what is a secret: the file of authorities, say, stays a file."""
    program = 'mkdir -p /run/secrets; echo hidden >/run/secrets/U; with-secrets sh -c "$1"'
    shown = 'echo "$APP_URL ${APP_URL_FILE-gone} $SSL_CERT_FILE"'
    variables = ("APP_SECRETS=environment", "APP_URL_FILE=/run/secrets/U", "SSL_CERT_FILE=/etc/hostname")
    flags = [part for variable in variables for part in ("--env", variable)]
    run = ("--user", "0", "--entrypoint", "sh", *flags, "cotai/production:test", "-c", program, "", shown)
    assert container(deployed, "--network", "none", *run).stdout.split() == ["hidden", "gone", "/etc/hostname"]


def test_what_stays_unhealthy_is_ended_by_its_health_check(deployed: Production) -> None:
    """After the time it was given, not at the first failure; the container's log says why."""
    heal = deployed.docker("exec", deployed.container("prometheus"), "cat", "/opt/probe/heal")
    program = 'printf %s "$0" >/tmp/heal; (sh /tmp/heal 2 false; echo once; sleep 3; sh /tmp/heal 2 false) & sleep 30'
    ended = container(deployed, "--init", "--network", "none", "cotai/production:test", "sh", "-c", program, heal)
    assert (ended.returncode, "once" in ended.stdout) == (137, True)
    assert "restarted by its health check" in ended.stderr


def test_everything_comes_back_after_a_reboot(deployed: Production) -> None:
    """All containers are down, the daemon starts: nobody needs to do anything."""
    if not (os.environ.get("CI") or os.environ.get("COTAI_DISRUPT")):
        pytest.skip("restarts the Docker daemon; CI and COTAI_DISRUPT=1 run it")
    daemons = [one for one in psutil.process_iter(["name"]) if one.info["name"] == "dockerd"]
    if len(daemons) != 1 or Path("/run/systemd/system").exists():
        pytest.skip("the Docker daemon is not ours to restart")
    daemons[0].terminate()
    psutil.wait_procs(daemons, timeout=120)
    started = deployed.inv("doctor")
    assert started.returncode != 0
    subprocess.run([REPOSITORY / "bootstrap", "true"], check=True, capture_output=True)
    eventually(lambda: all(one["ok"] for one in deployed.status().values()), "everything healthy again", patience=180)
    assert deployed.get("/health").status_code == 200


def test_stopped_and_started_again(deployed: Production) -> None:
    """A stop keeps the data, a deploy brings it back, `clean` leaves nothing."""
    assert deployed.inv("deploy.stop", "--yes").returncode == 0
    assert deployed.live() == []
    assert deployed.inv("deploy.prod", "--yes").returncode == 0
    assert deployed.get("/api/v1/quotations").json()["total"] >= 1
    assert deployed.inv("deploy.clean", "--volumes", "--yes").returncode == 0
    assert deployed.docker("volume", "ls", "--quiet", "--filter", f"name={deployed.name}") == ""


# -- helpers -------------------------------------------------------------------------------------------------------


def container(stack: Production, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a container to its end."""
    argv = [stack.environ.get("COTAI_DOCKER", "docker"), "run", "--rm", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def kill(stack: Production, service: str, program: str) -> None:
    """Kill a service's first process from the host, as the kernel would."""
    pid = int(stack.docker("inspect", "--format", "{{.State.Pid}}", stack.container(service)))
    assert psutil.Process(pid).name().startswith(program[:10])
    os.kill(pid, signal.SIGKILL)


def redis(stack: Production, commands: str) -> str:
    """Give commands to the broker as its operator, all on one connection; give the last line of the answer."""
    client = "redis-cli --tls --cacert /run/secrets/ca.pem --user admin"
    login = 'REDISCLI_AUTH="$(cat /run/secrets/REDIS_ADMIN_PASSWORD)"'
    return stack.inside("redis", f"printf '{commands}\n' | {login} {client}").splitlines()[-1]
