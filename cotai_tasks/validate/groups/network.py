"""Who reaches whom, who reaches the world, and what listens for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cotai_tasks.console import count
from cotai_tasks.validate.check import Severity, SkipCheck, check, failed, judged, passed
from cotai_tasks.validate.reach import FILE, declared, reach

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.reach import Declared, Port, Reach, View
    from cotai_tasks.validate.subject import Subject

MODEL_SERVER = "ollama"
GATEWAY = "llm-service"

_LINES = 25
"""Of evidence: a network too many makes hundreds."""
_HOST_NAMESPACES = {"NetworkMode": "network", "PidMode": "processes", "IpcMode": "shared memory", "UTSMode": "name"}
_LOOPBACK = ("127.", "::1")


@check(
    "NET-01",
    "From every container exactly those ports are open that docker/reach.yaml allows",
    "equal to the file",
    Severity.BLOCKER,
    patience=180,
)
def reach_is_as_declared(subject: Subject) -> Outcome:
    """Try every service's ports from beside each container, by name and by address."""
    services = subject.stack.rendered["services"]
    neighbours = {name: sorted((one.get("networks") or {}).keys()) for name, one in services.items()}
    return judge_reach(reach(subject), declared(subject), neighbours, subject.environment)


def judge_reach(seen: Reach, wanted: Declared, networks: Mapping[str, Sequence[str]], section: str) -> Outcome:
    """Hold what every container found against what is allowed, in both directions.

    `networks` are those of each service: who shares one is proposed for a port that nobody declared.
    """
    ports = [port for port in wanted.allowed if port[0] in seen.addresses]
    pairs = [(view, port) for port in ports for view in seen.others(port[0])]
    opened = {(view.service, port) for view, port in pairs if seen.opens(view, port)}
    allowed = {(view.service, port) for view, port in pairs if view.service in wanted.allowed[port]}
    faults = [*_undeclared(seen, wanted, networks, section), *_unreached(ports, opened)]
    for view, port in pairs:
        target, may = f"{port[0]}:{port[1]}", view.service in wanted.allowed[port]
        told = seen.by_name(view, port)
        if may and told != "open":
            faults.append(f"{view.name} → {target}: allowed, but {told}")
        elif not may and seen.opens(view, port):
            how = "by name" if told == "open" else f"at {seen.by_address(view, port)[0]}"
            faults.append(f"{view.name} → {target}: open {how}, and not allowed")
    if not pairs:
        faults.append("no container was tried from, or no port was tried")
    data = _matrix(seen, ports, opened, allowed)
    figure = (
        f"{count(len(seen.views), 'container')}, {count(len(pairs), 'way')} tried, {len(faults)} other than declared"
    )
    if faults:
        cure = f"Take it off the network, or write it down: {FILE}, under {section}."
        return failed(figure, *_shortened(faults), cure=cure, **data)
    return passed(figure, **data)


def _undeclared(seen: Reach, wanted: Declared, networks: Mapping[str, Sequence[str]], section: str) -> Iterator[str]:
    """Name the ports that somebody listens on and nobody declared, each with the line that would."""
    told = set()
    for view in seen.views:
        for port in view.listens:
            if (view.service, port) in wanted.allowed or (view.service, port) in told:
                continue
            told.add((view.service, port))
            own = set(networks.get(view.service, ()))
            near = sorted(name for name, theirs in networks.items() if name != view.service and own & set(theirs))
            yield f"{view.name} listens on {port}: {FILE}, under {section}: {view.service}:{port}: [{', '.join(near)}]"


def _unreached(ports: Sequence[Port], opened: Collection[tuple[str, Port]]) -> Iterator[str]:
    """Name the ports that nobody at all reaches: that the others do not proves nothing then."""
    reached = {port for _, port in opened}
    for name, port in ports:
        if (name, port) not in reached:
            yield f"{name}:{port}: nobody reaches it, so that a wall before it proves nothing"


