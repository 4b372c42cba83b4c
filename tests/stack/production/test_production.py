"""The production stack from nothing: deployed, proved from inside, used, broken, mended, in this order."""

from __future__ import annotations

import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
import websockets.sync.client

from cotai_tasks.variables import PRODUCTION_SECRETS
from tests.stack.conftest import TENDER, eventually

if TYPE_CHECKING:
    from tests.stack.conftest import Production

pytestmark = pytest.mark.stack


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


def test_one_verdict_on_the_whole_stack(deployed: Production) -> None:
    """Each replica is asked, Prometheus below its own path; the certificate has its days, and no backup is told."""

    def looked() -> dict[tuple[str, str], Any]:
        told = json.loads(deployed.inv("monitor.health", "--json").stdout)
        found = {(one["part"], one["what"]): one for one in told["signs"]}
        known = told["ok"] and not any(one["state"] == "unknown" for one in told["signs"])
        return found if known else {}

    found = eventually(looked, "a stack that is well and known")
    assert [what for part, what in found if part == "readiness" and "backend" in what] == sorted(
        deployed.docker("inspect", "--format", "{{.Name}}", one).lstrip("/") for one in deployed.containers("backend")
    )
    assert found["pages", "https://nginx:8443/health"]["state"] == "ok"
    assert found["certificate", "localhost"]["figure"] > 80
    assert found["backup", "newest backup"]["told"] == "none was ever made"


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
        "arguments": "\n".join(deployed.docker("top", one, "-eo", "pid,args") for one in deployed.live()),
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
    restarted = deployed.inv("deploy.restart", "--svc", "backend,celery-worker,celery-worker-ai,celery-beat", "--yes")
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


# -- helpers -------------------------------------------------------------------------------------------------------


def running(stack: Production) -> list[str]:
    """Name the services that run."""
    return [name for name, one in stack.status().items() if one["state"] in {"healthy", "running"}]


def asked_backends(stack: Production) -> int:
    """Ask for a few pages, and count the backends that answered, by nginx's own log."""
    for _ in range(12):
        stack.get("/api/v1/quotations")
    lines = stack.inv("deploy.logs", "--svc", "nginx", "--tail", "12").stdout.splitlines()
    told: list[dict[str, Any]] = [json.loads(line.partition("|")[2]) for line in lines if '"upstream_addr"' in line]
    return len({one["upstream_addr"] for one in told if one["upstream_addr"]})
