"""Certificates for real: an ACME server that looks at nginx, a renewal under load, refusals that change nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
import uv

from cotai_tasks.engine import Engine
from cotai_tasks.errors import CertificateError, Finding
from cotai_tasks.security.certificates import issue, make_authority
from cotai_tasks.security.certs import Way, certs
from cotai_tasks.security.certs_status import certificate_status
from cotai_tasks.security.installed import FOLDER, served_serial
from cotai_tasks.security.renew import renew
from cotai_tasks.settings import Settings, load_settings
from cotai_tasks.stack import open_stack
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.volumes import get_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.security.installed import Installed
    from cotai_tasks.stack import Stack

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PARTS = Path(__file__).parent / "acme"
LIBRARIES = ROOT / ".nox/acme-server"
NAME = "tenders.test"


@dataclass(frozen=True)
class World:
    """An nginx with a certificate, an authority that speaks ACME, and the settings that join them."""

    settings: Settings
    engine: Engine
    stack: Stack
    console: RecordingConsole

    def get(self, way: Way) -> Installed | None:
        """Run `security.certs`."""
        return certs(way, yes=True, settings=self.settings, engine=self.engine, console=self.console)

    def renew(self, *, force: bool = False) -> Installed | None:
        """Run `security.renew`."""
        return renew(force=force, settings=self.settings, engine=self.engine, console=self.console)

    def named(self, names: str) -> World:
        """Give the same world, whose SERVER_NAME is another."""
        variables = self.settings.variables.model_copy(update={"SERVER_NAME": names})
        settings = self.settings.model_copy(update={"variables": variables})
        return World(settings, self.engine, self.stack, RecordingConsole())

    def files(self, folder: str = FOLDER) -> dict[str, bytes]:
        """Give what is in a folder of the proxy's volume."""
        return get_folder(self.stack, self.engine, folder)

    def ask(self, service: str, *command: str) -> str:
        """Run a command in a container."""
        return self.engine.execute(self.stack.project, service, command)


@pytest.fixture(scope="module")
def libraries() -> Path:
    """Install the ACME server as its lock file says, for the Python of the image that it runs in."""
    lock = ROOT / "tests/acme-server.txt"
    stamp = LIBRARIES / "lock.txt"
    if not (stamp.is_file() and stamp.read_bytes() == lock.read_bytes()):
        shutil.rmtree(LIBRARIES, ignore_errors=True)
        target = ["--target", str(LIBRARIES), "--python-version", "3.13", "--only-binary", ":all:"]
        install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--require-hashes", "-r", str(lock), *target]
        subprocess.run(install, check=True)
        shutil.copyfile(lock, stamp)
    return LIBRARIES


@pytest.fixture(scope="module")
def world(libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start nginx with a certificate of a local authority, and a real ACME server beside it."""
    directory = tmp_path_factory.mktemp("project")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    make_parts(directory)
    environ = {
        "TEST_FOLDER": str(directory),
        "TEST_LIBRARIES": str(libraries),
        "TEST_RUNTIME": str(ROOT / "docker/runtime"),
        "TEST_PORT": str(port),
    }
    variables = {
        "SERVER_NAME": NAME,
        "ACME_EMAIL": "somebody@tenders.test",
        "ACME_DIRECTORY": f"https://127.0.0.1:{port}/directory",
        "BUILD_CA_FILE": str(directory / "acme/ca.pem"),
    }
    settings = load_settings(
        directory,
        "prod",
        environ={},
        project=f"cotai-test-{uuid.uuid4().hex[:6]}",
        overrides=variables,
    ).model_copy(update={"home": directory})
    engine = Engine(os.environ.get("COTAI_DOCKER", ""))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        stack = open_stack(settings, engine)
        made = World(settings, engine, stack, RecordingConsole())
        try:
            made.get(Way("self-signed"))
            assert "nginx does not run: it takes the certificate up when it starts" in made.console.text()
            for _ in engine.compose(stack.project, "up", "--detach", "nginx", "elsewhere", "authority"):
                pass
            wait_for(settings.variables.ACME_DIRECTORY, directory / "acme/ca.pem")
            yield made
        finally:
            for _ in engine.compose(stack.project, "down", "--volumes", "--timeout", "1"):
                pass


def make_parts(directory: Path) -> None:
    """Lay out a project: its Compose files, nginx's configuration, and the authority's keys."""
    now = datetime.now(UTC)
    authority = make_authority("A real authority", now=now)
    own = issue(authority, ["127.0.0.1"], days=1, now=now)
    files = {
        "docker/compose.yaml": (PARTS / "compose.yaml").read_bytes(),
        "docker/compose.prod.yaml": b"services: {}\n",
        "env/.env.production": b"",
        "nginx/nginx.conf": (PARTS / "nginx.conf").read_bytes(),
        "nginx/elsewhere.conf": (PARTS / "elsewhere.conf").read_bytes(),
        "nginx/slow": bytes(1_500_000),
        "acme/server.py": (PARTS / "server.py").read_bytes(),
        "acme/acme_srv.cfg": (PARTS / "acme_srv.cfg").read_bytes(),
        "acme/ca.pem": authority.certificate_pem,
        "acme/ca.key": authority.key_pem,
        "acme/tls.crt": own.chain_pem,
        "acme/tls.key": own.key_pem,
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def wait_for(authority: str, trusted: Path) -> None:
    """Wait until the authority answers; a busy host needs some seconds to load it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urlopen(authority, timeout=5, context=ssl.create_default_context(cafile=trusted)):  # noqa: S310 - ours
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the ACME server did not start")


def test_a_certificate_of_our_own_is_served(world: World) -> None:
    """Whoever trusts the local authority trusts nginx; the key is for nginx's user alone."""
    (world.settings.directory / "nginx/local-ca.pem").write_bytes(
        (world.settings.secrets_folder / "local-ca.pem").read_bytes()
    )
    curl = ["curl", "--silent", "--fail", "--cacert", "/etc/test/local-ca.pem"]
    answered = world.ask(
        "nginx", *curl, "--resolve", f"{NAME}:8443:127.0.0.1", "--write-out", "%{http_code}", f"https://{NAME}:8443/"
    )
    assert answered == "204"
    assert world.ask("nginx", "stat", "-c", "%u %a", "/etc/nginx/live/certs/privkey.pem") == "101 400\n"
    assert (world.settings.secrets_folder / "local-ca.key").stat().st_mode & 0o777 == 0o600
    status = certificate_status(settings=world.settings, engine=world.engine)
    assert (status.served, status.days_left, status.fault, status.warning) == ("yes", 89, "", "")


def test_an_authority_looks_at_nginx_and_signs(world: World) -> None:
    """The whole of RFC 8555 with HTTP-01: account, order, token, certificate; and nothing of it stays behind."""
    installed = world.get(Way("acme"))
    assert installed
    assert (installed.method, installed.names, installed.issuer) == ("acme", (NAME,), "A real authority")
    assert served_serial(NAME, world.stack, world.engine) == installed.serial
    assert json.loads(world.files()["certificate.json"]) == json.loads(json.dumps(installed.facts()))
    assert world.files("proxy/acme") == {}
    accounts = world.settings.secrets_folder / "acme-account.json"
    assert accounts.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(accounts.read_text())) == [world.settings.variables.ACME_DIRECTORY]


