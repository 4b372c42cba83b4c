"""The production stack from nothing: deployed, proved from inside, used, broken, mended, in this order."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
import websockets.sync.client

from cotai_tasks.variables import PRODUCTION_SECRETS
from tests.stack.conftest import REPOSITORY, eventually

if TYPE_CHECKING:
    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack

TENDER = {
    "title": "Pregão 12/2026: office chairs",
    "text": "The city of Campinas buys 40 office chairs. Deadline: 2026-12-15. Estimated value: R$ 32.000,00.",
}


def test_everything_that_is_missing_is_told_at_once(production: Production) -> None:
    """Before anything is built or started: no evaluation allowed, no secret; each with its cure."""
    refused = production.inv("deploy.prod", "--yes", "--dry-run", COTAI_EVALUATION="false", COTAI_SIZE="large")
    assert refused.returncode == 8, refused.stderr
    for finding in ("COTAI_EVALUATION=true", "COTAI_SIZE", "POSTGRES_PASSWORD: missing", "inv security.secrets"):
        assert finding in refused.stderr
    assert production.containers("") == []


def test_everything_becomes_healthy(deployed: Production) -> None:
    """One command starts all services, the replicas too, and asks through nginx and TLS."""
    status = deployed.status()
    assert {name: one["state"] for name, one in status.items() if not one["ok"]} == {}
    assert {"nginx", "backend", "celery-worker", "celery-worker-ai", "celery-beat", "postgres"} <= status.keys()
    counts = {name: len(deployed.containers(name)) for name in ("backend", "celery-worker", "celery-beat")}
    assert counts == {"backend": 2, "celery-worker": 2, "celery-beat": 1}
    assert deployed.get("/health").json()["status"] == "ready"


def test_the_second_deploy_has_nothing_to_do(deployed: Production) -> None:
    """Nothing is made anew, and nothing is restarted."""
    before = deployed.containers("")
    again = deployed.inv("deploy.prod", "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stderr
    assert deployed.containers("") == before


# -- what each container may ---------------------------------------------------------------------------------------


def test_every_container_keeps_the_rules(deployed: Production) -> None:
    """From inside: no root user, no capability, no new privileges, system calls filtered, no write to the root."""
    faults = []
    for name in sorted(running(deployed)):
        status = dict(
            line.split(":", 1) for line in deployed.inside(name, "cat /proc/1/status").splitlines() if ":" in line
        )
        rules = {
            "user": int(status["Uid"].split()[0]) != 0,
            "capabilities": int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0,
            "no new privileges": status["NoNewPrivs"].strip() == "1",
            "seccomp": status["Seccomp"].strip() == "2",
            "root": "Read-only file system" in deployed.inside(name, ": >/cotai-was-here", fails=True),
        }
        faults += [f"{name}: {rule}" for rule, kept in rules.items() if not kept]
    assert faults == []


def test_every_container_has_its_limits(deployed: Production) -> None:
    """Memory, processors, processes, and logs that are rotated; and no way around them."""
    told = json.loads(deployed.docker("inspect", *deployed.containers("")))
    for one in told:
        host = one["HostConfig"]
        name = one["Name"]
        assert host["Memory"] > 0, name
        assert host["MemorySwap"] == host["Memory"], name
        assert host["NanoCpus"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"]["max-size"], name
        assert not host["Privileged"], name
        assert not host["Binds"] or name.endswith("cadvisor-1"), f"{name} has a folder of the host mounted"
        assert "docker.sock" not in json.dumps(one["Mounts"]), name


def test_no_secret_is_where_it_does_not_belong(deployed: Production) -> None:
    """Not in `docker inspect`, not in an image's history, not in a log; the search itself finds what it looks for."""
    canaries = {name: deployed.secret(name) for name in PRODUCTION_SECRETS}
    images = {json.loads(line)["Image"] for line in deployed.docker("ps", "--format", "{{json .}}").splitlines()}
    own = [image for image in images if image.endswith(":test")]
    places = {
        "inspect": deployed.docker("inspect", *deployed.containers(""), *own),
        "history": "".join(deployed.docker("history", "--no-trunc", image) for image in own),
        "logs": deployed.inv("deploy.logs", "--tail", "all").stdout,
        "arguments": "\n".join(deployed.docker("top", one, "-eo", "pid,args") for one in live(deployed)),
    }
    found = [(place, name) for place, text in places.items() for name, value in canaries.items() if value in text]
    assert found == []
    assert canaries["POSTGRES_PASSWORD"] in deployed.inside("backend", "cat /run/secrets/DATABASE_URL")


