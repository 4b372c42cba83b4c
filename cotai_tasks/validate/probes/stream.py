"""Looks whether what is sent piece by piece arrives piece by piece, and whether a WebSocket is passed on.

SPEC is {stream: {url, name, body}, sockets: [{url, name}]}. Gives when each piece of the stream arrived, in seconds
since it was asked for, and the status of each WebSocket's handshake.
"""

import base64
import http.client
import json
import os
import ssl
import time
import urllib.parse

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def connect(page):
    """Connect to a page's server, by the name that users type."""
    url = urllib.parse.urlsplit(page["url"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=40)
    connection.connect()
    if url.scheme == "https":
        connection.sock = context.wrap_socket(connection.sock, server_hostname=page["name"])
    return connection, url.path


def stream(page):
    """Note when each line of an answer arrives."""
    connection, path = connect(page)
    begun, arrivals = time.monotonic(), []
    connection.request("POST", path, page["body"], {"Host": page["name"], "Content-Type": "application/json"})
    answer = connection.getresponse()
    while line := answer.readline():
        if line.startswith(b"data:"):
            arrivals.append(round(time.monotonic() - begun, 4))
    connection.close()
    return {"status": answer.status, "arrivals": arrivals}


def socket(page):
    """Ask for a WebSocket; give the status of the answer."""
    connection, path = connect(page)
    headers = {
        "Host": page["name"],
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status


print(json.dumps({"stream": stream(SPEC["stream"]), "sockets": [socket(one) for one in SPEC["sockets"]]}))
