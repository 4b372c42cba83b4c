"""The certificate that nginx has: reading it, putting another there, and asking over TLS which one is served."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cotai_tasks.errors import CertificateError, EngineError, UsageError
from cotai_tasks.facts import running_services
from cotai_tasks.security.pem import common_name, covers, read_certificates, server_names
from cotai_tasks.volumes import VolumeFile, get_files, get_folder, put_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography import x509

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.security.certificates import Certificate
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

SERVICE = "nginx"
FOLDER = "proxy/certs"
_CHAIN, _KEY, _FACTS = "fullchain.pem", "privkey.pem", "certificate.json"
CERTIFICATE_FILES = (f"{FOLDER}/{_CHAIN}", f"{FOLDER}/{_FACTS}")
"""What tells which certificate is there."""
_UID = 101
"""The user that nginx runs as."""

SOON = 20
"""Days before its end from which a certificate is a worry: renewal, which begins at 30, has failed for ten."""

_PATIENCE = 15.0
"""Seconds until nginx serves a new certificate: new workers take over within one or two, also on a busy host."""

# The chain as it is served, asked from inside, where no port is published: by curl, which every nginx image has. The
# authority may be one that the container does not trust, so who signed it is judged elsewhere. A running nginx answers
# for the names that it was started with: a name that is new in SERVER_NAME waits for the next deploy.
_SERVED = """
set -- ${SERVER_NAME:-$1}
curl --silent --insecure --max-time 5 --output /dev/null --resolve "$1:8443:127.0.0.1" \
    --write-out '%{certs}' "https://$1:8443/" || true
"""


@dataclass(frozen=True)
class Installed:
    """A certificate in the place where nginx reads it."""

    method: str
    """How it was had: `self-signed`, `acme` or `files`."""
    names: tuple[str, ...]
    issuer: str
    serial: str
    """In hexadecimal, as browsers show it."""
    not_before: datetime
    not_after: datetime
    obtained: datetime

    @property
    def lifetime(self) -> timedelta:
        """How long it is valid in all."""
        return self.not_after - self.not_before

    def left(self, now: datetime) -> timedelta:
        """How long it is still valid; negative once it has expired."""
        return self.not_after - now

    def lacks(self, names: Sequence[str]) -> list[str]:
        """Give those of the names that it is not for."""
        return [name for name in names if not any(covers(pattern, name) for pattern in self.names)]

    def facts(self) -> dict[str, object]:
        """Give everything as JSON takes it."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def require_tls(settings: Settings) -> None:
    """Raise `UsageError` for a stack that has no certificate to speak of."""
    if settings.environment == "dev":
        raise UsageError("the development stack has no TLS", cure="Only production has: --env prod.")


def describe(chain_pem: bytes, *, method: str, obtained: datetime) -> Installed:
    """Tell what stands in a chain."""
    server = read_certificates(chain_pem)[0]
    return Installed(
        method=method,
        names=server_names(server),
        issuer=common_name(server.issuer),
        serial=_serial(server),
        not_before=server.not_valid_before_utc,
        not_after=server.not_valid_after_utc,
        obtained=obtained,
    )


def read_installed(stack: Stack, engine: Engine) -> Installed | None:
    """Read which certificate nginx has; None when it has none, or only a part of one."""
    return installed_in(get_files(stack, engine, *CERTIFICATE_FILES))


def installed_in(files: Mapping[str, bytes]) -> Installed | None:
    """Tell which certificate nginx has by `CERTIFICATE_FILES`, of which any may be missing."""
    chain, told = (files.get(path) for path in CERTIFICATE_FILES)
    if not chain or not told:
        return None
    facts = json.loads(told)
    found = describe(chain, method=facts["method"], obtained=datetime.fromisoformat(facts["obtained"]))
    return found if found.serial == facts["serial"] else None


def install(
    certificate: Certificate, method: str, name: str, *, now: datetime, stack: Stack, engine: Engine, console: Console
) -> Installed:
    """Put a certificate where nginx reads it; where nginx runs, let it take it up and see under `name` that it did.

    No connection is dropped: the old workers finish theirs. Raises `CertificateError` when nginx refuses it, and the
    one before is back then, or when another one is still served.
    """
    installed = describe(certificate.chain_pem, method=method, obtained=now)
    # With the key, in case nginx refuses the new one: the helper that hands it over has no log.
    before = get_folder(stack, engine, FOLDER)
    # They are written in this order: until the chain is there, it is not the one that the facts tell of.
    fresh = {
        _FACTS: json.dumps(installed.facts(), indent=2).encode(),
        _KEY: certificate.key_pem,
        _CHAIN: certificate.chain_pem,
    }
    _put(stack, engine, fresh)
    if not proxy_runs(stack, engine):
        console.say("nginx does not run: it takes the certificate up when it starts")
        return installed
    try:
        engine.execute(stack.project, SERVICE, ["nginx", "-t"])
    except EngineError as error:
        _put(stack, engine, before)
        raise CertificateError(
            "nginx refuses its configuration with the new certificate",
            cure="The certificate before is back, and nothing was reloaded.",
            evidence=error.evidence,
        ) from error
    take_up(installed, name, stack=stack, engine=engine, console=console)
    return installed


def take_up(installed: Installed, name: str, *, stack: Stack, engine: Engine, console: Console) -> None:
    """Let a running nginx serve the installed certificate; raise `CertificateError` when it still serves another."""
    with console.step("nginx takes it up"):
        engine.execute(stack.project, SERVICE, ["nginx", "-s", "reload"])
        _wait_until_served(installed.serial, name, stack, engine)


def served_serial(name: str, stack: Stack, engine: Engine) -> str:
    """Ask nginx over TLS for a host, and give the serial number of what it shows; empty when it shows nothing."""
    shown = engine.execute(stack.project, SERVICE, ["sh", "-c", _SERVED, SERVICE, name])
    chain = read_certificates(shown.encode())
    return _serial(chain[0]) if chain else ""


def proxy_runs(stack: Stack, engine: Engine) -> bool:
    """Tell whether this stack's nginx runs."""
    return SERVICE in running_services(engine.containers(stack.project.name))


def _wait_until_served(serial: str, name: str, stack: Stack, engine: Engine) -> None:
    end = time.monotonic() + _PATIENCE
    while (shown := served_serial(name, stack, engine)) != serial:
        if time.monotonic() > end:
            what = f"the certificate {shown}" if shown else "no certificate"
            raise CertificateError(
                f"nginx still shows {what} for {name}, {_PATIENCE:.0f} s after it was told of {serial}",
                cure="inv deploy.logs --svc nginx says why.",
            )
        time.sleep(0.2)


def _put(stack: Stack, engine: Engine, files: dict[str, bytes]) -> None:
    modes = {_FACTS: 0o444}
    folder = {name: VolumeFile(content, _UID, modes.get(name, 0o400)) for name, content in files.items()}
    put_folders(stack, engine, {FOLDER: folder})


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"