def test_a_service_reads_its_own_secrets_alone(deployed: Production) -> None:
    """One folder to each: the gateway knows nothing of PostgreSQL, the migration nothing of Redis."""
    told = {name: set(deployed.inside(name, "ls /run/secrets").split()) for name in ("llm-service", "backend", "nginx")}
    assert told["llm-service"] == {"CACHE_URL", "ca.pem"}
    assert told["nginx"] == {"htpasswd"}
    assert "DATABASE_URL" in told["backend"]


# -- who reaches whom ----------------------------------------------------------------------------------------------

REACHED = {
    "nginx": {"backend:8000", "llm-service:8001", "flower:5555", "prometheus:9090"},
    "backend": {
        *("postgres:5432", "mongodb:27017", "redis:6379", "redis-cache:6379", "postgres-exporter:9187"),
        *("llm-service:8001", "flower:5555", "prometheus:9090"),
    },
    "ollama": {"llm-service:8001"},
    "prometheus": {"backend:8000", "llm-service:8001", "postgres-exporter:9187", "alertmanager:9093", "flower:5555"},
}
"""Which of all listed addresses each of these reaches: the others are out of its reach."""
ADDRESSES = sorted(set().union(*REACHED.values()) | {"ollama:11434"})
_KNOCK = "timeout 3 bash -c '</dev/tcp/{}/{}' 2>/dev/null && echo open || echo closed"


@pytest.mark.parametrize("service", sorted(REACHED))
def test_networks_keep_services_apart(deployed: Production, service: str) -> None:
    """What a service needs is open to it, and what it does not need is closed."""
    with ThreadPoolExecutor(4) as pool:
        knocks = pool.map(
            lambda address: deployed.inside(service, _KNOCK.format(*address.split(":"))).strip(), ADDRESSES
        )
        opened = {address for address, answer in zip(ADDRESSES, knocks, strict=True) if answer == "open"}
    own = {address for address in ADDRESSES if address.startswith(f"{service}:")}
    assert opened - own == REACHED[service]


def test_nginx_reaches_no_database_by_its_address_either(deployed: Production) -> None:
    """A name that is not known is one thing, a wall another: the address itself is out of reach."""
    told = json.loads(deployed.docker("inspect", deployed.container("postgres")))[0]
    address = told["NetworkSettings"]["Networks"][f"{deployed.name}_data"]["IPAddress"]
    knock = _KNOCK.format(address, 5432)
    assert deployed.inside("nginx", knock).strip() == "closed"
    assert deployed.inside("backend", knock).strip() == "open"


def test_internal_networks_have_no_way_out(deployed: Production) -> None:
    """The backend reaches a server of the host, and so the world; a database, a model server and an exporter do not."""
    network = json.loads(deployed.docker("network", "inspect", f"{deployed.name}_edge"))[0]
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104 - containers shall reach it
        listener.listen()
        knock = _KNOCK.format(network["IPAM"]["Config"][0]["Gateway"], listener.getsockname()[1])
        told = {
            name: deployed.inside(name, knock).strip() for name in ("backend", "postgres", "ollama", "redis-exporter")
        }
    assert told == {"backend": "open", "postgres": "closed", "ollama": "closed", "redis-exporter": "closed"}


def test_only_two_ports_are_published(deployed: Production) -> None:
    """HTTP and HTTPS; everything else is inside."""
    published = {(name, port) for name, one in deployed.status().items() for port in one["ports"]}
    assert published == {("nginx", f"127.0.0.1:{deployed.environ[name]}") for name in ("HTTP_PORT", "HTTPS_PORT")}


# -- as users see it -----------------------------------------------------------------------------------------------


