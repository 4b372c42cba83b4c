"""Takes the certificate that SPEC["host"]:SPEC["port"] shows to who asks for SPEC["name"], and trusts nobody."""

import json
import socket
import ssl

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with (
    socket.create_connection((SPEC["host"], SPEC["port"]), timeout=10) as plain,
    context.wrap_socket(plain, server_hostname=SPEC["name"]) as secured,
):
    print(json.dumps({"pem": ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))}))
