"""Asks a page at a steady rate, each time as a new user, until its input ends; then prints what came of it.

    python -c "$(cat steady.py)" HOST PATH RATE      > {"codes": {"200": 1500}, "wrong": ["12:00:01 502"]}

It runs in a container of the stack, from where Nginx sets no limit.
"""

import http.client
import json
import socket
import ssl
import sys
import time
from collections import Counter
from threading import Event, Lock, Thread

HOST, PATH, RATE = sys.argv[1], sys.argv[2], float(sys.argv[3])
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
ADDRESS = socket.gethostbyname("nginx")
codes: Counter[str] = Counter()
wrong: list[str] = []
lock, over = Lock(), Event()


class Connection(http.client.HTTPSConnection):
    """To Nginx, by the name that its users know."""

    def connect(self) -> None:
        """Say that name in the handshake."""
        plain = socket.create_connection((ADDRESS, 8443), self.timeout)
        self.sock = CONTEXT.wrap_socket(plain, server_hostname=HOST)


def ask() -> None:
    """Ask once."""
    try:
        connection = Connection(HOST, 8443, timeout=60)
        connection.request("GET", PATH)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        code = str(answer.status)
    except OSError as error:
        code = type(error).__name__
    with lock:
        codes[code] += 1
        if code != "200":
            wrong.append(f"{time.strftime('%H:%M:%S')} {code}")


def until_told() -> None:
    """Wait for the end of the input: it comes with the end of whoever started us."""
    sys.stdin.read()
    over.set()


Thread(target=until_told, daemon=True).start()
begun, number, threads = time.monotonic(), 0, list[Thread]()
while not over.is_set():
    # One that has ended keeps its stack as long as somebody knows it, and a process may have 32,000 of them.
    threads = [one for one in threads if one.is_alive()]
    threads.append(Thread(target=ask, daemon=True))
    threads[-1].start()
    number += 1
    time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
for thread in threads:
    thread.join(60)
print(json.dumps({"codes": codes, "wrong": wrong[:20]}))  # noqa: T201 - for the test that reads it
