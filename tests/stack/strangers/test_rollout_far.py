"""Deploys to an engine on another machine, which is restarted, loses its power, and fills its disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.stack.conftest import Strange, eventually
from tests.stack.far import Daemon, missing
from tests.stack.restless import DEPLOY, restless
from tests.stack.rolling import another, change, ids, inv, one_release, releases, steadily

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("COTAI_CHAOS"), reason="a second engine; COTAI_CHAOS=1 runs it"),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a second engine that has nothing yet."""
    found = Daemon(tmp_path_factory.mktemp("far"), os.environ.get("COTAI_DOCKER", "docker"))
    try:
        found.make()
        yield found
    finally:
        found.remove()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, daemon: Daemon) -> Iterator[Strange]:
    """Give a stack that was deployed there, from a project here, with images that were built here."""
    with restless(tmp_path_factory.mktemp("restless"), "COTAI_IMAGES=offline") as near:
        inv(near, "build.all")
        names = near.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
        parts = ("base", "python", "nginx", "postgres", "mongodb", "redis")
        wanted = [one for one in names if one.startswith("cotai/") and one.endswith(":test-restless")]
        wanted += [one for one in names if one.startswith(tuple(f"cotai-offline/{part}:" for part in parts))]
        load = [daemon.docker, "--host", daemon.host, "image", "load", "--quiet"]
        with subprocess.Popen([daemon.docker, "image", "save", *wanted], stdout=subprocess.PIPE) as saving:
            subprocess.run(load, stdin=saving.stdout, check=True, capture_output=True)
        assert saving.returncode == 0
        far = Strange(near.name, near.environ | {"DOCKER_HOST": daemon.host}, near.folder)
        inv(far, "security.certs", "--self-signed", "--yes")
        inv(far, *DEPLOY)
        assert "nothing was deployed yet" in inv(near, "deploy.history")
        yield far


def test_another_checkout_sees_the_same(stack: Strange, tmp_path: Path) -> None:
    """Releases, lock and history are the engine's: a checkout without any state has nothing to do, and may go on."""
    other = Strange(stack.name, stack.environ, tmp_path / "other")
    shutil.copytree(stack.folder, other.folder)
    assert "nothing to do" in inv(other, *DEPLOY)
    change(other, LOG_LEVEL=another(other))
    deploying = other.begin(*DEPLOY, "--watch", "5")
    assert next((line for line in deploying.stdout or () if "beside the old ones" in line), "")
    assert (refused := stack.inv("deploy.rollback", "--yes")).returncode == 7, refused.stderr
    deploying.communicate(timeout=300)
    assert deploying.returncode == 0
    assert len(releases(stack)) == 2
    inv(stack, "deploy.rollback", "--yes", "--watch", "2")
    assert [one["outcome"] for one in releases(other)] == ["live", "replaced", "replaced"]
    assert "nothing was changed" in inv(other, "deploy.audit", "--verify")


def test_a_release_is_deployed_while_the_daemon_restarts(stack: Strange, daemon: Daemon) -> None:
    """The deploy says that its lock is lost, and one command brings the stack to one release."""
    change(stack, LOG_LEVEL=another(stack))
    deploying = stack.begin(*DEPLOY, "--watch", "60")
    assert next((line for line in deploying.stdout or () if "watching both" in line), "")
    daemon.stop()
    daemon.start()
    said = deploying.communicate(timeout=600)[0]
    assert deploying.returncode in {4, 6, 7}, said
    eventually(lambda: answers(stack), "users being served", patience=180)
    if (aborted := stack.inv("deploy.abort")).returncode == 10:
        inv(stack, "deploy.resume", "--watch", "0")
    else:
        assert aborted.returncode in {0, 2}, aborted.stderr
    one_release(stack)
    inv(stack, *DEPLOY, "--watch", "0")


def test_everything_is_found_again_after_a_power_failure(stack: Strange, daemon: Daemon) -> None:
    """Nobody does anything but start the engine, whichever slot served."""
    for _ in range(2):
        slots = stack.docker(
            "inspect", "--format", '{{index .Config.Labels "cotai.slot"}}', *stack.containers("backend")
        )
        daemon.lose_power()
        daemon.start()
        eventually(lambda: answers(stack), f"an answer from {slots}", patience=240)
        eventually(lambda: all(one["ok"] for one in stack.status().values()), "everything healthy", patience=180)
        change(stack, LOG_LEVEL=another(stack))
        inv(stack, *DEPLOY, "--watch", "0")


def test_a_disk_that_is_full_before_the_end_of_a_build(stack: Strange, daemon: Daemon) -> None:
    """The build fails with the engine's own words; users notice nothing, and once there is room all goes on."""
    before = ids(stack)
    pages = stack.folder / "nginx/www"
    pages.mkdir(parents=True)
    (pages / "large.bin").write_bytes(os.urandom(2**30))
    image = next(one for one in images(stack) if one.startswith("cotai/nginx:test"))
    stack.docker("tag", image, "cotai/nginx:kept")
    stack.docker("image", "rm", image)
    filler = daemon.data / "filler"
    with steadily(stack) as asked:
        free = shutil.disk_usage(daemon.data).free
        building = stack.begin(*DEPLOY)
        # Sooner, and the deploy would be refused: a nearly full disk is a finding of its preflight.
        eventually(lambda: shutil.disk_usage(daemon.data).free < free - 2**26, "the beginning of the build")
        free = shutil.disk_usage(daemon.data).free
        subprocess.run(["fallocate", "--length", str(free - 2**27), str(filler)], check=True)
        said = building.communicate(timeout=600)[0]
        filler.unlink()
    assert (building.returncode, "no space left on device" in said) == (5, True), said
    assert asked["wrong"] == []
    assert ids(stack) == before
    (pages / "large.bin").unlink()
    stack.docker("tag", "cotai/nginx:kept", image)
    assert "nothing to do" in inv(stack, *DEPLOY)


# -- helpers -----------------------------------------------------------------------------------------------------------


def answers(stack: Strange) -> bool:
    """Ask from within Nginx' container: the ports are published on another machine."""
    ask = "curl --insecure --silent --resolve localhost:8443:127.0.0.1 https://localhost:8443/health"
    try:
        told = stack.docker("exec", stack.container("nginx"), *ask.split())
    except subprocess.CalledProcessError:
        return False
    return bool(json.loads(told).get("status") == "ready")


def images(stack: Strange) -> list[str]:
    return stack.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