def _matrix(
    seen: Reach, ports: Sequence[Port], opened: Collection[tuple[str, Port]], allowed: Collection[tuple[str, Port]]
) -> dict[str, Any]:
    """Give the picture of who reaches whom as plain data."""
    return {
        "matrix": {
            "rows": sorted({view.service for view in seen.views}),
            "columns": [f"{name}:{port}" for name, port in sorted(ports)],
            "open": sorted([row, f"{name}:{port}"] for row, (name, port) in opened),
            "allowed": sorted([row, f"{name}:{port}"] for row, (name, port) in allowed),
        }
    }


@check("NET-02", "Nginx reaches no database", "0 open", Severity.BLOCKER, envs=("prod",), patience=180)
def nginx_reaches_no_database(subject: Subject) -> Outcome:
    """Try every port of every database from beside Nginx, and see that others do reach it."""
    subject.running("nginx")
    return judge_wall(reach(subject), "nginx", databases(subject), {GATEWAY, "backend"})


def databases(subject: Subject) -> list[Port]:
    """Give the ports of the services that hold data, and of those of the same image, which hold it in memory."""
    services = subject.stack.services
    images = {services[name].image for name in subject.stack.stateful}
    found = {name for name, one in services.items() if one.image in images}
    return [port for port in declared(subject).allowed if port[0] in found]


def judge_wall(seen: Reach, who: str, behind: Sequence[Port], beyond: Collection[str]) -> Outcome:
    """Judge that somebody reaches none of these ports, though others do, and does reach one of those of `beyond`."""
    inside = [view for view in seen.views if view.service == who]
    ports = [port for port in behind if port[0] in seen.addresses]
    if not ports:
        raise SkipCheck("this stack has no database")
    faults = [
        f"{view.name} → {name}:{port}: open"
        for view in inside
        for name, port in ports
        if seen.opens(view, (name, port))
    ]
    for name, port in ports:
        if not any(seen.opens(view, (name, port)) for view in seen.others(name) if view.service != who):
            faults.append(f"{name}:{port}: nobody reaches it, so that the wall before it proves nothing")
    if not any(
        told == "open" and address.rpartition(":")[0] in seen.addresses.get(name, ())
        for view in inside
        for address, told in view.tried.items()
        for name in beyond
    ):
        faults.append(f"{who} reaches nobody at all, so that the wall proves nothing")
    tried = sum(len(seen.addresses[name]) for name, _ in ports) * len(inside)
    opened = sum("open" in one for one in faults)
    cure = f"{who} belongs on no network of a database: docker/compose.prod.yaml."
    return judged(faults, f"{opened} open of {tried}, by address and by name", cure=cure)


@check("NET-03", "Only who may has a way out to other hosts", "0 others", Severity.BLOCKER, patience=180)
def internal_networks_have_no_way_out(subject: Subject) -> Outcome:
    """Ask the kernel for a way to another host beside each container, and try the addresses of other networks."""
    return judge_ways_out(reach(subject), declared(subject).world)


def judge_ways_out(seen: Reach, world: frozenset[str]) -> Outcome:
    """Judge who has a way to other hosts, or to a network on which it does not stand."""
    closed = [view for view in seen.views if view.service not in world]
    networks = {address: network for found in seen.addresses.values() for address, network in found.items()}
    faults = [f"{view.name}: has a way out to the world" for view in closed if view.world]
    tried = 0
    for view in seen.views:
        for target, told in view.tried.items():
            network = networks[target.rpartition(":")[0]]
            if network not in view.networks:
                tried += 1
                faults += [f"{view.name} → {target}: open, though it is not on {network}"] if told == "open" else []
    open_ways = [view for view in seen.views if view.service in world and view.world]
    if not open_ways:
        faults.append("nobody at all has a way out, not even who may, so that this proves nothing")
    if not closed and not faults:
        raise SkipCheck("every container of this stack may reach the world")
    figure = f"{len(closed)} of {count(len(seen.views), 'container')} have none; {tried} tries of other networks"
    cure = f"internal: true for its network in docker/compose.*.yaml, or world in {FILE}."
    return failed(figure, *_shortened(faults), cure=cure) if faults else passed(figure)


