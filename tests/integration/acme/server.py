"""Runs acme2certifier, a real ACME server, over TLS: in a container, beside the nginx that it looks at."""

from __future__ import annotations

import ssl
from wsgiref.simple_server import make_server

from acme2certifier.share.acme2certifier_wsgi import application, get_handler_cls

server = make_server("0.0.0.0", 8443, application, handler_class=get_handler_cls())  # noqa: S104 - its container's
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/acme/tls.crt", "/acme/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
