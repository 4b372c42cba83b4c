"""Nginx' whole configuration as one text, the way `nginx -T` prints it, with the templates filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.security.scanning.tools import ScannerError

if TYPE_CHECKING:
    from pathlib import Path

_VALUES = {
    "SERVER_NAME": "example.org www.example.org",
    "HTTPS_SUFFIX": "",
    "HTTPS_PORT": "443",
    "PROBE_SUBNET": "10.255.255.0/28",
    "APP_HEALTH_PATH": "/health/ready",
    "TLS_PROTOCOLS": "TLSv1.2 TLSv1.3",
    "TLS_CURVES": "X25519:prime256v1:secp384r1",
    "LOGIN_TOKEN": "0" * 32,
}
_SITES = "/tmp/nginx/conf.d"  # noqa: S108 - where it is in the container
_PLACES = {
    "nginx/nginx.conf": "/etc/nginx",
    "nginx/snippets/*.conf": "/etc/nginx/snippets",
    "nginx/live/upstreams.conf": "/etc/nginx/live/upstreams",
    "nginx/templates/*.template": _SITES,
}

PLANTED = f"{_SITES}/zz-planted.conf"
_FAULT = "server {\n    listen 65535;\n    server_tokens on;\n}\n"


def dump(home: Path) -> tuple[str, dict[str, str]]:
    """Give the text, with one fault planted in it, and which file of ours stands where in it.

    Who does not find the fault has not read the rest either: gixy passes what it cannot parse.
    """
    found = {
        f"{place}/{path.name.removesuffix('.template')}": path
        for pattern, place in _PLACES.items()
        for path in sorted(home.glob(pattern))
    }
    if len({path.parent for path in found.values()}) < len(_PLACES):
        raise ScannerError("nginx/ lacks one of " + ", ".join(_PLACES))
    parts = {name: path.read_text(encoding="utf-8") for name, path in found.items()} | {PLANTED: _FAULT}
    text = "".join(f"# configuration file {name}:\n{part}\n" for name, part in parts.items())
    text += "# configuration file /etc/nginx/mime.types:\n"
    for name, value in _VALUES.items():
        text = text.replace(f"${{{name}}}", value)
    return text, {name: path.relative_to(home).as_posix() for name, path in found.items()}
