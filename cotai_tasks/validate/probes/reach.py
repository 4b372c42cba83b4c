"""Tries every port of every service from where it stands, by name and by address, all of them at once.

SPEC is {services: {name: {addresses, ports}}, patience}. Gives `names`, the addresses that a service's name has here;
`tried`, what became of each `address:port` (open, refused, no way, silent); `listens`, the ports that somebody here
listens on beyond loopback; `world`, whether the kernel has a way for a packet to another host.
"""

import concurrent.futures
import errno
import json
import os
import pathlib
import re
import selectors
import socket
import time

BATCH = 300
LISTENING = "0A"
LOOPBACK = re.compile("[0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F")  # the last byte comes first
WORLD = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))  # nobody's; no packet goes there
os.environ["RES_OPTIONS"] = "timeout:2 attempts:1"  # an unknown name may be asked for outside, where nobody answers


def resolve(name):
    """Give the addresses of a name; none where it is unknown here."""
    try:
        return sorted({one[4][0] for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except OSError:
        return []


def outcome(code):
    """Name what the kernel says of an attempt to connect."""
    if code == errno.ECONNREFUSED:
        return "refused"
    return "open" if code == 0 else "no way"


def attempt(targets):
    """Try to connect to all of them at once."""
    told, waiting = {}, selectors.DefaultSelector()
    for address, port in targets:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        one.settimeout(0)
        code = one.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            waiting.register(one, selectors.EVENT_WRITE, f"{address}:{port}")
        else:
            told[f"{address}:{port}"] = outcome(code)
            one.close()
    end = time.monotonic() + SPEC["patience"]
    while waiting.get_map():
        left = end - time.monotonic()
        ready = [key for key, _ in waiting.select(max(left, 0))]
        late = not ready and left <= 0  # what has answered is read first, however long this process had to wait
        for key in list(waiting.get_map().values()) if late else ready:
            code = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            told[key.data] = "silent" if late else outcome(code)
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    return told


def listens():
    """List the ports that are listened on here, beyond loopback, as the kernel has them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = pathlib.Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == LISTENING and not LOOPBACK.fullmatch(address):
                found.add(int(port, 16))
    return sorted(found)


def world():
    """Ask the kernel for a way to another host."""
    for family, address in WORLD:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as one:
                one.connect((address, 9))
        except OSError:
            continue
        return True
    return False


services = SPEC["services"]
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    names = dict(zip(services, pool.map(resolve, services), strict=True))
targets = [(address, port) for one in services.values() for address in one["addresses"] for port in one["ports"]]
tried = {}
for start in range(0, len(targets), BATCH):
    tried |= attempt(targets[start : start + BATCH])
print(json.dumps({"names": names, "tried": tried, "listens": listens(), "world": world()}))
