"""Nginx, asked as users do from within its own container, and told which containers to ask."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING

from cotai_tasks.errors import EngineError, UnhealthyError
from cotai_tasks.places import address
from cotai_tasks.volumes import VolumeFile, get_folder, put_folders

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cotai_tasks.engine import Engine
    from cotai_tasks.places import Place
    from cotai_tasks.stack import Stack

PROXY = "nginx"
MAINTENANCE = "proxy/maintenance"
"""The folder in which a file tells Nginx to answer 503 (nginx/snippets/maintenance.conf)."""
UPSTREAMS = "proxy/upstreams"
FILE = "upstreams.conf"
PORTS = {"backend": 8000, "llm-service": 8001}
"""The services that Nginx passes requests on to, in the order in which it tells of them, and where they listen."""

_PATIENCE = 15.0
"""Seconds until new workers of Nginx answer: one or two, also on a busy host."""
_ESTABLISHED = "01"
"""A connection's state in /proc/net/tcp."""


def ask(path: str, host: str, stack: Stack, engine: Engine, *, patience: int) -> str:
    """Ask for a page over TLS under a host name, for so many seconds; give the status.

    Whoever signed the certificate is not judged here. Raises `EngineError` when there is no answer.
    """
    name = f"{host}:8443"
    shown = ("--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}")
    command = ["curl", "--insecure", "--max-time", str(patience), *shown, "--resolve", f"{name}:127.0.0.1"]
    return engine.execute(stack.project, PROXY, [*command, f"https://{name}{path}"]).strip()


def upstreams(places: Mapping[str, Place]) -> bytes:
    """Write which containers Nginx asks: a name on its network for each service."""
    lines = ["# Written by a deploy: the slots that serve."]
    for service in PORTS:
        name = address(service, places[service]) if service in places else service
        lines += [f'map "" ${service.replace("-", "_")} {{', f"    default {name};", "}"]
    return ("\n".join(lines) + "\n").encode()


def read_upstreams(stack: Stack, engine: Engine) -> bytes:
    """Give what Nginx was told last; empty where it was told nothing yet."""
    try:
        told = engine.execute(stack.project, PROXY, ["cat", f"/etc/nginx/live/upstreams/{FILE}"])
    except EngineError:  # it does not run; and a container of its own for this takes a second
        told = ""
    return told.encode() or get_folder(stack, engine, UPSTREAMS).get(FILE, b"")


def put_upstreams(text: bytes, stack: Stack, engine: Engine) -> None:
    """Put the file there, for an Nginx that starts or reloads."""
    put_folders(stack, engine, {UPSTREAMS: {FILE: VolumeFile(text)}})


def flip(text: bytes, stack: Stack, engine: Engine) -> None:
    """Let Nginx ask other containers from now on, and see that it does.

    Raises `UnhealthyError` where it refuses the file, or goes on with what it had; the file before is then back.
    """
    before = read_upstreams(stack, engine)
    put_upstreams(text, stack, engine)
    try:
        engine.execute(stack.project, PROXY, ["sh", "-c", "nginx -t && nginx -s reload"])
        _wait_until_told(text, stack, engine)
    except EngineError as error:
        put_upstreams(before, stack, engine)
        raise UnhealthyError("nginx does not take up its new upstreams", evidence=error.evidence) from error


def reachable(service: str, place: Place, stack: Stack, engine: Engine) -> None:
    """Ask the containers of a place from where Nginx stands: any answer will do, none is an `UnhealthyError`."""
    url = f"http://{address(service, place)}:{PORTS[service]}/"
    try:
        engine.execute(stack.project, PROXY, ["curl", "--silent", "--max-time", "10", "--output", "/dev/null", url])
    except EngineError as error:
        raise UnhealthyError(f"nginx cannot reach {url}", evidence=error.evidence) from error


def open_requests(addresses: Collection[str], stack: Stack, engine: Engine) -> int:
    """Count the connections that Nginx has to containers: each is one request, or one stream."""
    table = engine.execute(stack.project, PROXY, ["cat", "/proc/net/tcp"])
    found = [line.split()[2:4] for line in table.splitlines()[1:]]
    return sum(state == _ESTABLISHED and _address(remote) in addresses for remote, state in found)


def _address(text: str) -> str:
    """Read an address as the kernel writes it: `0100007F:1F90`, its bytes in the host's order."""
    return str(ipaddress.IPv4Address(bytes.fromhex(text.partition(":")[0])[::-1]))


def _wait_until_told(text: bytes, stack: Stack, engine: Engine) -> None:
    wanted = [line.split()[1].rstrip(";") for line in text.decode().splitlines() if "default " in line]
    command = ["curl", "--silent", "--max-time", "5", "http://127.0.0.1:8080/upstreams"]
    end = time.monotonic() + _PATIENCE
    while (told := engine.execute(stack.project, PROXY, command).split()) != wanted:
        if time.monotonic() > end:
            raise EngineError(f"it still asks {' and '.join(told)}", cure="inv deploy.logs --svc nginx says why.")
        time.sleep(0.2)