@check(
    "NET-04",
    "Nothing but HTTP_PORT and HTTPS_PORT is published beyond loopback",
    "those two",
    Severity.BLOCKER,
    envs=("prod",),
)
def only_the_way_in_is_published(subject: Subject) -> Outcome:
    """Read what the engine publishes for each container."""
    wish = subject.settings.variables
    return judge_published({one.name: one.ports for one in subject.containers}, {wish.HTTP_PORT, wish.HTTPS_PORT})


def judge_published(published: Mapping[str, Sequence[str]], ways_in: Collection[int]) -> Outcome:
    """Judge published addresses (`0.0.0.0:443`) by container; `ways_in` are the ports that all may and must reach."""
    found = [(name, *address.rsplit(":", 1)) for name, addresses in published.items() for address in addresses]
    faults = [
        f"{name}: {host or 'every address'}:{port} is open to others"
        for name, host, port in found
        if int(port) not in ways_in and not host.strip("[]").startswith(_LOOPBACK)
    ]
    missing = set(ways_in) - {int(port) for _, _, port in found}
    faults += [f"port {port} is not published: nobody can come in" for port in sorted(missing)]
    cure = 'Publish it on loopback ("127.0.0.1:PORT:PORT"), or behind Nginx.'
    ports = ", ".join(sorted({f"{host}:{port}" for _, host, port in found}))
    return judged(faults, f"published: {ports or 'nothing'}", cure=cure)


@check("NET-05", "No container shares a namespace with its host", "0", Severity.BLOCKER)
def nobody_shares_the_host(subject: Subject) -> Outcome:
    """Read which namespaces the engine gives each container, and ask the kernel which processes it sees."""
    return judge_namespaces(subject.inspected)


def judge_namespaces(inspected: Sequence[Mapping[str, Any]]) -> Outcome:
    """Judge `docker inspect` of each container."""
    faults = [
        f"{one['Name'].lstrip('/')}: has its host's {what}"
        for one in inspected
        for key, what in _HOST_NAMESPACES.items()
        if one["HostConfig"].get(key) == "host"
    ]
    standing = [one for one in inspected if one["NetworkSettings"]["Networks"]]
    if not standing:
        faults.append("no container stands on a network of its own")
    cure = "Take network_mode, pid, ipc or uts: host out of docker/compose.*.yaml."
    return judged(faults, count(len(inspected), "container"), cure=cure)


@check(
    "NET-06", "The gateway alone reaches the model server", "llm-service", Severity.MAJOR, envs=("prod",), patience=180
)
def gateway_alone_reaches_the_model(subject: Subject) -> Outcome:
    """Try the model server from everywhere; in development its port is published, so that neighbours reach it too."""
    subject.running(MODEL_SERVER)
    subject.running(GATEWAY)
    ports = [port for port in declared(subject).allowed if port[0] == MODEL_SERVER]
    return judge_callers(reach(subject), ports, {GATEWAY})


def judge_callers(seen: Reach, ports: Sequence[Port], callers: Collection[str]) -> Outcome:
    """Judge who opens these ports: all of `callers`, and nobody else."""
    views = [(view, port) for port in ports for view in seen.others(port[0])]
    opened: list[tuple[View, Port]] = [(view, port) for view, port in views if seen.opens(view, port)]
    faults = [f"{view.name} → {name}:{port}: open" for view, (name, port) in opened if view.service not in callers]
    missing = set(callers) - {view.service for view, _ in opened}
    faults += [f"{name} does not reach it, so that the others' wall proves nothing" for name in sorted(missing)]
    figure = f"open to {len({view.name for view, _ in opened})} of {count(len(views), 'way')} tried"
    return judged(faults, figure, cure="Nobody but the gateway belongs on the network models.")


def _shortened(faults: Sequence[str]) -> list[str]:
    """Give the first lines, and how many more there are."""
    more = len(faults) - _LINES
    return [*faults[:_LINES], *([f"and {more} more"] if more > 0 else [])]
