"""The development stack from nothing: started, used, broken, mended, removed. The tests run in this order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
import yaml

from cotai_tasks.engine import Engine
from tests.stack.conftest import PATIENCE, REPOSITORY, eventually

if TYPE_CHECKING:
    from tests.stack.conftest import Development

pytestmark = pytest.mark.stack


def test_a_dry_run_shows_the_plan_and_starts_nothing(development: Development) -> None:
    """`--dry-run` names every service, and no container is there afterwards."""
    planned = development.inv("deploy.dev", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "backend" in planned.stdout
    assert development.container("backend") == ""


def test_a_taken_port_is_named_with_its_holder(development: Development) -> None:
    """Before anything is started, the port, the service and the process that holds it are named."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        refused = development.inv("deploy.dev", BACKEND_PORT=str(port))
    assert refused.returncode == 8
    assert f"port {port}: backend wants it" in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr


def test_an_interrupted_start_is_gone_on_with(development: Development) -> None:
    """Ctrl-C in the middle leaves no lock and no Compose behind; the same command goes on from there."""
    begun = development.begin("deploy.dev", "--only", "backend")
    eventually(lambda: development.container("postgres"), "the first container")
    os.killpg(begun.pid, signal.SIGINT)
    output, _ = begun.communicate(timeout=PATIENCE)
    assert begun.returncode == 130, output
    assert "interrupted" in output
    eventually(lambda: not development.docker("ps", "-q", "--filter", f"name={development.name}-lock"), "the unlock")
    assert compose_commands(development) == []


def test_everything_becomes_healthy(running: Development) -> None:
    """One command starts all services; what cannot be had is named, nothing else is missing."""
    status = running.status()
    assert {name: one["state"] for name, one in status.items() if not one["ok"]} == {}
    assert {"backend", "celery-worker", "celery-beat", "llm-service", "ollama", "postgres", "mongodb"} <= status.keys()
    assert {"redis", "redis-cache", "flower", "prometheus", "adminer", "mongo-express", "s3"} <= status.keys()


def test_a_glance_sees_what_an_inspection_sees(running: Development) -> None:
    """The wait for health looks at the list of containers alone: it must tell the same as inspecting each."""
    engine = Engine()
    glanced, inspected = (
        [(one.id, one.name, one.service, one.image, one.state, one.health) for one in containers]
        for containers in (engine.glance(running.name), engine.containers(running.name))
    )
    assert glanced == inspected


def test_the_second_start_has_nothing_to_do(running: Development) -> None:
    """Nothing is recreated, and the addresses and logins are shown again."""
    before = {name: one["container"] for name, one in running.status().items()}
    again = running.inv("deploy.dev")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stderr
    assert running.url("BACKEND", "/docs") in again.stdout
    assert {name: one["container"] for name, one in running.status().items()} == before


def test_a_tender_becomes_a_quotation_in_three_databases(running: Development, tender: dict[str, Any]) -> None:
    """A document that is posted comes back as a quotation that a real model wrote."""
    found = eventually(lambda: quotation(running, tender["id"]), "the quotation")
    assert found["draft"].strip()
    postgres = running.inv(
        "db.shell", "postgres", "--command", f"select count(*) from quotations where tender_id = '{tender['id']}'"
    )
    assert "1" in postgres.stdout.split(), postgres.stdout + postgres.stderr
    mongodb = running.inv("db.shell", "mongodb", "--command", mongo_count(running))
    assert int(mongodb.stdout.split()[-1]) >= 1, mongodb.stdout + mongodb.stderr
    cache = running.inv("db.shell", "redis-cache", "--command", "DBSIZE")
    assert int(cache.stdout.split()[-1]) >= 1, cache.stdout + cache.stderr


def test_databases_and_pages_refuse_a_stranger(running: Development) -> None:
    """No admin page and no database answers without its login."""
    assert requests.get(running.url("FLOWER"), timeout=10).status_code == 401
    assert requests.get(running.url("MONGO_EXPRESS"), timeout=10).status_code == 401
    assert requests.get(running.url("REDIS_COMMANDER", "/apiv2/connection"), timeout=10).status_code == 401
    assert "NOAUTH" in plain_redis(running, "REDIS_PORT")
    assert "NOAUTH" in plain_redis(running, "REDIS_CACHE_PORT")
    assert "password authentication failed" in refusal(running, "postgres", POSTGRES_STRANGER)
    assert "auth" in refusal(running, "mongodb", MONGODB_STRANGER).lower()
    assert requests.get(running.url("S3"), timeout=10).status_code == 403


