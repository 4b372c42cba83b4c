"""The real scanners, on files and images that are as wrong as people make them."""

from __future__ import annotations

import io
import json
import os
import shutil
import socketserver
import ssl
import subprocess
import tarfile
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cotai_tasks.errors import CertificateError
from cotai_tasks.security import MissingToolError, Severity, grade_tls, sbom, scan, tool
from cotai_tasks.security.cis import judge_containers
from cotai_tasks.security.scanning.tree import PLANTED
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.integration.alone import free_port, new_project
from tests.unit.deploy.stacks import settings as development
from tests.unit.security.production import settings as production

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine
    from cotai_tasks.security import Report
    from cotai_tasks.security.scanning.flaws import Part
    from cotai_tasks.settings import Settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PARTS: list[Part] = ["dockerfiles", "compose", "nginx", "workflows", "repository"]


@pytest.fixture(scope="module", autouse=True)
def _scanners() -> None:
    """Install them, or say why not."""
    try:
        for name in ("trivy", "sslyze"):
            tool(name)
    except MissingToolError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


GOOD = {
    "Dockerfile": "FROM python:3.13.1-slim\nCOPY . /app\nUSER 10001\nHEALTHCHECK CMD true\n",
    "compose.yaml": "services:\n  web:\n    image: shop/web:1.2.3\n",
    ".github/workflows/ci.yml": "name: ci\non: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
    "    timeout-minutes: 5\n    steps:\n      - run: make\n",
    "config.py": "KEY_FILE = '/run/secrets/key'\n",
}
BAD = {
    "Dockerfile": "FROM python\nADD http://example.org/tool.tgz /opt/\nMAINTAINER me\nUSER root\n",
    "compose.yaml": "services:\n  web:\n    image: shop/web:latest\n    privileged: true\n    pids: many\n",
    ".github/workflows/ci.yml": "name: ci\non: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
    "    steps:\n      - run: echo ${{ github.event.pull_request.title }}\n      - run: echo ${{ matrix.nothing }}\n",
}


def project(folder: Path, files: dict[str, str]) -> Settings:
    """Make a project of its own in git, with Nginx as the stack has it."""
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copytree(ROOT / "nginx", folder / "nginx")
    return development().model_copy(update={"directory": folder, "home": folder})


def scanned(made: Settings, *parts: Part) -> Report:
    return scan(parts or PARTS, settings=made, engine=None, console=RecordingConsole())


def test_a_good_project_passes(tmp_path: Path) -> None:
    """Nothing of high severity, by any scanner; each one looked at something."""
    report = scanned(project(tmp_path, GOOD))
    assert report.worse_than(Severity.HIGH) == ()
    assert report.skipped == ()
    assert {(one.part, one.tool.split()[0]) for one in report.looked} == {
        ("dockerfiles", "hadolint"),
        ("dockerfiles", "trivy"),
        ("compose", "compose-lint"),
        ("compose", "check-jsonschema"),
        ("nginx", "gixy"),
        ("workflows", "zizmor"),
        ("workflows", "jactionlint"),
        ("workflows", "check-jsonschema"),
        ("repository", "gitleaks"),
        ("repository", "trivy"),
    }


def test_a_bad_project_fails_everywhere(tmp_path: Path) -> None:
    """Every scanner finds what it is for, where it is; the key is told by no word of it."""
    key = "AKIA" + "Q3ZT7LBWMX5RKH2P"
    made = project(tmp_path, BAD | {"config.py": f'\nAWS_ACCESS_KEY_ID = "{key}"\n'})
    servers = tmp_path / "nginx/templates/servers.conf.template"
    servers.write_text("server {\n    listen 8080;\n    location / { return 302 https://$host$uri; }\n}\n")
    report = scanned(made)
    found = {(one.tool, one.rule, one.place) for one in report.worse_than(Severity.MEDIUM)}
    assert found >= {
        ("hadolint", "DL3002", "Dockerfile:4"),
        ("hadolint", "DL4000", "Dockerfile:3"),
        ("trivy", "DS-0002", "Dockerfile:4"),
        ("compose-lint", "CL-0002", "compose.yaml:4"),
        ("check-jsonschema", "schema", "compose.yaml"),
        ("zizmor", "template-injection", ".github/workflows/ci.yml:7"),
        ("zizmor", "dangerous-triggers", ".github/workflows/ci.yml:2"),
        ("gitleaks", "aws-access-token", "config.py:2"),
        ("trivy", "aws-access-key-id", "config.py:2"),
    }
    assert ("gixy", "http_splitting") in {(one.tool, one.rule) for one in report.flaws}
    assert {one.tool for one in report.flaws if one.part == "workflows"} == {"zizmor", "jactionlint"}
    assert key not in str(report)
    assert PLANTED not in str(report)


def test_files_that_nobody_can_read_are_no_pass(tmp_path: Path) -> None:
    """YAML that is none, an Nginx configuration that is cut off: each is a critical flaw."""
    made = project(tmp_path, GOOD | {"compose.yaml": "services: [\n"})
    (tmp_path / "nginx/nginx.conf").write_text("http { server { listen 80 ")
    report = scanned(made, "compose", "nginx")
    broken = {(one.part, one.tool) for one in report.flaws if one.rule == "scanner-failed"}
    assert broken == {("compose", "compose-lint"), ("nginx", "gixy")}
    assert [one.message for one in report.flaws if one.tool == "check-jsonschema"] == ["Failed to parse compose.yaml"]


def test_what_git_ignores_is_not_scanned(tmp_path: Path) -> None:
    """A secret in its place is no finding, and one that would be committed is."""
    made = project(tmp_path, GOOD | {".gitignore": "env/secrets/\n", "env/secrets/tls.key": private_key()})
    assert scanned(made, "repository").flaws == ()
    (tmp_path / "server.key").write_text(private_key())
    assert {one.where for one in scanned(made, "repository").flaws} == {"server.key"}


