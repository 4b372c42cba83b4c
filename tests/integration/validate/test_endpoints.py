"""The checks of endpoints and of performance, on servers that answer as they should, and then as they should not."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.settings import load_settings
from cotai_tasks.validate.catalogue import catalogue
from cotai_tasks.validate.check import State
from tests.integration.alone import eventually, new_project
from tests.integration.validate.little import ROOT, Little

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Environment
    from cotai_tasks.validate.check import Outcome

pytestmark = pytest.mark.integration

BROKEN = {
    "END-01": "the API answers 500",
    "END-02": "the readiness page leaves a database out",
    "END-04": "port 80 answers, and leads nowhere",
    "END-05": "an operators' page lets everybody in",
    "PERF-01": "the API needs a third of a second for each answer",
    "PERF-03": "the gateway does not start",
}

DEPENDENCIES = {name: {"ok": True} for name in ("postgres", "mongodb", "redis", "redis-cache")}
READY = {"body": json.dumps({"status": "ready", "dependencies": DEPENDENCIES})}
LESS = {"body": json.dumps({"status": "ready", "dependencies": {"postgres": {"ok": True}}})}
LOGIN = {"login": 401}


def make(engine: Engine, env: Environment, variables: dict[str, str]) -> Little:
    """Give a stack without a container yet, on networks of its own."""
    settings = load_settings(
        ROOT,
        env,
        environ=os.environ | variables,
        project=new_project(),
        env_file="" if env == "dev" else "env/.env.production.example",
    )
    images = engine.images(settings.upstream_images["PYTHON_IMAGE"], settings.offline_images["PYTHON_IMAGE"])
    if not images:
        pytest.skip("no image with Python is here: inv build.offline makes one")
    little = Little(settings, engine, next(iter(images)))
    little.network("edge")
    little.network("data", "--internal")
    return little


@pytest.fixture(scope="module")
def development(engine: Engine) -> Iterator[Little]:
    """Give a development stack that has nothing yet."""
    little = make(engine, "dev", {})
    yield little
    little.clear()


@pytest.fixture(scope="module")
def production(engine: Engine) -> Iterator[Little]:
    """Give a production stack that has nothing yet."""
    little = make(engine, "prod", {"SERVER_NAME": "localhost"})
    yield little
    little.clear()


def tried(little: Little, name: str) -> Outcome:
    """Try one check on the stack as it is now."""
    return next(one for one in catalogue() if one.id == name).run(little.subject)


def serve(little: Little, service: str, port: int, pages: dict[str, Any]) -> None:
    """Start a server, and wait until it listens."""
    little.serve(service, port, pages, networks=("edge", "data"))
    eventually(
        lambda: (
            f":{port:04X} 00000000:0000 0A"
            in little.engine.command("exec", little.made[service], "cat", "/proc/net/tcp")
        ),
        f"{service} listens",
    )


@pytest.mark.parametrize(
    ("name", "service", "port", "fine", "broken"),
    [
        ("END-01", "backend", 8000, {"/health/live": {}}, {"/health/live": {"status": 500}}),
        ("END-02", "backend", 8000, {"/health/ready": READY}, {"/health/ready": LESS}),
        ("END-05", "flower", 5555, {"/api/workers": LOGIN}, {"/api/workers": {}}),
        ("PERF-01", "backend", 8000, {"*": {}}, {"*": {"delay": 0.35}}),
    ],
)
def test_a_broken_server_fails(
    development: Little, name: str, service: str, port: int, fine: dict[str, Any], broken: dict[str, Any]
) -> None:
    """It passes on the server as it should be, and fails on the broken one."""
    if service != "backend":
        serve(development, "backend", 8000, {})  # probes run in its image
    serve(development, service, port, fine)
    good = tried(development, name)
    assert good.state == State.PASS or (name == "PERF-01" and not good.evidence[0].startswith("answers")), good
    serve(development, service, port, broken)
    assert tried(development, name).state == State.FAIL


def test_a_way_without_tls_fails(production: Little) -> None:
    """END-04: a redirect to https passes, a page fails."""
    serve(production, "backend", 8000, {})
    serve(production, "nginx", 8080, {"*": {"status": 308, "headers": {"Location": "https://localhost/api/x?y=1"}}})
    assert tried(production, "END-04").state == State.PASS
    serve(production, "nginx", 8080, {"*": {"body": "welcome"}})
    assert tried(production, "END-04").state == State.FAIL


def test_a_gateway_that_does_not_start_fails(development: Little) -> None:
    """PERF-03: an image without the gateway answers nothing."""
    serve(development, "backend", 8000, {})
    serve(development, "llm-service", 8001, {})
    outcome = tried(development, "PERF-03")
    assert (outcome.state, outcome.evidence) == (State.FAIL, ("nothing was answered",))
