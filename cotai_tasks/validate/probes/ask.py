"""Asks pages one after the other: SPEC is a list of {url, method, headers, body, login, name, authority, timeout}.

Gives for each its status (0 where nothing answered), headers in small letters, body as text, seconds, and the fault.
`name` is the server's name in TLS and the Host header where the URL has only its address, `authority` the certificates
(PEM) that are trusted: without them none is looked at. `login` is `user:password`.
"""

import base64
import http.client
import json
import ssl
import time
import urllib.parse

BODY = 4_000_000


def ask(one):
    """Ask one page."""
    url = urllib.parse.urlsplit(one["url"])
    name = one.get("name") or url.hostname
    timeout = one.get("timeout", 10)
    begun = time.monotonic()
    try:
        if url.scheme == "https":
            context = ssl.create_default_context(cadata=one.get("authority") or None)
            if not one.get("authority"):
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(url.hostname, url.port or 443, timeout=timeout, context=context)
            connection.connect = lambda: dial(connection, name)
        else:
            connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=timeout)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"Host": name, "User-Agent": "cotai-probe"} | one.get("headers", {})
        if one.get("login"):
            headers["Authorization"] = "Basic " + base64.b64encode(one["login"].encode()).decode()
        body = one.get("body")
        connection.request(one.get("method", "GET"), path, body.encode() if body else None, headers)
        answer = connection.getresponse()
        text = answer.read(BODY).decode(errors="replace")
        told = {"status": answer.status, "headers": {k.lower(): v for k, v in answer.getheaders()}, "body": text}
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        told = {"status": 0, "headers": {}, "body": "", "fault": f"{type(error).__name__}: {error}"}
    return told | {"seconds": time.monotonic() - begun}


def dial(connection, name):
    """Connect to the address of the URL, and speak TLS for the server's name."""
    http.client.HTTPConnection.connect(connection)
    connection.sock = connection._context.wrap_socket(connection.sock, server_hostname=name)  # noqa: SLF001


print(json.dumps([ask(one) for one in SPEC]))
