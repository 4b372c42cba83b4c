"""A page behind TLS that answers 200 to the one name that it has, as Nginx does: by TLS server name and by Host."""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = sys.argv[1]
OPENED = [""]
"""The TLS server names that connections were opened for."""


class Page(BaseHTTPRequestHandler):
    """Answers 421 to whoever asks one name and opened another."""

    def do_GET(self) -> None:
        """Answer with the code alone."""
        self.send_response(200 if self.headers["Host"] == OPENED[-1] == NAME else 421)
        self.end_headers()


def note(_socket: object, name: str | None, _context: ssl.SSLContext) -> None:
    """Remember the TLS server name."""
    OPENED.append(name or "")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/page/chain.pem", "/page/key.pem")
context.sni_callback = note
server = ThreadingHTTPServer(("127.0.0.1", 8443), Page)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