def test_a_tender_becomes_a_quotation(deployed: Production) -> None:
    """Through nginx and TLS: posted, followed on a WebSocket, drafted by a real model, found again."""
    posted = requests.post(deployed.url("/api/v1/tenders"), json=TENDER, verify=deployed.authority, timeout=15)
    assert posted.status_code == 202, posted.text
    tender = posted.json()["id"]
    trust = ssl.create_default_context(cafile=deployed.authority)
    address = deployed.url(f"/ws/tenders/{tender}").replace("https", "wss")
    with websockets.sync.client.connect(address, ssl=trust, open_timeout=15) as stream:
        events = [json.loads(event) for event in stream]
    assert [events[0]["status"], events[-1]["status"]] == ["received", "drafted"]
    assert deployed.get("/api/v1/tenders/" + tender).json()["quotation"]["draft"].strip()


def test_answers_of_the_model_stream(deployed: Production) -> None:
    """Server-sent events arrive one by one, not all at the end."""
    question = {
        "model": "smollm2:135m",
        "stream": True,
        "max_tokens": 60,
        "messages": [{"role": "user", "content": f"Count to thirty. {time.time()}"}],
    }
    arrivals = []
    with requests.post(
        deployed.url("/llm/v1/chat/completions"), json=question, verify=deployed.authority, timeout=60, stream=True
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        arrivals = [time.monotonic() for line in answer.iter_lines() if line]
    assert len(arrivals) > 20
    assert arrivals[-1] - arrivals[0] > 5 * (arrivals[1] - arrivals[0])


def test_strangers_are_refused(deployed: Production) -> None:
    """Pages ask for a login; what is not for users is closed; the wrong host name gets nothing."""
    statuses = {path: deployed.get(path).status_code for path in ("/flower/", "/metrics/", "/docs", "/openapi.json")}
    assert statuses == {"/flower/": 401, "/metrics/": 401, "/docs": 404, "/openapi.json": 404}
    login = ("admin", deployed.secret("ADMIN_PASSWORD"))
    assert deployed.get("/flower/", auth=login).status_code == 200
    assert deployed.get("/metrics/-/ready", auth=login).status_code == 200
    plain = requests.get(deployed.url("/api/", "http"), timeout=15, allow_redirects=False)
    assert plain.status_code in {301, 308}
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(
            deployed.url("/", "http"), headers={"Host": "elsewhere.example"}, timeout=15, allow_redirects=False
        )


def test_a_burst_is_limited_and_a_normal_client_is_not(deployed: Production) -> None:
    """60 requests at once are too many, one every 200 ms is not."""
    eventually(lambda: deployed.get("/api/v1/quotations").status_code == 200, "the end of an earlier limit")
    time.sleep(3)
    normal = []
    for _ in range(15):
        normal.append(deployed.get("/api/v1/quotations").status_code)
        time.sleep(0.2)
    assert set(normal) == {200}
    with ThreadPoolExecutor(20) as pool:
        burst = list(pool.map(lambda _: deployed.get("/api/v1/quotations").status_code, range(60)))
    assert set(burst) == {200, 429}


# -- what operators do ---------------------------------------------------------------------------------------------


def test_a_service_is_scaled(deployed: Production) -> None:
    """Three backends, all of them asked; then two again; a scheduler is never doubled."""
    assert deployed.inv("deploy.scale", "backend", "3").returncode == 0
    assert len(deployed.containers("backend")) == 3
    eventually(lambda: asked_backends(deployed) == 3, "a request for each of three")
    assert deployed.inv("deploy.scale", "backend", "2").returncode == 0
    assert len(deployed.containers("backend")) == 2
    refused = deployed.inv("deploy.scale", "celery-beat", "2")
    assert (refused.returncode, "cannot have several" in refused.stderr) == (2, True)
    assert "no room" in deployed.inv("deploy.scale", "backend", "60").stderr


def test_maintenance_is_announced(deployed: Production) -> None:
    """Users see a page and when to come back; it ends as it began."""
    eventually(lambda: deployed.get("/api/v1/quotations").status_code == 200, "the end of a limit")
    assert deployed.inv("deploy.maintenance", "on").returncode == 0
    answer = deployed.get("/api/v1/quotations")
    assert (answer.status_code, bool(answer.headers["Retry-After"])) == (503, True)
    assert deployed.inv("deploy.maintenance", "off").returncode == 0
    assert deployed.get("/api/v1/quotations").status_code == 200


def test_databases_tell_how_they_stand(deployed: Production) -> None:
    """Up, encrypted, tuned; and a shell, a migration and example data work as in development."""
    told = {one["service"]: one for one in json.loads(deployed.inv("db.status", "--json").stdout)}
    assert {name for name, one in told.items() if one["up"]} == {"postgres", "mongodb", "redis", "redis-cache"}
    assert deployed.inv("db.tune").returncode == 0
    assert "nothing to do" in deployed.inv("db.migrate").stderr
    assert deployed.inv("db.seed", "--count", "5", "--yes").returncode == 0
    shown = deployed.inv(
        "db.shell", "postgres", "--command", "select rolsuper from pg_roles where rolname = current_user"
    )
    assert shown.stdout.split() == ["f"], shown.stderr


def test_a_secret_is_rotated_while_users_are_served(deployed: Production) -> None:
    """Both passwords are good until the old one is given up; nobody notices."""
    before = deployed.secret("POSTGRES_PASSWORD")
    rotated = deployed.inv("security.secrets", "--rotate", "POSTGRES_PASSWORD")
    assert rotated.returncode == 0, rotated.stderr
    assert deployed.secret("POSTGRES_PASSWORD") != before
    assert deployed.get("/health").status_code == 200
    restarted = deployed.inv("deploy.restart", "--svc", "backend,celery-worker,celery-worker-ai,celery-beat")
    assert restarted.returncode == 0, restarted.stderr
    finished = deployed.inv("security.secrets", "--finish", "POSTGRES_PASSWORD", "--yes")
    assert finished.returncode == 0, finished.stderr
    eventually(lambda: deployed.get("/health").status_code == 200, "readiness with the new password")


def test_a_certificate_is_renewed_without_a_gap(deployed: Production) -> None:
    """Requests go on while nginx takes up the new one."""
    first = deployed.inv("security.certs-status", "--json").stdout
    renewing = deployed.begin("security.renew", "--force")
    answers = []
    while renewing.poll() is None:
        answers.append(deployed.get("/nothing-here").status_code)
        time.sleep(0.15)
    said, _ = renewing.communicate()
    assert renewing.returncode == 0, said
    assert set(answers) == {404}
    second = deployed.inv("security.certs-status", "--json").stdout
    assert json.loads(first)["installed"]["serial"] != json.loads(second)["installed"]["serial"]
    assert json.loads(second)["served"]


# -- faults --------------------------------------------------------------------------------------------------------


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
    assert deployed.inv("deploy.stop").returncode == 0
    assert live(deployed) == []
    assert deployed.inv("deploy.prod", "--yes").returncode == 0
    assert deployed.get("/api/v1/quotations").json()["total"] >= 1
    assert deployed.inv("deploy.clean", "--volumes", "--yes").returncode == 0
    assert deployed.docker("volume", "ls", "--quiet", "--filter", f"name={deployed.name}") == ""


# -- helpers -------------------------------------------------------------------------------------------------------


def container(stack: Production, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a container to its end."""
    argv = [stack.environ.get("COTAI_DOCKER", "docker"), "run", "--rm", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def live(stack: Production) -> list[str]:
    """Give the ids of the containers that run."""
    return stack.docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={stack.name}").split()


def running(stack: Production) -> list[str]:
    """Name the services that run."""
    return [name for name, one in stack.status().items() if one["state"] in {"healthy", "running"}]


def post(stack: Production) -> str:
    """Post a tender, and give its id; empty while that fails."""
    answer = requests.post(stack.url("/api/v1/tenders"), json=TENDER, verify=stack.authority, timeout=15)
    return str(answer.json()["id"]) if answer.status_code == 202 else ""


def drafted(stack: Production, tender: str) -> bool:
    """Tell whether a tender has its quotation."""
    answer = stack.get(f"/api/v1/tenders/{tender}")
    return answer.status_code == 200 and answer.json()["status"] == "drafted"


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


def asked_backends(stack: Production) -> int:
    """Ask for a few pages, and count the backends that answered, by nginx's own log."""
    for _ in range(12):
        stack.get("/api/v1/quotations")
    lines = stack.inv("deploy.logs", "--svc", "nginx", "--tail", "12").stdout.splitlines()
    told: list[dict[str, Any]] = [json.loads(line.partition("|")[2]) for line in lines if '"upstream_addr"' in line]
    return len({one["upstream_addr"] for one in told if one["upstream_addr"]})