def test_a_configuration_that_hides_everything_is_noticed(tmp_path: Path) -> None:
    """Whoever lists all files as allowed has switched the scanner off."""
    made = project(tmp_path, GOOD | {".gitleaks.toml": '[extend]\nuseDefault = true\n[allowlist]\npaths = [".*"]\n'})
    assert [(one.tool, one.rule) for one in scanned(made, "repository").flaws] == [("gitleaks", "scanner-failed")]


# --- Images -----------------------------------------------------------------------------------------------------------

STATUS = "Package: tool\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: all\nMaintainer: me\n\n"


@pytest.fixture(scope="module")
def image(engine: Engine) -> Iterator[str]:
    """Make an image of three files: a system, a package, and a key that somebody has left in it."""
    files = {
        "etc/os-release": "ID=debian\nVERSION_ID=13\n",
        "etc/debian_version": "13.1\n",
        "app/server.key": private_key(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in (files | {"var/lib/dpkg/status": STATUS}).items():
            one = tarfile.TarInfo(name)
            one.size = len(text)
            archive.addfile(one, io.BytesIO(text.encode()))
    name = f"cotai-test/{uuid.uuid4().hex[:6]}:1"
    with engine.pipe("import", "--change", "USER root", "-", name, what="import") as running:
        running.write(packed.getvalue())
        running.finish()
    yield name
    engine.remove_images([name])


def test_a_key_in_an_image_is_found(image: str, engine: Engine) -> None:
    """Wherever the engine is: what it saves is read. Holes are looked for, or skipped with the reason."""
    report = scan(["images"], images=[image], settings=development(), engine=engine, console=RecordingConsole())
    assert [(one.rule, one.place) for one in report.flaws if one.kind == "secret"] == [
        ("private-key", f"{image}: /app/server.key:1")
    ]
    assert [one.at for one in report.looked] == ["1 image"]
    assert {one.kind for one in report.skipped} <= {"vulnerability"}


def test_an_image_is_described(image: str, engine: Engine, tmp_path: Path) -> None:
    """In both formats, by its name, with its package."""
    bills = sbom([image], folder=tmp_path, engine=engine, console=RecordingConsole())
    cyclonedx, spdx = (json.loads(one.path.read_text()) for one in bills)
    assert (cyclonedx["bomFormat"], cyclonedx["metadata"]["component"]["name"]) == ("CycloneDX", image)
    assert "tool" in {one["name"] for one in cyclonedx["components"]}
    assert (spdx["spdxVersion"], spdx["name"]) == ("SPDX-2.3", image)
    assert "tool" in {one["name"] for one in spdx["packages"]}


def test_a_careless_container_fails_the_benchmark(image: str, engine: Engine) -> None:
    """As the engine tells of it; one made with care passes."""
    name = new_project()
    label = ("--label", f"com.docker.compose.project={name}")
    careless = (
        *("--privileged", "--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host"),
        *("--volume", "/var/run/docker.sock:/var/run/docker.sock", "--volume", "/etc:/host:ro,rshared"),
        *("--device", "/dev/null", "--security-opt", "seccomp=unconfined", "--restart", "always"),
    )
    careful = (
        *("--user", "10001", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
        *("--read-only", "--memory", "64m", "--cpus", "1", "--pids-limit", "50", "--health-cmd", "true"),
    )
    made = [engine.command("create", *label, *flags, image, "true").strip() for flags in (careless, careful)]
    try:
        raw = {one["Id"]: one for one in engine.inspect(name)}
        bad, good = (
            {point.number for point in judge_containers([raw[one]], engine.info()) if point.state in {"FAIL", "WARN"}}
            for one in made
        )
    finally:
        engine.command("rm", *made)
    low = {"4.1", "4.6", "5.4", "5.5", "5.6", "5.10", "5.11", "5.12", "5.13", "5.15", "5.16", "5.17", "5.18"}
    assert bad >= low | {"5.20", "5.21", "5.22", "5.26", "5.29", "5.32"}
    assert good <= {"5.2", "5.27"}  # it does not run: nothing confines it yet, nobody asks for its health


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[str]:
    """Serve TLS as it was ten years ago, with a certificate that nobody knows."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=60))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = tmp_path / "server.pem"
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    chain.write_bytes(certificate + key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with context.wrap_socket(self.request, server_side=True) as tls:
                    tls.settimeout(3)
                    tls.recv(1000)
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"localhost:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TLS 1.0, which is the point
def test_an_old_server_gets_an_f(old_server: str, tmp_path: Path) -> None:
    """With what is wrong with it, the worst first; against both profiles."""
    for profile in ("intermediate", "modern"):
        grade = grade_tls(settings=production(tmp_path), engine=FakeEngine(), host=old_server, profile=profile)
        assert (grade.mark, grade.compliant) == ("F", False)
        assert {"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"} == set(grade.protocols)
        assert {"C: TLS 1.0 is accepted", "C: TLS 1.1 is accepted"} <= set(grade.faults)
        assert grade.faults[0].startswith("F: ")
        assert any("browsers refuse the certificate" in fault for fault in grade.faults)
        assert any("Strict-Transport-Security is missing" in fault for fault in grade.faults)


def test_nobody_there(tmp_path: Path) -> None:
    """A port that nobody listens on is told as such."""
    with pytest.raises(CertificateError, match="nobody speaks TLS at localhost"):
        grade_tls(settings=production(tmp_path), engine=FakeEngine(), host=f"localhost:{free_port()}")
