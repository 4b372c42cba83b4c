"""`./bootstrap` on bare machines, which are containers here, and on this one.

A bare machine is a minimal Debian with Python and nothing else; it may start a Docker daemon of its own.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DOCKER = os.environ.get("COTAI_DOCKER", "docker")
CODENAMES = {"12": "bookworm", "13": "trixie"}
NOT_THE_PROJECT = shutil.ignore_patterns(".git", ".venv", ".nox", ".*_cache", "__pycache__", "backups", "build", "dist")
CA_BUNDLE = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"

# A docker client that answers as it is told to: the versions of Compose and of the engine, or the engine's complaint.
STUB_DOCKER = """#!/bin/sh
case "$1" in
    compose) echo "$STUB_COMPOSE" ;;
    version) case $STUB_ENGINE in [0-9]*) echo "$STUB_ENGINE" ;; *) echo "$STUB_ENGINE" >&2; exit 1 ;; esac ;;
    context) echo default ;;
esac
"""


@dataclass(frozen=True)
class Outcome:
    """How one run of bootstrap ended, and how long it took in seconds."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def last_line(self) -> str:
        """Return what bootstrap said last."""
        return self.stderr.strip().splitlines()[-1]


def run(*command: str, env: dict[str, str] | None = None) -> Outcome:
    started = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def succeed(*command: str) -> str:
    outcome = run(*command)
    assert outcome.code == 0, outcome.stderr
    return outcome.stdout.strip()


def write_script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def bare_debian(release: str) -> str:
    """Return the image of a bare Debian, built once for each recipe."""
    recipe = ["mmdebstrap", "--variant=minbase", "--include=python3,ca-certificates"]
    for setting in ("Acquire::Check-Valid-Until", "Acquire::Check-Date"):
        # A host that had to relax these to use its mirror needs the same inside.
        value = succeed("apt-config", "shell", "VALUE", setting).partition("=")[2].strip("';")
        recipe += [f"--aptopt={setting} {value};"] if value else []
    recipe += [CODENAMES[release], "-", *host_mirror()]
    digest = hashlib.sha256(shlex.join(recipe).encode()).hexdigest()
    tag = f"cotai-test/debian:{release}"
    label = run(DOCKER, "image", "inspect", "--format", '{{index .Config.Labels "recipe"}}', tag).stdout.strip()
    if label != digest:
        with tempfile.NamedTemporaryFile(suffix=".tar") as tree:  # through a pipe, half of one would be imported too
            succeed(*(tree.name if part == "-" else part for part in recipe))
            succeed(DOCKER, "import", "--change", f"LABEL recipe={digest}", tree.name, tag)
    return tag


def host_mirror() -> list[str]:
    """Return the mirror that a Debian host uses for its own packages; another host leaves the choice to mmdebstrap."""
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    targets = [line.split() for line in succeed("apt-get", "indextargets", "--format", form).splitlines()]
    mirrors = [uri for codename, component, uri in targets if codename in CODENAMES.values() and component == "main"]
    return mirrors[:1]


class Machine:
    """A container that stands for a machine with a copy of the project in /project."""

    def __init__(self, release: str, *options: str) -> None:
        self.name = f"cotai-test-{uuid.uuid4().hex[:12]}"
        trust = ["--volume", f"{CA_BUNDLE}:/etc/ssl/certs/ca-certificates.crt:ro"]
        for variable in ("SSL_CERT_FILE", "PIP_CERT"):
            trust += ["--env", f"{variable}=/etc/ssl/certs/ca-certificates.crt"]
        image = bare_debian(release)
        succeed(DOCKER, "run", "--detach", "--init", "--name", self.name, *trust, *options, image, "sleep", "infinity")

    def execute(self, *command: str, env: dict[str, str] | None = None, user: str = "root") -> Outcome:
        """Run a command on the machine."""
        settings = [f"--env={name}={value}" for name, value in (env or {}).items()]
        return run(DOCKER, "exec", "--user", user, *settings, self.name, *command)

    def bootstrap(self, *command: str, env: dict[str, str] | None = None, user: str = "root") -> Outcome:
        """Run bootstrap on the machine."""
        return self.execute("/project/bootstrap", *command, env=env, user=user)

    def shell(self, script: str) -> str:
        """Run a script as root that must succeed, and return its output."""
        outcome = self.execute("sh", "-c", script)
        assert outcome.code == 0, outcome.stderr
        return outcome.stdout.strip()

    def remove(self) -> None:
        """Remove the machine and its disks."""
        succeed(DOCKER, "rm", "--force", "--volumes", self.name)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project on this machine, whose .venv a test may remove."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("clone") / "project", ignore=NOT_THE_PROJECT))


