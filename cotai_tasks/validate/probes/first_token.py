"""Asks a model for a streamed answer SPEC["requests"] times, after a first one that does not count.

SPEC is {url, model, requests}. Gives the milliseconds until the first word of each answer; null where none came.
"""

import http.client
import json
import time
import urllib.parse


def ask(number):
    """Ask a question that nobody has asked before; give the milliseconds until the first word."""
    url = urllib.parse.urlsplit(SPEC["url"])
    question = {
        "model": SPEC["model"],
        "stream": True,
        "max_tokens": 8,
        "messages": [{"role": "user", "content": f"Count from {number}. {time.time()}"}],
    }
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    begun = time.perf_counter()
    try:
        connection.request("POST", url.path, json.dumps(question), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"data: {") and b'"content"' in line:
                return (time.perf_counter() - begun) * 1000
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    return None


ask(0)
print(json.dumps([ask(number) for number in range(1, SPEC["requests"] + 1)]))
