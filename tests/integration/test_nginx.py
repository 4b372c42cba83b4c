"""The real Nginx image, hardened as in production: routes, headers, errors, log, limits."""

from __future__ import annotations

import json
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.nginx.proxy import NAME, Proxy, assert_headers, login, started, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cotai_tasks.engine import Engine


pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def proxy(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Give Nginx with stubs behind it."""
    yield from started(engine, tmp_path_factory.mktemp("nginx"))


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
    """The path arrives as it was sent, or without its prefix, with who asked and how, and no lie of a client."""
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
        assert head.startswith("http/2 200")
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
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        proxy.ask("/", sni="evil.test")
    with pytest.raises(ConnectionError):
        proxy.ask_plainly("/", "evil.test")
    for path in ("/.well-known/acme-challenge/other", "/.well-known/acme-challenge/", "/.well-known/x"):
        with pytest.raises(ConnectionError):
            proxy.ask_plainly(path, "evil.test")
    with pytest.raises(ConnectionError):
        proxy.ask("/api/", host="evil.test")
    assert proxy.ask("/api/", sni=f"www.{NAME}").status == 200


def test_a_token_of_the_certificate_authority_is_served(proxy: Proxy) -> None:
    """On port 80, as plain text, without a redirect; one that is not there is not there."""
    answer = proxy.ask_plainly("/.well-known/acme-challenge/a-token")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"a-token.thumbprint", "text/plain")
    assert proxy.ask_plainly("/.well-known/acme-challenge/other").status == 404
    new = proxy.ask_plainly("/.well-known/acme-challenge/a-token", "not.yet.known.test")
    assert (new.status, new.body) == (200, b"a-token.thumbprint")


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
    answer = proxy.ask("/api/v1/tenders?page=2", method="POST", body=bytes(10 * 2**20 + 1))
    assert (answer.status, answer.told["status"]) == (413, 413)
    assert_headers(answer)
    asked = {"level": "warning", "method": "POST", "path": "/api/v1/tenders", "args": "page=2", "status": 413}
    assert proxy.logged(answer.told["request_id"]).items() >= asked.items()


@pytest.mark.parametrize(
    ("offered", "taken"), [("my-id:1.2", True), ("no good", False), ("x" * 65, False), ("", False)]
)
def test_a_request_id_is_passed_on_returned_and_logged(proxy: Proxy, offered: str, taken: bool) -> None:  # noqa: FBT001
    """One that is fit for a log is kept, any other is replaced; the log has a line of JSON for it."""
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
    assert (
        proxy.statuses(client, "/metrics/", 8, *(login(f"guess-{number}") for number in range(8)))
        == [401] * 6 + [429] * 2
    )
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