@pytest.fixture(scope="module")
def host_env() -> dict[str, str]:
    """Return this machine's environment without settings that change what bootstrap does."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COTAI_", "DOCKER_"))}


@pytest.fixture(scope="module")
def bare(project: Path) -> Iterator[Machine]:
    """Return a bare Debian 13 that no test changes."""
    machine = Machine("13")
    try:
        succeed(DOCKER, "cp", str(project), f"{machine.name}:/project")
        yield machine
    finally:
        machine.remove()


@pytest.fixture(scope="module", params=["12", "13"], ids=["debian-12", "debian-13"])
def prepared(request: pytest.FixtureRequest, project: Path) -> Iterator[tuple[Machine, Outcome]]:
    """Return a machine that was bare until bootstrap ran on it, and how that went."""
    machine = Machine(request.param, "--privileged", "--volume", "/var/lib/docker")
    try:
        shutil.rmtree(project / ".venv", ignore_errors=True)
        succeed(DOCKER, "cp", str(project), f"{machine.name}:/project")
        yield machine, machine.bootstrap("inv", "--version")
    finally:
        machine.remove()


def test_bare_machine_becomes_ready(prepared: tuple[Machine, Outcome]) -> None:
    """One command on a bare Debian ends in the command's own output, with a sufficient engine of its own."""
    machine, first = prepared
    assert first.code == 0, first.stderr
    assert first.stdout.startswith("Invoke ")
    assert int(machine.shell("docker version --format '{{.Server.Version}}'").partition(".")[0]) >= 26
    assert machine.shell("docker compose version --short && docker buildx version && command -v mmdebstrap")


def test_second_run_is_immediate_and_silent(prepared: tuple[Machine, Outcome]) -> None:
    """When nothing is missing, bootstrap says nothing and takes at most two seconds and a tenth of the first run."""
    machine, first = prepared
    second = machine.bootstrap("sh", "-c", "pwd; exit 7")
    assert (second.code, second.stdout, second.stderr) == (7, "/project\n", "")
    assert second.seconds < min(2, first.seconds / 10)


def test_stopped_daemon_is_started(prepared: tuple[Machine, Outcome]) -> None:
    """An engine that is installed and does not run is started, not installed again."""
    machine, _ = prepared
    machine.shell('kill "$(cat /var/run/docker.pid)"; while [ -e /var/run/docker.pid ]; do sleep 0.1; done')
    outcome = machine.bootstrap("docker", "version")
    assert outcome.code == 0, outcome.stderr
    assert "Starting the Docker daemon" in outcome.last_line
    assert "Installing" not in outcome.stderr


def test_daemon_that_does_not_come_up_shows_its_log(prepared: tuple[Machine, Outcome]) -> None:
    """A daemon that ends at once is not waited for: the end of its log is shown, and one line."""
    machine, _ = prepared
    machine.shell('kill "$(cat /var/run/docker.pid)"; while [ -e /var/run/docker.pid ]; do sleep 0.1; done')
    machine.shell("mkdir -p /etc/docker && echo '{\"no-such-setting\": 1}' >/etc/docker/daemon.json")
    outcome = machine.bootstrap("true")
    machine.shell("rm /etc/docker/daemon.json")
    assert outcome.code == 4
    assert "no-such-setting" in outcome.stderr
    assert "did not come up" in outcome.last_line
    assert outcome.seconds < 30
    assert machine.bootstrap("true").code == 0


