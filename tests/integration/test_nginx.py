"""The real Nginx image, hardened as in production: routes, limits, headers, TLS, and what changes while it runs."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from websockets.sync.client import connect as open_websocket

from cotai_tasks.build import build_images
from cotai_tasks.errors import EngineError
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import known_source, stack_variables
from cotai_tasks.testing import RecordingConsole
from tests.integration.nginx.proxy import NAME, PASSWORD, ROOT, Proxy, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cotai_tasks.engine import Engine
    from tests.integration.nginx.proxy import Answer

pytestmark = pytest.mark.integration

HEADERS = {
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
SSLYZE = ROOT / ".nox/sslyze"


@pytest.fixture(scope="module")
def proxy(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Give the image, built as `inv build.image nginx` builds it, with stubs behind it."""
    repository = f"cotai-test/nginx-{uuid.uuid4().hex[:8]}"
    settings = load_settings(ROOT, "dev", environ={**os.environ, "COTAI_REPOSITORY": repository})
    (image,) = build_images(["nginx"], settings=settings, engine=engine, console=RecordingConsole()).images
    python = stack_variables(settings, known_source(settings, engine))["PYTHON_IMAGE"]
    made = Proxy(engine, image, python, tmp_path_factory.mktemp("nginx"))
    try:
        made.start()
        yield made
    finally:
        made.remove()
        engine.remove_images([image])


def login(password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'admin:{password}'.encode()).decode()}"}


def assert_headers(answer: Answer, policy: str = API_POLICY) -> None:
    """Every header of ours, as it should be; `Proxy.ask` has seen that none stands twice."""
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["content-security-policy"] == policy
    assert answer.headers["server"] == "nginx"
    assert re.fullmatch(r"[\w.:-]{1,64}", answer.headers["x-request-id"])


# --- Routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "service", "received", "headers"),
    [
        ("/api/v1/tenders?page=2&q=a%20b", "backend", "/api/v1/tenders?page=2&q=a%20b", {}),
        ("/api/v1/a%2Fb", "backend", "/api/v1/a%2Fb", {}),
        ("/ws/tenders/1", "backend", "/ws/tenders/1", {}),
        ("/health", "backend", "/health/ready", {}),
        ("/llm/v1/models?a=1", "llm-service", "/v1/models?a=1", {}),
        ("/metrics/graph", "prometheus", "/metrics/graph", login()),
        ("/flower/workers", "flower", "/flower/workers", login()),
    ],
)
def test_each_route_reaches_its_service(
    proxy: Proxy, path: str, service: str, received: str, headers: Mapping[str, str]
) -> None:
    """The path arrives as it was sent, or without its prefix, with who asked and how; nothing that a client claims does."""
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "Forwarded": "for=6.6.6.6", "Upgrade": "h2c"}
    answer = proxy.ask(path, {**headers, **lies})
    assert (answer.status, answer.told["service"], answer.told["path"]) == (200, service, received)
    sent = answer.told["headers"]
    gateway = sent["X-Real-IP"]
    host = f"{NAME}:{proxy.https_port}"
    assert {name: value for name, value in sent.items() if name.startswith("X-Forwarded") or name == "Host"} == {
        "Host": host,
        "X-Forwarded-For": gateway,
        "X-Forwarded-Host": host,
        "X-Forwarded-Port": str(proxy.https_port),
        "X-Forwarded-Proto": "https",
    }
    assert gateway != "6.6.6.6"
    assert not {"Upgrade", "Forwarded"} & sent.keys()


@pytest.mark.parametrize(
    "path",
    ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/metrics", "/llm/docs", "/llm/openapi.json",
     "/llm/metrics", "/llm//metrics", "/llm/%6Detrics", "/api/../docs", "/nothing", "/.error/error.json",
     "/nginx-health", "/stub_status"],
)  # fmt: skip
def test_what_is_not_public_is_closed(proxy: Proxy, path: str) -> None:
    """Documentation and bare metrics of the applications are not there, however they are spelt."""
    assert proxy.ask(path).status == 404