def test_renewal_does_nothing_until_it_is_due(world: World) -> None:
    """Run twice a day, it renews once in sixty days; `--force` renews now, with the same account."""
    before = world.files()
    assert world.renew() is None
    assert world.files() == before
    renewed = world.renew(force=True)
    assert renewed
    assert renewed.method == "acme"
    assert (
        served_serial(NAME, world.stack, world.engine)
        == renewed.serial
        != json.loads(before["certificate.json"])["serial"]
    )


def test_no_connection_is_dropped(world: World) -> None:
    """A download that began before a renewal ends whole, and no request in between is refused."""
    curl = ["curl", "--silent", "--insecure", "--output", "/dev/null"]
    told: dict[str, str] = {}

    def download() -> None:
        told["slow"] = world.ask(
            "elsewhere", *curl, "--write-out", "%{http_code} %{size_download}", f"https://{NAME}:8443/slow"
        )

    def many() -> None:
        loop = f"for i in $(seq 300); do {' '.join(curl)} --write-out '%{{http_code}}\\n' https://{NAME}:8443/; done"
        told["many"] = world.ask("elsewhere", "sh", "-c", loop)

    threads = [threading.Thread(target=one) for one in (download, many)]
    for one in threads:
        one.start()
    time.sleep(0.5)
    assert world.renew(force=True)
    assert threads[0].is_alive(), "the download must last longer than the renewal"
    for one in threads:
        one.join()
    assert told == {"slow": "200 1500000", "many": "204\n" * 300}


def test_a_name_that_leads_elsewhere_installs_nothing(world: World) -> None:
    """The authority's own words, the name that is wrong, and the certificate before still in its place."""
    before = world.files()
    with pytest.raises(CertificateError, match=r"did not find this host behind elsewhere\.test") as caught:
        world.named(f"{NAME} elsewhere.test").get(Way("acme"))
    assert [one.where for one in caught.value.findings] == ["elsewhere.test"]
    assert "Another server answers for it" in str(caught.value.findings[0])
    assert world.files() == before
    assert world.files("proxy/acme") == {}
    assert served_serial(NAME, world.stack, world.engine) == json.loads(before["certificate.json"])["serial"]


def test_a_chain_that_nobody_trusts_installs_nothing(world: World, tmp_path: Path) -> None:
    """Brought files are judged before nginx sees them."""
    now = datetime.now(UTC)
    stranger = issue(make_authority("A stranger", now=now), [NAME], days=30, now=now)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(stranger.chain_pem)
    key.write_bytes(stranger.key_pem)
    before = world.files()
    with pytest.raises(CertificateError, match="has one fault") as caught:
        world.get(Way("files", str(chain), str(key)))
    assert caught.value.findings == (
        Finding(
            str(chain),
            f"incomplete: A stranger, who signed {NAME}, is missing",
            "Append its certificate (and what it needs up to one that this host trusts);"
            " the authority gave it to you as chain or bundle.",
        ),
    )
    assert world.files() == before
