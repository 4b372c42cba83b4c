"""A little stack in a project of its own, named like the services of ours: small enough to be broken in seconds."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.settings import load_settings
from cotai_tasks.validate.catalogue import catalogue
from cotai_tasks.validate.subject import Subject
from tests.integration.alone import eventually, free_port, new_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.validate.check import Outcome

ROOT = Path(__file__).parents[3]

LISTENS = """
import socket, sys, time
kept = [socket.create_server(("", int(port)), backlog=128) for port in sys.argv[1:]]
time.sleep(600)
"""
"""Holds its ports open until somebody removes it."""

LIMITS = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50")


SERVES = """
import http.server, json, sys, time
pages = json.loads(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        page = pages.get(self.path, pages.get("*", {"status": 404}))
        if "login" in page and "Authorization" not in self.headers:
            page = {"status": page["login"]}
        time.sleep(page.get("delay", 0))
        body = page.get("body", "").encode()
        self.send_response(page.get("status", 200))
        for name, value in {"Content-Length": str(len(body)), **page.get("headers", {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""
"""Answers with the pages that it was given, by their path: status, body, headers, delay, the status without a login."""


@dataclass
class Little:
    """A project's containers and networks, made by the test; `settings` are production's."""

    settings: Settings
    engine: Engine
    image: str
    made: dict[str, str] = field(default_factory=dict)
    """The id of each service's container."""

    @property
    def project(self) -> str:
        """The Compose project that it seems to be."""
        return self.settings.stack_name

    @property
    def subject(self) -> Subject:
        """What checks look at, as it is now."""
        return Subject(self.settings, self.engine)

    def network(self, name: str, *flags: str) -> None:
        """Make a network."""
        label = f"com.docker.compose.project={self.project}"
        self.engine.command("network", "create", "--label", label, *flags, f"{self.project}_{name}")

    def start(
        self,
        service: str,
        *ports: int,
        networks: tuple[str, ...] = (),
        flags: tuple[str, ...] = (),
        limits: tuple[str, ...] = LIMITS,
        program: str = LISTENS,
    ) -> str:
        """Start a container that listens on some ports, on some of the networks; or another program of Python's."""
        project = f"com.docker.compose.project={self.project}"
        place = ("--network-alias", service, "--network", f"{self.project}_{networks[0]}") if networks else ()
        named = ("--label", project, "--label", f"com.docker.compose.service={service}", *flags)
        runs = ("--entrypoint", "python3", self.image, "-c", program, *map(str, ports))
        command = ("run", "--detach", "--init", "--pull", "never", *limits, *place, *named, *runs)
        self.made[service] = self.engine.command(*command).strip()
        for other in networks[1:]:
            self.join(service, other)
        return self.made[service]

    def serve(self, service: str, port: int, pages: dict[str, Any], *, networks: tuple[str, ...] = ("edge",)) -> None:
        """Start a container, in the place of an older one, that answers with pages on a port."""
        if service in self.made:
            self.remove(service)
        first, *others = networks
        labels = (f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}")
        command = ("run", "--detach", "--init", "--pull", "never", "--network", f"{self.project}_{first}")
        named = ("--network-alias", service, *(part for label in labels for part in ("--label", label)))
        program = ("--entrypoint", "python3", self.image, "-c", SERVES, str(port), json.dumps(pages))
        self.made[service] = self.engine.command(*command, *named, *program).strip()
        for other in others:
            self.join(service, other)

    def join(self, service: str, network: str) -> None:
        """Put a container on one more network."""
        joined = ("network", "connect", "--alias", service)
        self.engine.command(*joined, f"{self.project}_{network}", self.made[service])

    def leave(self, service: str, network: str) -> None:
        """Take a container off a network."""
        self.engine.command("network", "disconnect", f"{self.project}_{network}", self.made[service])

    def remove(self, service: str) -> None:
        """Remove a service's container."""
        self.engine.command("rm", "--force", self.made.pop(service))

    def clear(self) -> None:
        """Remove whatever there is."""
        only = ("--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        if found := self.engine.command("container", "ls", "--all", *only).split():
            self.engine.command("rm", "--force", *found)
        if found := self.engine.command("network", "ls", *only).split():
            self.engine.command("network", "rm", *found)


@contextmanager
def little_stack(engine: Engine, folder: Path) -> Iterator[Little]:
    """Start Nginx, a backend and a database, as far as a network can tell them apart; remove them in the end."""
    subnet = f"10.{uuid.uuid4().int % 200 + 20}.{uuid.uuid4().int % 250}.0/28"
    ports = {"HTTP_PORT": free_port(), "HTTPS_PORT": free_port()}
    env = {**ports, "SERVER_NAME": "localhost", "COTAI_EVALUATION": "true", "PROBE_SUBNET": subnet}
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
    settings = load_settings(ROOT, "prod", environ=os.environ, project=new_project(), env_file=str(folder / "env"))
    names = [images["PYTHON_IMAGE"] for images in (settings.upstream_images, settings.offline_images)]
    images = engine.images(*names)
    if not images:
        pytest.skip("no image with Python is here: inv build.offline makes one")
    little = Little(settings, engine, next(iter(images)))
    published = tuple(f"127.0.0.1:{port}:{inside}" for port, inside in zip(ports.values(), (8080, 8443), strict=True))
    try:
        little.network("edge")
        little.network("data", "--internal")
        little.start(
            *("nginx", 8080, 8081, 8443),
            networks=("edge",),
            flags=tuple(part for one in published for part in ("--publish", one)),
        )
        little.start("backend", 8000, networks=("edge", "data"))
        little.start("redis", 6379, networks=("data",))
        eventually(lambda: _listens(little), "the first answer")
        yield little
    finally:
        little.clear()


def tried(little: Little, name: str) -> Outcome:
    """Try one check on the stack as it is now."""
    return next(one for one in catalogue() if one.id == name).run(little.subject)


def _listens(little: Little) -> bool:
    tables = [little.engine.command("exec", one, "cat", "/proc/net/tcp") for one in little.made.values()]
    return all(" 00000000:0000 0A " in table for table in tables)
