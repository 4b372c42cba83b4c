"""The real Nginx image: streams, what changes while it runs, the container itself, and TLS."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from websockets.sync.client import connect as open_websocket

from cotai_tasks.errors import EngineError
from cotai_tasks.security import MissingToolError, tool
from tests.integration.nginx.proxy import NAME, ROOT, Proxy, assert_headers, started, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cotai_tasks.engine import Engine


pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def proxy(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Give Nginx with stubs behind it."""
    yield from started(engine, tmp_path_factory.mktemp("nginx"))


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
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(seen)]
    assert all(0.1 < gap < 0.6 for gap in gaps), gaps


def test_a_websocket_passes(proxy: Proxy) -> None:
    """Messages go to the application and back."""
    context = proxy.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # of 1.3, a ticket may be read by one thread while another writes
    raw = proxy.connect(context=context)
    with open_websocket(f"ws://{NAME}/ws/tenders/1", sock=raw, compression=None) as websocket:
        for word in ("hello", "again"):
            websocket.send(word)
            assert websocket.recv(timeout=5) == word


def test_a_probe_goes_on_when_nginx_ends_its_connection(proxy: Proxy) -> None:
    """As it does after a thousand answers: another is opened, with TLS again; who asks so fast is refused meanwhile."""
    pages = {"health": {"url": f"https://127.0.0.1:{proxy.https_port}/health", "name": NAME}}
    spec = {"series": pages, "clients": 1, "warmup": 1, "requests": 1005}
    program = f"SPEC = {spec!r}\n{(ROOT / 'cotai_tasks/validate/probes/load.py').read_text()}"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    statuses = json.loads(told)["health"]["statuses"]
    assert (statuses.keys() - {"200", "429"}, sum(statuses.values())) == (set(), 1005)


def test_http_2_is_spoken(proxy: Proxy) -> None:
    """A browser gets HTTP/2."""
    context = proxy.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with proxy.connect(context=context) as tls:
        assert tls.selected_alpn_protocol() == "h2"


# --- What changes while it runs ---------------------------------------------------------------------------------------


def test_maintenance_closes_and_opens_without_a_reload(proxy: Proxy) -> None:
    """503 with Retry-After on every route; certificates can be renewed, and operators see their pages."""
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
    """Its old address is another's now; an error, and within ten seconds, without a reload, an answer."""
    before = address_of(proxy)
    proxy.engine.command("rm", "--force", proxy.backend)
    proxy.containers.remove(proxy.backend)
    gone = proxy.ask("/api/v1/x")
    assert gone.status in {502, 504}, gone
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
    setuid = (
        "run",
        "--rm",
        "--user",
        "0",
        "--entrypoint",
        "find",
        proxy.image,
        "/",
        "-xdev",
        "-type",
        "f",
        "-perm",
        "/6000",
    )
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
    assert "ssl_ecdh_curve X25519MLKEM768:X25519:" in rendered  # Debian 13 has OpenSSL 3.5, in both images
    flags = [one.replace("=intermediate", "=old") for one in proxy.flags("intermediate")]
    flags = [one for one in flags if not one.startswith("127.0.0.1") and one != "--publish"]
    with pytest.raises(EngineError, match="must be intermediate or modern"):
        proxy.engine.command("run", "--rm", *flags, proxy.image)


@pytest.fixture(scope="session")
def sslyze() -> str:
    """Give sslyze, which `inv security.tls` brings along."""
    try:
        return str(tool("sslyze").path)
    except MissingToolError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def test_tls_is_mozillas_intermediate(proxy: Proxy, sslyze: str, tmp_path: Path) -> None:
    """Nothing that sslyze looks at differs from it: protocols, suites, curves, certificate; HSTS is asked above."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(proxy.authority.pem)
    target = f"{NAME}:{proxy.https_port}" + "{127.0.0.1}"
    flags = ("--mozilla_config=intermediate", f"--certinfo_ca_file={authority}")
    done = subprocess.run([sslyze, *flags, target], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "OK - Compliant" in done.stdout