def test_static_files_are_cached_as_their_names_allow(proxy: Proxy) -> None:
    """The page is there; what may change is asked for again after an hour; what is compressed says so."""
    page = proxy.ask("/")
    assert (page.status, page.headers["content-type"], "cache-control" in page.headers) == (200, "text/html", False)
    style = proxy.ask("/static/style.css")
    assert (style.status, style.headers["cache-control"]) == (200, "public, max-age=3600")
    missing = proxy.ask("/static/app.3f2a9c1b.js")
    assert (missing.status, "cache-control" in missing.headers) == (404, False)


def test_a_digest_in_the_name_is_cached_for_ever(proxy: Proxy) -> None:
    """A file of the user's own, put into the image, with a digest in its name."""
    dockerfile = proxy.scratch / "Dockerfile"
    lines = "RUN seq 1000 >/srv/www/static/app.3f2a9c1b.js\nUSER 101"
    dockerfile.write_text(f"FROM {proxy.image}\nUSER 0\n{lines}\n")
    image = f"{proxy.image}-static"
    proxy.engine.command("build", "--quiet", "--tag", image, "--file", str(dockerfile), str(proxy.scratch))
    flags = [one for one in proxy.flags("intermediate") if not one.startswith("127.0.0.1") and one != "--publish"]
    name = proxy.run(*flags, image)
    try:
        resolve = ("--resolve", f"{NAME}:8443:127.0.0.1", f"https://{NAME}:8443/static/app.3f2a9c1b.js")
        ask = ("exec", name, "curl", "-sk", "--compressed", "--dump-header", "-", "--output", "/dev/null", *resolve)
        wait_for(lambda: "nginx" in proxy.engine.command("top", name))
        head = proxy.engine.command(*ask).lower()
        assert "cache-control: public, max-age=31536000, immutable" in head
        assert "content-encoding: gzip" in head
    finally:
        proxy.engine.command("rm", "--force", name)
        proxy.containers.remove(name)
        proxy.engine.remove_images([image])


def test_port_80_redirects_and_keeps_method_host_and_path(proxy: Proxy) -> None:
    """308, to the port that HTTPS really has outside."""
    for method, host in (("GET", NAME), ("POST", f"www.{NAME}")):
        answer = proxy.ask_plainly("/api/v1/tenders?page=2", host, method)
        assert answer.status == 308
        assert answer.headers["location"] == f"https://{host}:{proxy.https_port}/api/v1/tenders?page=2"


def test_an_unknown_host_gets_nothing(proxy: Proxy) -> None:
    """No certificate over TLS, no byte without it, no page through a connection that was opened for another name."""
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        proxy.ask("/", sni="evil.test")
    with pytest.raises(ConnectionError):
        proxy.ask_plainly("/", "evil.test")
    with pytest.raises(ConnectionError):
        proxy.ask("/api/", host="evil.test")
    assert proxy.ask("/api/", sni=f"www.{NAME}").status == 200


def test_a_token_of_the_certificate_authority_is_served(proxy: Proxy) -> None:
    """On port 80, as plain text, without a redirect; one that is not there is not there."""
    answer = proxy.ask_plainly("/.well-known/acme-challenge/a-token")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"a-token.thumbprint", "text/plain")
    assert proxy.ask_plainly("/.well-known/acme-challenge/other").status == 404


# --- Headers, errors, log ---------------------------------------------------------------------------------------------


def test_headers_stand_on_every_answer(proxy: Proxy) -> None:
    """Ours and once each, in place of an upstream's own, on 200, on its errors and on ours."""
    own = {"/api/v1/x": 200, "/api/refuse": 503, "/llm/docs": 404, "/health/x": 404}
    for path, status in own.items():
        answer = proxy.ask(path)
        assert answer.status == status
        assert_headers(answer)
    for path, status, words in (("/", 200, "default-src 'self'; base"), ("/nothing", 404, "default-src 'self'; base"),
                                ("/monitoring/", 502, "'unsafe-inline'")):  # fmt: skip
        answer = proxy.ask(path)
        assert answer.status == status
        assert words in answer.headers["content-security-policy"] or status == 502
        assert_headers(answer, answer.headers["content-security-policy"])


