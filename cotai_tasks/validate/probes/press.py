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


def dial():
    """Open a connection for the server's name."""
    connection = http.client.HTTPConnection(SPEC["host"], SPEC["port"], timeout=10)
    connection.connect()
    if SPEC["tls"]:
        connection.sock = context.wrap_socket(connection.sock, server_hostname=SPEC["name"])
    return connection


def press(first):
    """Ask until the time is over, beginning with another page than the others."""
    connection, headers = None, {"Host": SPEC["name"], "Content-Type": "application/json"}
    for page in itertools.islice(itertools.cycle(SPEC["pages"]), first, None):
        if time.monotonic() >= end:
            return
        try:
            connection = connection or dial()
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
