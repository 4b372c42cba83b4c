"""The health check of our images: asks a URL, or looks at the age of a heartbeat file.

Exit code 0 means healthy. What it prints is what `docker inspect` shows, and what `inv deploy.dev` shows of a service
that does not come up.
"""

import http.client
import os
import sys
import time

TIMEOUT_S = 4.0
EXCERPT_BYTES = 500


def ask(url: str) -> tuple[bool, str]:
    """Ask `url`, given as ``http://host:port/path``; healthy is any answer below 400."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        body = response.read(EXCERPT_BYTES).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"{url}: {error}"
    return response.status < http.client.BAD_REQUEST, f"{response.status} {body}"


def age(path: str, limit_s: str) -> tuple[bool, str]:
    """Tell whether the heartbeat file `path` was written within the last `limit_s` seconds."""
    try:
        seconds = time.time() - os.stat(path).st_mtime  # noqa: PTH116 - pathlib doubles the start-up time
    except FileNotFoundError:
        return False, f"{path}: no heartbeat yet"
    return seconds <= float(limit_s), f"{path}: last heartbeat {seconds:.0f} s ago, at most {limit_s} s allowed"


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    healthy, answer = ask(*arguments) if kind == "http" else age(*arguments)
    sys.stdout.write(answer + "\n")
    sys.exit(0 if healthy else 1)
