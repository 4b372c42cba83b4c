"""Asks SPEC["pages"] in turn for SPEC["seconds"], from SPEC["clients"] connections at once, each kept open.

A page is {method, path, body}. SPEC["tls"] says whether the server at SPEC["host"]:SPEC["port"], called SPEC["name"],
speaks TLS. Gives how many answers had which status; 0 stands for none. SPEC["pause"] are seconds between two requests.
"""

import collections
import http.client
import itertools
import json
import ssl
import threading
import time

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
statuses = collections.Counter()
end = time.monotonic() + SPEC["seconds"]


class Connection(http.client.HTTPConnection):
    """To a server that may close it after so many answers: http.client then connects again, with TLS as before."""

    def connect(self):
        """Connect, and speak TLS for the server's name."""
        super().connect()
        if SPEC["tls"]:
            self.sock = context.wrap_socket(self.sock, server_hostname=SPEC["name"])


def press(first):
    """Ask until the time is over, beginning with another page than the others."""
    connection, headers = None, {"Host": SPEC["name"], "Content-Type": "application/json"}
    for page in itertools.islice(itertools.cycle(SPEC["pages"]), first, None):
        if time.monotonic() >= end:
            return
        try:
            connection = connection or Connection(SPEC["host"], SPEC["port"], timeout=10)
            connection.request(page["method"], page["path"], page["body"], headers)
            answer = connection.getresponse()
            answer.read()
            statuses[f"{page['method']} {page['path']} {answer.status}"] += 1
        except (OSError, http.client.HTTPException):
            statuses[f"{page['method']} {page['path']} 0"] += 1
            connection = None
        time.sleep(SPEC["pause"])


clients = [threading.Thread(target=press, args=(number,)) for number in range(SPEC["clients"])]
for one in clients:
    one.start()
for one in clients:
    one.join()
print(json.dumps(statuses))
