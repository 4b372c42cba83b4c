"""Asks SPEC["url"] SPEC["burst"] times at once, and then SPEC["steady"] times, SPEC["pace"] seconds apart: statuses."""

import concurrent.futures
import json
import ssl
import time
import urllib.error
import urllib.request

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


class Named(urllib.request.HTTPSHandler):
    """Speaks TLS for the name that users type, whatever the address."""

    def https_open(self, request):
        """Open a connection that asks for that name."""
        return self.do_open(self.connection, request)

    @staticmethod
    def connection(host, **options):
        """Give a connection whose server is called SPEC["name"]."""
        import http.client

        made = http.client.HTTPSConnection(host, context=context, **options)

        def connect():
            http.client.HTTPConnection.connect(made)
            made.sock = context.wrap_socket(made.sock, server_hostname=SPEC["name"])

        made.connect = connect
        return made


opener = urllib.request.build_opener(Named())


def status(_):
    """Ask once."""
    request = urllib.request.Request(SPEC["url"], headers={"Host": SPEC["name"]})
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


with concurrent.futures.ThreadPoolExecutor(SPEC["burst"]) as pool:
    burst = list(pool.map(status, range(SPEC["burst"])))
time.sleep(3)  # the bucket is empty again
steady = []
for _ in range(SPEC["steady"]):
    steady.append(status(None))
    time.sleep(SPEC["pace"])
print(json.dumps({"burst": burst, "steady": steady}))