def test_errors_are_json_for_programs_and_a_page_for_people(proxy: Proxy) -> None:
    """Both name the request; an upstream's own error passes as it is."""
    answer = proxy.ask("/llm/docs", {"X-Request-ID": "mine-404"})
    said = {"detail": "There is nothing here.", "status": 404, "request_id": "mine-404"}
    assert (answer.headers["content-type"], answer.told) == ("application/json", said)
    page = proxy.ask("/nothing", {"X-Request-ID": "mine-too"})
    assert page.headers["content-type"] == "text/html"
    assert b"<h1>404</h1>" in page.body
    assert b"mine-too" in page.body
    assert proxy.ask("/monitoring/", method="POST").status == 502
    refused = proxy.ask("/api/refuse")
    assert (refused.status, refused.told["service"], refused.headers["retry-after"]) == (503, "backend", "5")


def test_a_body_above_ten_megabytes_is_refused(proxy: Proxy) -> None:
    """10 MB pass, more do not, and JSON says so."""
    assert proxy.ask("/api/v1/tenders", method="POST", body=bytes(10 * 2**20)).status == 200
    answer = proxy.ask("/api/v1/tenders", method="POST", body=bytes(10 * 2**20 + 1))
    assert (answer.status, answer.told["status"]) == (413, 413)
    assert_headers(answer)


@pytest.mark.parametrize(("offered", "taken"), [("my-id:1.2", True), ("no good", False), ("x" * 65, False), ("", False)])
def test_a_request_id_is_passed_on_returned_and_logged(proxy: Proxy, offered: str, taken: bool) -> None:  # noqa: FBT001
    """One that is fit for a log is kept, any other is replaced; the log's line is JSON with what an operator looks for."""
    answer = proxy.ask("/api/v1/x?page=2&token=hidden", {"X-Request-ID": offered, "User-Agent": 'a "quoted" agent'})
    used = answer.headers["x-request-id"]
    assert (used == offered) is taken
    assert answer.told["headers"]["X-Request-ID"] == used
    line = proxy.logged(used)
    assert line.items() >= {
        "level": "info", "method": "GET", "host": NAME, "path": "/api/v1/x", "args": "[withheld]", "status": 200,
        "upstream_status": "200", "user_agent": 'a "quoted" agent', "ssl_protocol": "TLSv1.3",
        "bytes": len(answer.body),
    }.items()  # fmt: skip
    assert line["upstream_addr"].endswith(":8000")
    assert float(line["upstream_response_time"]) <= line["request_time"] + 0.01
    assert "hidden" not in json.dumps(line)


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_a_burst_is_limited_and_a_normal_rate_is_not(proxy: Proxy) -> None:
    """Of 60 at once 21 and what a second refills pass; at 5 in a second none is refused."""
    client = proxy.client(proxy.edge)
    for _ in range(5):
        assert proxy.statuses(client, "/api/v1/x", 1) == [200]
        time.sleep(0.2)
    burst = proxy.statuses(client, "/api/v1/x", 60)
    assert set(burst) == {200, 429}
    assert burst[:21] == [200] * 21
    assert proxy.statuses(client, "/static/style.css", 60) == [200] * 60


def test_a_refusal_says_when_to_come_back(proxy: Proxy) -> None:
    """429 as JSON, with Retry-After and every header; the model's own limit is tighter."""
    answers = [proxy.ask("/llm/v1/models") for _ in range(12)]
    refused = [one for one in answers if one.status == 429]
    assert refused
    assert answers[0].status == 200
    assert (refused[0].told["status"], refused[0].headers["retry-after"]) == (429, "10")
    assert_headers(refused[0])
    time.sleep(3)


def test_our_own_probe_is_not_limited(proxy: Proxy) -> None:
    """It comes through a network of its own; the same burst from elsewhere is refused (above)."""
    assert proxy.statuses(proxy.client(proxy.probe), "/api/v1/x", 80) == [200] * 80


