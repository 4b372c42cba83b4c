"""Asks pages from several clients at once, each over one connection that it keeps, the series taking turns.

SPEC is {series: {name: {url, name, method, body, headers}}, clients, warmup, requests, seconds}. Each series is asked
`requests` times in all, or for as many `seconds`, after `warmup` times that do not count. Gives by series the
milliseconds of each answer in the order in which they came, and the statuses counted; 0 is no answer.
"""

import collections
import concurrent.futures
import http.client
import itertools
import json
import ssl
import threading
import time
import urllib.parse

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


class Connection(http.client.HTTPConnection):
    """To a server that may close it after so many answers: http.client then connects again, with TLS as before."""

    def __init__(self, url, name):
        """Begin unconnected."""
        super().__init__(url.hostname, url.port, timeout=20)
        self.name = name if url.scheme == "https" else None

    def connect(self):
        """Connect, and speak TLS for the server's name."""
        super().connect()
        if self.name:
            self.sock = context.wrap_socket(self.sock, server_hostname=self.name)


class Client:
    """One client, with a connection to each server that it asks."""

    def __init__(self):
        """Begin without a connection."""
        self.connections = {}

    def ask(self, page):
        """Ask for a page; give its status and how long it took, in milliseconds."""
        url = urllib.parse.urlsplit(page["url"])
        name = page.get("name") or url.hostname
        headers = {"Host": name, "User-Agent": "cotai-probe"} | page.get("headers", {})
        body = page["body"].encode() if page.get("body") else None
        begun = time.perf_counter()
        try:
            connection = self.connections.setdefault(url.netloc, Connection(url, name))
            connection.request(page.get("method", "GET"), url.path or "/", body, headers)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            self.connections.pop(url.netloc, None)
            status = 0
        return status, (time.perf_counter() - begun) * 1000


def work(_):
    """Ask as one of the clients; give (series, when, milliseconds, status) of each answer that counts."""
    client, told = Client(), []
    turns = itertools.cycle(SPEC["series"].items())
    for _ in range(SPEC["warmup"] * len(SPEC["series"]) // SPEC["clients"] + 1):
        client.ask(next(turns)[1])
    ready.wait(60)
    end = time.monotonic() + SPEC.get("seconds", 600)
    share = SPEC.get("requests", 10**9) * len(SPEC["series"]) // SPEC["clients"]
    while len(told) < share and time.monotonic() < end:
        name, page = next(turns)
        status, took = client.ask(page)
        told.append((name, time.monotonic(), took, status))
        if SPEC.get("pause"):
            time.sleep(SPEC["pause"])
    return told


ready = threading.Barrier(SPEC["clients"])
with concurrent.futures.ThreadPoolExecutor(SPEC["clients"]) as pool:
    answers = sorted(itertools.chain.from_iterable(pool.map(work, range(SPEC["clients"]))), key=lambda one: one[1])
print(
    json.dumps(
        {
            name: {
                "ms": [round(took, 2) for series, _, took, _ in answers if series == name],
                "statuses": collections.Counter(status for series, _, _, status in answers if series == name),
            }
            for name in SPEC["series"]
        }
    )
)