def test_account_without_the_socket_is_told_the_group(prepared: tuple[Machine, Outcome]) -> None:
    """Whoever may not use the socket reads how to; whoever is in its group needs neither root nor sudo."""
    machine, _ = prepared
    refused = machine.bootstrap("true", user="nobody")
    assert refused.code == 4
    assert refused.stderr.count("\n") == 1
    assert "usermod -aG docker nobody" in refused.stderr
    machine.shell("usermod -aG docker nobody")
    assert machine.bootstrap("true", user="nobody").code == 0


def test_lost_network_while_installing_is_named(prepared: tuple[Machine, Outcome]) -> None:
    """A changed lock file without a network ends in one line on the network, and never in a .venv believed complete."""
    machine, _ = prepared
    machine.shell("echo '# changed' >>/project/requirements.lock")
    succeed(DOCKER, "network", "disconnect", "bridge", machine.name)
    machine.shell(": >/etc/resolv.conf")  # names fail at once instead of after a time-out
    outcome = machine.bootstrap("inv", "--version", env={"PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1"})
    assert (outcome.code, outcome.stdout) == (5, "")
    assert "check the network" in outcome.last_line
    assert machine.shell("ls -A /project/.venv") != ""
    assert machine.execute("test", "-e", "/project/.venv/made-from").code == 1


def test_bare_machine_without_network() -> None:
    """Without a network a bare machine ends in one line on the network."""
    machine = Machine("12", "--network", "none", "--volume", f"{ROOT}:/project:ro")
    try:
        outcome = machine.bootstrap("true")
    finally:
        machine.remove()
    assert outcome.code == 5
    assert "check the network" in outcome.last_line


def test_bare_machine_without_root(bare: Machine) -> None:
    """Without root and sudo bootstrap installs nothing: it names the package."""
    outcome = bare.bootstrap("true", user="nobody")
    assert outcome.code == 3
    assert outcome.stderr.count("\n") == 1
    assert "apt-get install python3.13-venv" in outcome.stderr


def test_forbidden_installation(bare: Machine) -> None:
    """COTAI_INSTALL_DOCKER=0 installs nothing: one line says what is missing, first for Python, then for the engine."""
    forbid = {"COTAI_INSTALL_DOCKER": "0"}
    without_venv = bare.bootstrap("true", env=forbid)
    assert (without_venv.code, without_venv.stderr.count("\n")) == (3, 1)
    # A module of this name stands for the package.
    bare.shell("mkdir -p /modules && touch /modules/ensurepip.py")
    without_engine = bare.bootstrap("true", env=forbid | {"PYTHONPATH": "/modules"})
    assert (without_engine.code, without_engine.stderr.count("\n")) == (4, 1)
    assert "COTAI_INSTALL_DOCKER=0" in without_engine.stderr
    assert bare.execute("sh", "-c", "command -v docker || ls /project/.venv").code != 0


