"""Who reaches whom: as docker/reach.yaml declares it, and as every container finds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cotai_tasks.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.facts import Container
    from cotai_tasks.settings import Environment
    from cotai_tasks.validate.subject import Subject

FILE = "docker/reach.yaml"
WORLD = "world"
"""Stands in the file for every other host."""

_SIDE_BY_SIDE = 5
"""Probes at a time: each is a container that the engine makes and removes."""
_PATIENCE = 1.5
"""Seconds until an attempt that nothing answers is given up; between containers of one host an answer takes none."""

Port = tuple[str, int]
"""A service, and the port that it listens on."""


@dataclass(frozen=True)
class Declared:
    """What the file allows in one environment."""

    allowed: Mapping[Port, frozenset[str]]
    """Who may open a connection to each port."""
    world: frozenset[str]
    """Who may reach other hosts."""

    def ports(self, service: str) -> list[int]:
        """Give the ports of a service."""
        return sorted(port for name, port in self.allowed if name == service)


@dataclass(frozen=True)
class View:
    """What one container finds around it."""

    name: str
    service: str
    networks: frozenset[str]
    names: Mapping[str, Sequence[str]]
    """The addresses that each service's name has here."""
    tried: Mapping[str, str]
    """What became of an attempt to connect, by `address:port`: open, refused, no way, silent."""
    listens: Sequence[int]
    """The ports on which it listens itself, beyond loopback."""
    world: bool
    """Whether a packet to another host has a way."""


@dataclass(frozen=True)
class Reach:
    """What every container finds, and which addresses each service has, with the network of each."""

    views: Sequence[View]
    addresses: Mapping[str, Mapping[str, str]]

    def by_name(self, view: View, to: Port) -> str:
        """Tell what becomes of a connection to a service's name: `open`, or why it is none."""
        known = [one for one in view.names.get(to[0], ()) if one in self.addresses[to[0]]]
        told = {view.tried.get(f"{one}:{to[1]}", "silent") for one in known}
        return "open" if "open" in told else ", ".join(sorted(told)) or "unknown name"

    def by_address(self, view: View, to: Port) -> list[str]:
        """Give the addresses of a service that answer on a port."""
        return [one for one in self.addresses[to[0]] if view.tried.get(f"{one}:{to[1]}") == "open"]

    def opens(self, view: View, to: Port) -> bool:
        """Tell whether a container reaches a port, by whatever it is called."""
        return self.by_name(view, to) == "open" or bool(self.by_address(view, to))

    def others(self, service: str) -> Iterator[View]:
        """Give what the containers of all other services find."""
        return (view for view in self.views if view.service != service)


def read_declared(path: Path, environment: Environment) -> Declared:
    """Read what the file allows; `UsageError` says what is wrong with it."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))[environment]
        world = frozenset(_flat(told.get(WORLD)))
        lines = [(key.partition(":"), frozenset(_flat(who))) for key, who in told.items() if key != WORLD]
        allowed = {(name, int(port)): who for (name, _, ports), who in lines for port in ports.split(",")}
    except OSError as error:
        raise UsageError(f"{FILE}: {error.strerror}", cure=f"Restore it (git checkout {FILE}).") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        cause = f"no section {environment}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise UsageError(f"{FILE}: {cause}", cure="A line says who may: service:port: [service, …].") from error
    return Declared(allowed, world)


def _flat(who: Any) -> Iterator[str]:  # noqa: ANN401 - names, or lists of them, as YAML's anchors make them
    for one in who or ():
        if isinstance(one, str):
            yield one
        else:
            yield from _flat(one)


def declared(subject: Subject) -> Declared:
    """Read the file of this stack, once."""
    path = subject.settings.home / FILE
    return subject.once("declared", lambda: read_declared(path, subject.environment))


def reach(subject: Subject) -> Reach:
    """Try every declared port of every service from every running container, once for all checks."""
    return subject.once("reach", lambda: _look_around(subject))


def _look_around(subject: Subject) -> Reach:
    networks = {one["Id"]: read_networks(one) for one in subject.inspected}
    running = [one for one in subject.containers if one.state == "running"]
    addresses: dict[str, dict[str, str]] = {one.service: {} for one in running}
    for one in running:
        addresses[one.service] |= {address: network for network, address in networks[one.id].items()}
    allowed = declared(subject)
    spec = {name: {"addresses": sorted(found), "ports": allowed.ports(name)} for name, found in addresses.items()}

    def look(one: Container) -> View:
        others = {name: what for name, what in spec.items() if name != one.service and what["ports"]}
        told = subject.probe("reach", {"services": others, "patience": _PATIENCE}, beside=one)
        return View(one.name, one.service, frozenset(networks[one.id]), **told)

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return Reach(list(pool.map(look, running)), addresses)


def read_networks(inspected: Mapping[str, Any]) -> dict[str, str]:
    """Read a container's address on each of its networks out of `docker inspect`."""
    found = inspected["NetworkSettings"]["Networks"] or {}
    return {name: one["IPAddress"] for name, one in found.items() if one.get("IPAddress")}
