"""Runs the LLM gateway of the image that this runs in before a model server that answers at once, and asks it.

SPEC is {command, model, warmup, requests}. Gives the milliseconds of each answer over one connection, one after the
other, and the statuses counted.
"""

import collections
import http.client
import http.server
import json
import os
import subprocess
import threading
import time

OK, MISSING = 200, 404
ANSWER = {
    "id": "stub",
    "object": "chat.completion",
    "model": SPEC["model"],
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


class Stub(http.server.BaseHTTPRequestHandler):
    """A model server that knows one model and one answer."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits 40 ms for the first to be acknowledged

    def tell(self, value):
        """Answer with JSON."""
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        """Say which models there are."""
        self.tell({"object": "list", "data": [{"id": SPEC["model"], "object": "model"}]})

    def do_POST(self):
        """Answer a question."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.tell(ANSWER)

    def log_message(self, *_):
        """Say nothing: what is printed is the answer."""


def ask(number):
    """Ask the gateway a question that it cannot have kept; give its status and the milliseconds that it took."""
    question = {"model": SPEC["model"], "messages": [{"role": "user", "content": f"Is {number} a number?"}]}
    begun = time.perf_counter()
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(question), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, (time.perf_counter() - begun) * 1000
    except (OSError, http.client.HTTPException):
        connection.close()  # the next question opens it anew
        return 0, (time.perf_counter() - begun) * 1000


connection = http.client.HTTPConnection("127.0.0.1", 8001, timeout=20)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 9999), Stub)
threading.Thread(target=server.serve_forever, daemon=True).start()
environ = os.environ | {"LLM_SERVERS": "http://127.0.0.1:9999", "LLM_MODEL": SPEC["model"], "CACHE_URL": ""}
environ.pop("CACHE_URL_FILE", None)
told = []
try:
    with subprocess.Popen(
        SPEC["command"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as gateway:
        try:
            end = time.monotonic() + 40
            while ask("0")[0] not in {OK, MISSING} and gateway.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
            for number in range(SPEC["warmup"]):
                ask(number)
            told = [ask(SPEC["warmup"] + number) for number in range(SPEC["requests"])]
        finally:
            gateway.terminate()
except OSError:  # an image that has no gateway
    pass
statuses = collections.Counter(status for status, _ in told)
print(json.dumps({"ms": [round(took, 2) for _, took in told], "statuses": statuses}))