@pytest.mark.parametrize("path", ["/metrics/graph", "/flower/"])
def test_the_pages_of_operators_refuse_without_credentials(proxy: Proxy, path: str) -> None:
    """No name and no password, or a wrong one: 401, a question for the browser, and nothing of the upstream."""
    for headers in ({}, login("wrong")):
        answer = proxy.ask(path, headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="CotAi"')
        assert b"service" not in answer.body
        assert "set-cookie" not in answer.headers


def test_guessing_is_stopped_even_before_the_right_guess(proxy: Proxy) -> None:
    """After six passwords an address waits, and the right one is not even looked at; asking without one is no guess."""
    client = proxy.client(proxy.edge)
    assert proxy.statuses(client, "/flower/", 20) == [401] * 20
    assert proxy.statuses(client, "/metrics/", 8, *(login(f"guess-{number}") for number in range(8))) == [401] * 6 + [429] * 2
    assert proxy.statuses(client, "/flower/", 1, login()) == [429]


def test_a_browser_that_has_logged_in_is_not_limited(proxy: Proxy) -> None:
    """One password counts once, however many files a page has; the cookie alone opens nothing."""
    first = proxy.ask("/flower/", login())
    cookie = first.headers["set-cookie"]
    assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Strict")
    browser = {"Cookie": cookie.partition(";")[0]}
    client = proxy.client(proxy.edge)
    assert proxy.statuses(client, "/flower/static/app.js", 50, {**browser, **login()}) == [200] * 50
    assert proxy.statuses(client, "/flower/", 3, browser) == [401] * 3
    assert "set-cookie" not in proxy.ask("/").headers
    assert "set-cookie" not in proxy.ask("/metrics/..%2fstatic/style.css", login()).headers


def test_the_form_of_grafana_is_limited_for_whoever_posts(proxy: Proxy) -> None:
    """Each password that is sent counts; looking at pages does not."""
    statuses = [proxy.ask("/monitoring/login", method="POST").status for _ in range(8)]
    assert set(statuses) == {502, 429}
    assert statuses[-1] == 429
    assert proxy.ask("/monitoring/d/board").status == 502


def test_connections_of_one_address_are_counted(proxy: Proxy) -> None:
    """The 21st request that is open at the same time is refused."""
    held = []
    try:
        for number in range(25):
            tls = proxy.connect()
            tls.sendall(f"GET /api/v1/events?count=2&every=2&n={number} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            held.append(tls)
            time.sleep(0.11)  # below the rate
        statuses = [one.recv(12)[-3:].decode() for one in held]
        assert statuses.count("429") == 5
    finally:
        for one in held:
            one.close()


# --- Streams ----------------------------------------------------------------------------------------------------------


def events(proxy: Proxy, path: str) -> Iterator[tuple[float, str]]:
    """Give server-sent events with the second at which each arrived."""
    with proxy.connect() as tls:
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        for line in tls.makefile("rb"):
            if line.startswith(b"data:"):
                yield time.monotonic(), line.decode().strip()


def test_events_arrive_one_by_one(proxy: Proxy) -> None:
    """What the model says is not held back until it is complete."""
    seen = list(events(proxy, "/llm/v1/events?count=4&every=0.3"))
    assert [text for _, text in seen] == [f"data: {number}" for number in range(4)]
    gaps = [later - earlier for (earlier, _), (later, _) in zip(seen, seen[1:], strict=False)]
    assert all(0.1 < gap < 0.6 for gap in gaps), gaps


def test_a_websocket_passes(proxy: Proxy) -> None:
    """Messages go to the application and back."""
    raw = proxy.connect()
    with open_websocket(f"ws://{NAME}/ws/tenders/1", sock=raw, compression=None) as websocket:
        for word in ("hello", "again"):
            websocket.send(word)
            assert websocket.recv(timeout=5) == word


def test_http_2_is_spoken(proxy: Proxy) -> None:
    """A browser gets HTTP/2."""
    context = proxy.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with proxy.connect(context=context) as tls:
        assert tls.selected_alpn_protocol() == "h2"


# --- What changes while it runs ---------------------------------------------------------------------------------------


def test_maintenance_closes_and_opens_without_a_reload(proxy: Proxy) -> None:
    """503 with Retry-After on every route; certificates can be renewed, operators see their pages, the container lives."""
    proxy.put("/live/maintenance/on", b"")
    try:
        answer = proxy.ask("/api/v1/x", method="POST")
        assert (answer.status, answer.told["detail"]) == (503, "We are down for maintenance. Try again in a minute.")
        assert answer.headers["retry-after"] == "60"
        assert_headers(answer)
        page = proxy.ask("/")
        assert (page.status, b"maintenance" in page.body) == (503, True)
        assert {proxy.ask(path).status for path in ("/llm/v1/models", "/ws/x", "/health", "/static/style.css")} == {503}
        assert proxy.ask("/flower/").status == 401
        assert proxy.ask("/monitoring/").status == 502
        assert proxy.ask_plainly("/.well-known/acme-challenge/a-token").status == 200
        assert container_health(proxy) == "ok"
    finally:
        proxy.drop("/live/maintenance/on")
    assert proxy.ask("/api/v1/x").status == 200


def container_health(proxy: Proxy) -> str:
    url = "http://127.0.0.1:8080/nginx-health"
    return proxy.engine.command("exec", proxy.nginx, "curl", "--fail", "--silent", url).strip()


def test_a_certificate_changes_by_reload_and_no_stream_breaks(proxy: Proxy) -> None:
    """The next connection gets the new one; an answer that had begun is told to its end."""
    stream = events(proxy, "/llm/v1/events?count=8&every=0.5")
    assert next(stream)[1] == "data: 0"
    serial = proxy.renew()
    assert served_serial(proxy) != serial
    proxy.reload()
    wait_for(lambda: served_serial(proxy) == serial, 10)
    assert [text for _, text in stream] == [f"data: {number}" for number in range(1, 8)]


def served_serial(proxy: Proxy) -> int:
    with proxy.connect() as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").serial_number


def test_a_configuration_that_is_broken_is_refused(proxy: Proxy) -> None:
    """`nginx -t` says so and where, a reload changes nothing; the one in use is right."""
    assert proxy.engine.command("exec", proxy.nginx, "nginx", "-t") == ""
    path = "/live/upstreams/upstreams.conf"
    proxy.put(path, b'map "" $backend { default backend\n')
    try:
        with pytest.raises(EngineError) as caught:
            proxy.engine.command("exec", proxy.nginx, "nginx", "-t")
        assert "upstreams.conf" in caught.value.evidence
        with pytest.raises(EngineError):
            proxy.reload()
        assert proxy.ask("/api/v1/x").status == 200
    finally:
        proxy.put(path, (ROOT / "nginx/live/upstreams.conf").read_bytes())


def test_upstreams_change_by_reload(proxy: Proxy) -> None:
    """A deploy names other containers and reloads: they answer."""
    path, plain = "/live/upstreams/upstreams.conf", (ROOT / "nginx/live/upstreams.conf").read_bytes()
    proxy.stub("backend-next")
    proxy.put(path, plain.replace(b"default backend;", b"default backend-next;"))
    proxy.reload()
    wait_for(lambda: address_of(proxy) != "", 10)
    other = address_of(proxy)
    proxy.put(path, plain)
    proxy.reload()
    wait_for(lambda: address_of(proxy) not in {"", other}, 10)


def address_of(proxy: Proxy) -> str:
    answer = proxy.ask("/api/v1/x")
    return str(proxy.logged(answer.headers["x-request-id"])["upstream_addr"]) if answer.status == 200 else ""


def test_a_container_with_another_address_is_found(proxy: Proxy) -> None:
    """Its old address is another's now; within ten seconds and without a reload it answers again, 502 until then."""
    before = address_of(proxy)
    proxy.engine.command("rm", "--force", proxy.backend)
    proxy.containers.remove(proxy.backend)
    gone = proxy.ask("/api/v1/x")
    assert (gone.status, gone.told["status"]) == (502, 502)
    assert_headers(gone)
    proxy.client(proxy.edge)  # takes the address
    proxy.backend = proxy.stub("backend")
    assert wait_for(lambda: proxy.ask("/api/v1/x").status == 200, 15) < 10
    assert address_of(proxy) != before


# --- The container and TLS --------------------------------------------------------------------------------------------


def test_the_container_is_what_it_should_be(proxy: Proxy) -> None:
    """No root, no capability, no way to more rights, nothing to write to but /tmp; only two ports outside."""
    read = ("exec", proxy.nginx, "sh", "-c", "cat /proc/$(cat /tmp/nginx/nginx.pid)/status")
    status = dict(line.split(":\t", 1) for line in proxy.engine.command(*read).splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["101"] * 4
    assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, 0, "1")
    with pytest.raises(EngineError, match="Read-only file system"):
        proxy.engine.command("exec", proxy.nginx, "touch", "/etc/nginx/nginx.conf.new")
    published = {line.split("/")[0] for line in proxy.engine.command("port", proxy.nginx).splitlines()}
    assert published == {"8080", "8443"}
    setuid = ("run", "--rm", "--user", "0", "--entrypoint", "find", proxy.image, "/", "-xdev", "-type", "f", "-perm", "/6000")
    assert proxy.engine.command(*setuid) == ""


def test_its_own_pages_are_for_the_inside(proxy: Proxy) -> None:
    """The exporter reads the counters through the network; health answers on the container's own loopback alone."""
    client = proxy.client(proxy.edge)
    address = proxy.address(client)
    read = "import urllib.request; print(urllib.request.urlopen('http://{}').read().decode())"
    told = proxy.engine.command("exec", client, "python", "-c", read.format(f"{address}:8081/stub_status"))
    assert "Active connections" in told
    assert container_health(proxy) == "ok"
    with pytest.raises(EngineError):
        proxy.engine.command("exec", client, "python", "-c", read.format(f"{address}:8080/nginx-health"))


def test_the_modern_profile_has_tls_1_3_alone(proxy: Proxy) -> None:
    """TLS_PROFILE=modern drops 1.2, the other profile has it; an unknown one does not start."""
    old = proxy.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    proxy.connect(context=old).close()
    flags = [one for one in proxy.flags("modern") if not one.startswith("127.0.0.1") and one != "--publish"]
    rendered = proxy.engine.command("run", "--rm", *flags, proxy.image, "nginx", "-T")
    assert "ssl_protocols TLSv1.3;" in rendered
    flags = [one.replace("=intermediate", "=old") for one in proxy.flags("intermediate")]
    flags = [one for one in flags if not one.startswith("127.0.0.1") and one != "--publish"]
    with pytest.raises(EngineError, match="must be intermediate or modern"):
        proxy.engine.command("run", "--rm", *flags, proxy.image)


@pytest.fixture(scope="session")
def sslyze() -> str:
    """Give sslyze, in an environment of its own: it wants another cryptography than we do."""
    program = SSLYZE / "bin/sslyze"
    lock = ROOT / "tests/sslyze.txt"
    if not program.is_file() or program.stat().st_mtime < lock.stat().st_mtime:
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert uv, "uv comes with nox[uv]"
        make = [uv, "venv", "--quiet", "--clear", str(SSLYZE)]
        fill = [uv, "pip", "install", "--quiet", "--python", str(SSLYZE), "--require-hashes", "--requirement", str(lock)]
        for command in (make, fill):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode and not os.environ.get("CI"):
                pytest.skip(f"sslyze could not be installed: {done.stderr.strip().splitlines()[-1]}")
            assert done.returncode == 0, done.stderr
        program.touch()
    return str(program)


def test_tls_is_mozillas_intermediate(proxy: Proxy, sslyze: str, tmp_path: Path) -> None:
    """sslyze finds nothing that differs from it: protocols, suites, curves, HSTS, certificate."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(proxy.authority.pem)
    target = f"{NAME}:{proxy.https_port}" + "{127.0.0.1}"
    flags = ("--mozilla_config=intermediate", f"--certinfo_ca_file={authority}")
    done = subprocess.run([sslyze, *flags, target], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "OK - Compliant" in done.stdout
