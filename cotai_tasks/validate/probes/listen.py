"""Listens on SPEC["port"] until a request's body has SPEC["word"] in it, for at most SPEC["seconds"].

Gives the seconds until it came (null where it did not) and how many requests there were.
"""

import http.server
import json
import time


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 to every POST, and remembers whether the word was in it."""

    seen = 0
    found = False

    def do_POST(self):
        """Read the body, and thank for it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        Handler.seen += 1
        Handler.found = Handler.found or SPEC["word"] in body
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing: what is printed is the answer."""


begun = time.monotonic()
with http.server.HTTPServer(("", SPEC["port"]), Handler) as server:
    server.timeout = 0.5
    while not Handler.found and time.monotonic() - begun < SPEC["seconds"]:
        server.handle_request()
print(json.dumps({"after": time.monotonic() - begun if Handler.found else None, "requests": Handler.seen}))
