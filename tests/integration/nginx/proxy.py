"""The real Nginx image with stubs behind it, in a network of its own, and clients before it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cotai_tasks.build import build_images
from cotai_tasks.settings import load_settings
from cotai_tasks.stack import known_source, stack_variables
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.validate.groups.edge import API_POLICY, HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cotai_tasks.engine import Engine

ROOT = Path(__file__).parents[3]
NAME = "cotai.test"
PROBE = "10.251.77.0/28"
UPSTREAM = (Path(__file__).parent / "upstream.py").read_text()
PASSWORD = "right-password"
HTPASSWD = b"admin:{SSHA}" + base64.b64encode(hashlib.sha1(f"{PASSWORD}salt".encode()).digest() + b"salt")  # noqa: S324 - what Nginx reads


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What the stub was asked, or our own JSON."""
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass
class Authority:
    """A certificate authority of the test's own."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        own = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.pem = _pem(own.add_extension(usage, critical=True).sign(self.key, hashes.SHA256()))

    def issue(self) -> tuple[bytes, bytes, int]:
        """Give a certificate for 90 days, its key, and its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName(f"www.{NAME}")])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        made = self._builder(subject, key).add_extension(names, critical=False).add_extension(usage, critical=False)
        certificate = made.sign(self.key, hashes.SHA256())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return _pem(certificate), key.private_bytes(*form), certificate.serial_number

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder(issuer_name=self.name, subject_name=subject, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=90, hours=-1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer, critical=False)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Proxy:
    """Nginx with all its hardening, and how a test reaches it."""

    def __init__(self, engine: Engine, image: str, python: str, scratch: Path) -> None:
        self.engine, self.image, self.python, self.scratch = engine, image, python, scratch
        self.prefix = f"cotai-test-nginx-{uuid.uuid4().hex[:8]}"
        self.edge, self.probe = f"{self.prefix}-edge", f"{self.prefix}-probe"
        self.live, self.secrets = f"{self.prefix}-live", f"{self.prefix}-secrets"
        self.authority = Authority()
        self.containers: list[str] = []
        self.http_port, self.https_port = free_ports(2)
        engine.command("network", "create", self.edge)
        engine.command("network", "create", "--subnet", PROBE, self.probe)

    def start(self) -> None:
        """Fill the volumes as a deploy does, start the stubs and Nginx, and wait until it is healthy."""
        volumes = ("--volume", f"{self.live}:/live", "--volume", f"{self.secrets}:/secrets", "--user", "0")
        self.filler = self.run(*volumes, "--entrypoint", "sleep", self.image, "infinity")
        self.put("/live/upstreams/upstreams.conf", (ROOT / "nginx/live/upstreams.conf").read_bytes())
        self.put("/secrets/htpasswd", HTPASSWD)
        self.engine.command("exec", self.filler, "mkdir", "-p", "/live/maintenance")
        self.put("/live/acme/a-token", b"a-token.thumbprint")
        self.serial = self.renew()
        others = ("llm-service", "flower", "prometheus")
        self.stub(*others)
        self.backend = self.stub("backend")
        self.nginx = self.run(*self.flags("intermediate"), self.image)
        self.engine.command("network", "connect", self.probe, self.nginx)
        wait_for(lambda: self.engine.command("inspect", "--format", "{{.State.Running}}", self.nginx).strip() == "true")
        wait_for(lambda: self.ask("/api/").status == 200)

    def flags(self, profile: str) -> list[str]:
        """Give the flags of a hardened container, as the production stack has them."""
        variables = {
            "SERVER_NAME": f"{NAME} www.{NAME}",
            "PROBE_SUBNET": PROBE,
            "TLS_PROFILE": profile,
            "HTTPS_PORT": str(self.https_port),
        }
        ports = (f"127.0.0.1:{self.http_port}:8080", f"127.0.0.1:{self.https_port}:8443")
        return [
            *("--user", "101:101", "--read-only", "--tmpfs", "/tmp:mode=1777,size=64m", "--network", self.edge),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--volume", f"{self.live}:/etc/nginx/live:ro", "--volume", f"{self.secrets}:/run/secrets:ro"),
            *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
            *(part for port in ports for part in ("--publish", port)),
        ]

    def run(self, *arguments: str) -> str:
        """Start a container that ends with the test."""
        name = f"{self.prefix}-{uuid.uuid4().hex[:4]}"
        self.engine.command("run", "--detach", "--name", name, *arguments)
        self.containers.append(name)
        return name

    def stub(self, *aliases: str) -> str:
        """Start what stands for services behind Nginx."""
        names = [part for alias in aliases for part in ("--network-alias", alias)]
        return self.run("--network", self.edge, *names, self.python, "python", "-c", UPSTREAM)

    def client(self, network: str) -> str:
        """Start a container to ask from, with an address of its own."""
        return self.run("--network", network, self.python, "sleep", "infinity")

    def statuses(self, client: str, path: str, count: int, *headers: Mapping[str, str]) -> list[int]:
        """Ask so many times from a client, as fast as it can; each with the next of the headers."""
        code = _CLIENT.format(host=NAME, address=self.address(client), path=path, count=count, headers=headers or ({},))
        told: list[int] = json.loads(self.engine.command("exec", client, "python", "-c", code))
        return told

    def address(self, client: str) -> str:
        """Give Nginx' address in the network of a client."""
        told = json.loads(self.engine.command("inspect", self.nginx, client))
        network = next(iter(told[1]["NetworkSettings"]["Networks"]))
        return str(told[0]["NetworkSettings"]["Networks"][network]["IPAddress"])

    def put(self, path: str, content: bytes) -> None:
        """Write a file into a volume."""
        file = self.scratch / "file"
        file.write_bytes(content)
        file.chmod(0o644)
        self.engine.command("exec", self.filler, "mkdir", "-p", str(Path(path).parent))
        self.engine.command("cp", str(file), f"{self.filler}:{path}")

    def drop(self, path: str) -> None:
        """Remove a file from a volume."""
        self.engine.command("exec", self.filler, "rm", path)

    def renew(self) -> int:
        """Put a fresh certificate into the volume; give its serial number."""
        certificate, key, serial = self.authority.issue()
        self.put("/live/certs/fullchain.pem", certificate)
        self.put("/live/certs/privkey.pem", key)
        return serial

    def reload(self) -> None:
        """Let Nginx read its configuration again."""
        self.engine.command("exec", self.nginx, "nginx", "-s", "reload")

    def context(self) -> ssl.SSLContext:
        """Trust the test's own authority."""
        return ssl.create_default_context(cadata=self.authority.pem.decode())

    def connect(self, sni: str = NAME, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Open a TLS connection to the published port."""
        raw = socket.create_connection(("127.0.0.1", self.https_port), timeout=30)
        try:
            return (context or self.context()).wrap_socket(raw, server_hostname=sni)
        except BaseException:
            raw.close()
            raise

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        sni: str = NAME,
        host: str = "",
    ) -> Answer:
        """Ask over HTTPS as a client on this machine does."""
        connection = http.client.HTTPConnection(NAME)
        connection.sock = self.connect(sni)
        return _exchange(connection, method, path, body, {"Host": host or sni, **(headers or {})})

    def ask_plainly(self, path: str, host: str = NAME, method: str = "GET") -> Answer:
        """Ask on the port for HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        return _exchange(connection, method, path, None, {"Host": host})

    def logged(self, request_id: str) -> dict[str, Any]:
        """Find the line of the access log that has a request id."""
        lines: list[dict[str, Any]] = []

        def found() -> bool:
            text = self.engine.command("logs", self.nginx)
            lines[:] = [one for line in text.splitlines() if (one := json.loads(line))["request_id"] == request_id]
            return bool(lines)

        wait_for(found)
        return lines[0]

    def remove(self) -> None:
        """Remove everything by its name."""
        if self.containers:
            self.engine.command("rm", "--force", "--volumes", *self.containers)
        self.engine.command("network", "rm", self.edge, self.probe)
        if self.containers:
            self.engine.command("volume", "rm", self.live, self.secrets)


def started(engine: Engine, scratch: Path) -> Iterator[Proxy]:
    """Build the image as `inv build.image nginx` does, and have it running for a while."""
    repository = f"cotai-test/nginx-{uuid.uuid4().hex[:8]}"
    settings = load_settings(ROOT, "dev", environ={**os.environ, "COTAI_REPOSITORY": repository})
    (image,) = build_images(["nginx"], settings=settings, engine=engine, console=RecordingConsole()).images
    python = stack_variables(settings, known_source(settings, engine))["PYTHON_IMAGE"]
    made = Proxy(engine, image, python, scratch)
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


_CLIENT = """
import http.client, json, socket, ssl
context = ssl._create_unverified_context()
statuses = []
for number in range({count}):
    connection = http.client.HTTPConnection("{host}")
    raw = socket.create_connection(("{address}", 8443), timeout=10)
    connection.sock = context.wrap_socket(raw, server_hostname="{host}")
    given = {headers}
    connection.request("GET", "{path}", headers=given[number % len(given)])
    statuses.append(connection.getresponse().status)
    connection.close()
print(json.dumps(statuses))
"""


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> Answer:
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        pairs = [(name.lower(), value) for name, value in response.getheaders()]
        assert len(dict(pairs)) == len(pairs), f"a header stands twice: {sorted(pairs)}"
        return Answer(response.status, dict(pairs), response.read())
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(condition: Any, seconds: float = 30) -> float:  # noqa: ANN401 - any function without arguments
    """Ask again and again until it is so; give the seconds that it took."""
    begun = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - begun
        except (OSError, http.client.HTTPException):
            pass
        assert time.monotonic() - begun < seconds, "it did not come to pass"
        time.sleep(0.1)