def test_python_too_old(bare: Machine, tmp_path: Path) -> None:
    """Each Python is asked: names that are no Python are passed over, and an old one is named with its version."""
    for minor in range(11, 15):
        write_script(tmp_path / "shims" / f"python3.{minor}", "#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
    write_script(tmp_path / "shims" / "python3", "#!/bin/sh\necho 3.9.18 /usr/bin/python3\n")
    succeed(DOCKER, "cp", str(tmp_path / "shims"), f"{bare.name}:/shims")
    outcome = bare.bootstrap("true", env={"PATH": "/shims:/usr/bin:/bin"})
    assert outcome.code == 3
    assert outcome.stderr == (
        "bootstrap: Python 3.11 or newer is needed, found 3.9.18 (python3): install one (Debian 12+, Ubuntu 24.04+: "
        "apt-get install python3 python3-venv) or name it in COTAI_PYTHON.\n"
    )
    assert "found none" in bare.bootstrap("true", env={"COTAI_PYTHON": "/no/such/python"}).stderr


def test_interrupted_run_is_made_good_by_two_at_once(project: Path, host_env: dict[str, str]) -> None:
    """Ctrl-C leaves nothing half-made: of two runs that follow at once, one starts over, one waits, both succeed."""
    shutil.rmtree(project / ".venv", ignore_errors=True)
    command = [str(project / "bootstrap"), "inv", "--version"]
    # Whoever runs the tests in the background has SIGINT ignored, which a child would inherit.
    undisturbed = ["env", "--default-signal=INT", *command]
    with subprocess.Popen(undisturbed, env=host_env, stderr=PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        while "Installing the packages" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(2)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert (process.wait(), said.count("\n")) == (130, 1)
    assert "run the same command again" in said

    with (
        subprocess.Popen(command, env=host_env, stdout=PIPE, stderr=PIPE, text=True) as one,
        subprocess.Popen(command, env=host_env, stdout=PIPE, stderr=PIPE, text=True) as other,
    ):
        outcomes = [(*process.communicate(), process.returncode) for process in (one, other)]
    assert [code for *_, code in outcomes] == [0, 0]
    assert all(stdout.startswith("Invoke ") for stdout, *_ in outcomes)
    said = "".join(stderr for _, stderr, _ in outcomes)
    assert said.count("Waiting for another bootstrap") == 1
    assert said.count("Making .venv") == 1


def test_client_without_compose_is_passed_over(project: Path, host_env: dict[str, str], tmp_path: Path) -> None:
    """A docker client without Compose is passed over, and the command learns which one to use."""
    first = write_script(tmp_path / "docker", STUB_DOCKER)
    env = host_env | {"PATH": f"{tmp_path}:{host_env['PATH']}", "STUB_COMPOSE": ""}
    outcome = run(str(project / "bootstrap"), "sh", "-c", 'echo "$COTAI_DOCKER"', env=env)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout.strip().endswith("/docker")
    assert outcome.stdout.strip() != str(first)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"STUB_ENGINE": "20.10.24"}, "Docker Engine 20.10.24 answers, 26 or newer is needed"),
        ({"STUB_COMPOSE": "v2.5.0"}, "lacks Buildx or Compose 2.26 or newer"),
        ({"STUB_ENGINE": "permission denied while trying to connect"}, "usermod -aG docker"),
        ({"STUB_ENGINE": "Cannot connect to the Docker daemon"}, "COTAI_INSTALL_DOCKER=0 forbids"),
        ({"STUB_ENGINE": "no route", "DOCKER_HOST": "tcp://engine:2376"}, "no route; DOCKER_HOST or a Docker context"),
        ({"STUB_ENGINE": "no route", "DOCKER_CONTEXT": "production"}, "no route; DOCKER_HOST or a Docker context"),
        ({"COTAI_DOCKER": "/no/such/docker"}, "/no/such/docker lacks"),
    ],
)
def test_unusable_engine_is_one_line(
    settings: dict[str, str], words: str, project: Path, host_env: dict[str, str], tmp_path: Path
) -> None:
    """Whatever is wrong with an engine that bootstrap may not set up is said in one line with exit code 4."""
    stub = {"COTAI_DOCKER": str(write_script(tmp_path / "docker", STUB_DOCKER)), "COTAI_INSTALL_DOCKER": "0"}
    env = host_env | stub | {"STUB_COMPOSE": "2.26.1-4", "STUB_ENGINE": "26.1.5+dfsg1"} | settings
    outcome = run(str(project / "bootstrap"), "true", env=env)
    assert (outcome.code, outcome.stdout, outcome.stderr.count("\n")) == (4, "", 1)
    assert words in outcome.stderr


def test_usage(project: Path) -> None:
    """Without a command bootstrap prints the two commands and changes nothing."""
    outcome = run(str(project / "bootstrap"))
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "./bootstrap inv deploy.dev" in outcome.stdout
    assert "./bootstrap nox" in outcome.stdout