def test_prometheus_scrapes_what_is_there(running: Development) -> None:
    """Every job that is configured has targets, and every target is up."""
    configured = yaml.safe_load((REPOSITORY / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"]
    left_out = {"cadvisor", "grafana"} - running.status().keys()
    jobs = {one["job_name"] for one in configured} - left_out
    assert {"backend", "llm-service", "celery", "postgres"} <= jobs

    def scraped() -> bool:
        told = requests.get(running.url("PROMETHEUS", "/api/v1/targets"), timeout=10).json()["data"]["activeTargets"]
        found = [one for one in told if one["labels"]["job"] not in left_out]
        return {one["labels"]["job"] for one in found} == jobs and all(one["health"] == "up" for one in found)

    eventually(scraped, "every target up")


def test_prometheus_takes_every_query(running: Development) -> None:
    """Of the rules and the dashboards, and shows the metrics that are recorded as shown."""
    argv = [sys.executable, "-m", "pytest", "-q", "tests/integration/test_monitoring.py", "-k", "query or recorded_as"]
    environ = running.environ | {"COTAI_TEST_PROMETHEUS": running.url("PROMETHEUS").rstrip("/")}
    done = subprocess.run(argv, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_one_verdict_on_the_whole_stack(running: Development) -> None:
    """All parts are looked at, and all is well; the readiness page names each neighbour with its time."""
    told = eventually(lambda: health(running, code=0), "a stack that is well")
    signs: list[dict[str, Any]] = told["signs"]
    assert {one["part"] for one in signs} == {"containers", "databases", "readiness", "pages", "targets", "alerts"}
    neighbours = {one["what"]: one["figure"] for one in signs if one["part"] == "readiness"}
    assert {"postgres", "mongodb", "redis", "redis-cache", "llm-service"} < neighbours.keys()
    assert all(figure > 0 for figure in neighbours.values())


def test_who_uses_what(running: Development) -> None:
    """Every container that runs, the largest first."""
    told = json.loads(running.inv("monitor.top", "--sort", "memory", "--json").stdout)
    used = [one["memory"] for one in told["containers"]]
    assert used == sorted(used, reverse=True)
    assert len(used) == len(running.live())
    assert told["cpus"] == os.cpu_count()


def test_prometheus_is_asked_through_the_engine(running: Development) -> None:
    """A moment, a stretch of time, and a query that is wrong."""
    now = json.loads(running.inv("monitor.metrics", 'up{job="backend"}', "--json").stdout)
    assert [one["last"] for one in now["series"]] == [1]
    drawn = running.inv("monitor.metrics", 'up{job="backend"}', "--range", "5m", "--step", "15s")
    assert "▁" in drawn.stdout, drawn.stderr
    wrong = running.inv("monitor.metrics", "sum(up")
    assert wrong.returncode == 2
    assert "refuses the query at character 7: unclosed left parenthesis" in wrong.stderr


def test_logs_are_filtered(running: Development, tender: dict[str, Any]) -> None:
    """A word finds the lines of the services that are asked for, and no others."""
    eventually(lambda: quotation(running, tender["id"]), "the quotation")
    shown = running.inv("deploy.logs", "--svc", "celery-worker,backend", "--tail", "all", "--grep", tender["id"])
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines
    assert all(tender["id"] in line for line in lines)


def test_an_edited_file_is_running_code(running: Development) -> None:
    """The API takes a change of the host's file without a build or a restart by hand."""
    source = running.application / "backend" / "app" / "main.py"
    source.write_text(source.read_text() + '\n\n@app.get("/edited")\nasync def edited() -> str:\n    return "fresh"\n')
    eventually(lambda: requests.get(running.url("BACKEND", "/edited"), timeout=5).status_code == 200, "the reload")


def test_a_killed_worker_comes_back(running: Development, tender: dict[str, Any]) -> None:
    """Kill -9 in the middle of the work loses no tender: the engine restarts the worker, Celery delivers again."""
    pid = running.docker("inspect", "--format", "{{.State.Pid}}", running.container("celery-worker"))
    os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: running.status()["celery-worker"]["ok"], "the worker's return")
    assert running.status()["celery-worker"]["restarts"] == 1
    eventually(lambda: quotation(running, tender["id"]), "the quotation")


def test_a_stopped_database_is_seen_and_started_again(running: Development) -> None:
    """Readiness names the database, the status exits with its code, and `deploy.dev` mends it."""
    stopped = running.inv("deploy.stop", "--svc", "postgres")
    assert stopped.returncode == 0, stopped.stderr
    told = eventually(lambda: not_ready(running), "a readiness of 503")
    assert "postgres" in json.dumps(told)
    assert running.inv("deploy.status").returncode == 6
    assert running.inv("db.status").returncode == 11
    broken = [(one["part"], one["what"]) for one in health(running, code=6)["signs"] if one["state"] == "broken"]
    assert {("databases", "postgres"), ("readiness", "postgres")} < set(broken)
    mended = running.inv("deploy.dev")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    eventually(lambda: requests.get(running.url("BACKEND", "/health/ready"), timeout=5).ok, "a ready API")


def test_two_starts_at_once_exclude_each_other(running: Development) -> None:
    """The second one is told who holds the stack; the first one is not disturbed."""
    running.inv("deploy.stop", "--svc", "backend")
    first = running.begin("deploy.dev")
    eventually(lambda: running.docker("ps", "-q", "--filter", f"name={running.name}-lock"), "the lock")
    second = running.inv("deploy.restart", "--svc", "redis-cache")
    output, _ = first.communicate(timeout=PATIENCE)
    assert second.returncode == 7, second.stderr
    assert f"(pid {first.pid})" in second.stderr
    assert first.returncode == 0, output


def test_a_service_that_fails_shows_its_last_words(running: Development) -> None:
    """A migration that fails stops the start with its log, its own exit code, and the rest left running."""
    broken = running.inv("deploy.dev", MIGRATE_COMMAND="echo the schema is broken; exit 3")
    assert broken.returncode == 6, broken.stdout + broken.stderr
    assert "the schema is broken" in broken.stderr
    assert "migrate (exited 3)" in broken.stderr
    assert running.status()["postgres"]["ok"]
    mended = running.inv("deploy.dev")
    assert mended.returncode == 0, mended.stdout + mended.stderr


def test_what_is_removed_is_gone_and_nothing_else(running: Development) -> None:
    """Volumes stay until they are asked for; then containers, networks and volumes are gone."""
    refused = running.inv("deploy.clean", "--volumes")
    assert refused.returncode == 10
    kept = running.inv("deploy.clean")
    assert kept.returncode == 0, kept.stderr
    label = f"label=com.docker.compose.project={running.name}"
    assert running.docker("container", "ls", "--all", "--quiet", "--filter", label) == ""
    assert running.docker("network", "ls", "--quiet", "--filter", label) == ""
    assert running.docker("volume", "ls", "--quiet", "--filter", label) != ""
    assert running.inv("deploy.clean", "--volumes", "--yes").returncode == 0
    assert running.docker("volume", "ls", "--quiet", "--filter", label) == ""
    assert "nothing to do" in running.inv("deploy.clean", "--volumes", "--yes").stderr


# By the server's name, as the official image trusts whoever comes from its own 127.0.0.1.
POSTGRES_STRANGER = """
    export PGPASSWORD=wrong
    exec psql --host=postgres --username="$APP_USER" --dbname="$POSTGRES_DB" --command='select 1'
"""
MONGODB_STRANGER = """
    export MONGODB_URL='mongodb://127.0.0.1/cotai?directConnection=true'
    command -v mongosh >/dev/null || exec mongodb-shell cotai --eval 'db.documents.find_one()'
    exec mongosh --quiet --norc "$MONGODB_URL" --eval 'db.documents.findOne()'
"""


def refusal(stack: Development, service: str, script: str) -> str:
    """Run a script in a service's container that must fail, and give what it says."""
    command = [stack.environ.get("COTAI_DOCKER", "docker"), "exec", stack.container(service), "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def compose_commands(stack: Development) -> list[str]:
    """Give the command lines of Compose that run for this stack."""
    lines = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    return [" ".join(words) for words in lines if "compose" in words and stack.name in words]


def quotation(stack: Development, tender: str) -> dict[str, Any] | None:
    """Give a tender's quotation once it is drafted."""
    told = requests.get(stack.url("BACKEND", f"/api/v1/tenders/{tender}"), timeout=10).json()
    assert told["status"] != "failed", told
    found: dict[str, Any] | None = told["quotation"]
    return found


def not_ready(stack: Development) -> dict[str, Any] | None:
    """Give the readiness answer when it is 503."""
    answer = requests.get(stack.url("BACKEND", "/health/ready"), timeout=10)
    found: dict[str, Any] = answer.json()
    return found if answer.status_code == 503 else None


def health(stack: Development, code: int) -> dict[str, Any]:
    """Give what `monitor.health --json` tells when it ends with a code; nothing else until then."""
    done = stack.inv("monitor.health", "--json")
    told: dict[str, Any] = json.loads(done.stdout) if done.returncode == code else {}
    return told


def mongo_count(stack: Development) -> str:
    """Give the expression that counts the documents, in the language of the shell that is there."""
    surrogate = "offline" in stack.inv("deploy.status", "--json").stdout
    return "db.documents.count_documents({})" if surrogate else "db.documents.countDocuments({})"


def plain_redis(stack: Development, port: str) -> str:
    """Ask Redis without a password."""
    with socket.create_connection(("127.0.0.1", int(stack.environ[port])), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(200).decode()
