"""Getting a certificate for nginx in one of three ways, and installing it once nothing is wrong with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from cotai_tasks.errors import CertificateError, UsageError
from cotai_tasks.lock import stack_lock
from cotai_tasks.security.acme import LETSENCRYPT, STAGING, Directory, obtain
from cotai_tasks.security.certificates import PUBLIC_DAYS, Authority, Certificate, issue, make_authority
from cotai_tasks.security.chain import judge
from cotai_tasks.security.installed import SERVICE, Installed, install, proxy_runs, read_installed, require_tls
from cotai_tasks.security.pem import private_key, read_certificates, system_anchors
from cotai_tasks.security.store import Store
from cotai_tasks.stack import open_stack
from cotai_tasks.volumes import VolumeFile, put_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography import x509

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

_CHALLENGES = "proxy/acme"
# As the authority sees it: the container's loopback interface has a server of its own.
_FETCH = """
address=$(hostname -i | cut -d ' ' -f 1)
curl --silent --max-time 5 --header "Host: $1" "http://$address:8080/.well-known/acme-challenge/$2" || true
"""


@dataclass(frozen=True)
class Way:
    """How a certificate is to be had."""

    method: str
    """`self-signed`, `acme` or `files`."""
    chain_file: str = ""
    key_file: str = ""
    rehearse: bool = True
    """Whether Let's Encrypt is asked for one of its staging certificates first."""


def choose_way(*, self_signed: bool, acme: bool, chain_file: str, key_file: str, rehearse: bool = True) -> Way:
    """Read the flags; raise `UsageError` unless they name exactly one way."""
    if bool(chain_file) != bool(key_file):
        given, missing = ("--cert", "--key") if chain_file else ("--key", "--cert")
        raise UsageError(f"{given} without {missing}", cure="A certificate needs both: --cert FILE --key FILE.")
    ways = [name for name, chosen in (("self-signed", self_signed), ("acme", acme), ("files", chain_file)) if chosen]
    if len(ways) != 1:
        fault = "more than one way to get a certificate" if ways else "no way to get a certificate is given"
        raise UsageError(fault, cure="Say one of --self-signed, --acme, or --cert FILE --key FILE.")
    return Way(ways[0], chain_file, key_file, rehearse)


def certs(
    way: Way, *, yes: bool, dry_run: bool = False, settings: Settings, engine: Engine, console: Console
) -> Installed | None:
    """Get a certificate for the names of SERVER_NAME, judge it, install it, and see it served.

    Raises `CertificateError` with every fault; nothing is installed then.
    """
    names = settings.server_names
    require_tls(settings)
    stack = open_stack(settings, engine)
    now = datetime.now(UTC)
    if dry_run:
        console.say(f"would {_intention(way, settings)} for {', '.join(names)}, and install it in {stack.project.name}")
        return None
    with stack_lock(stack, engine, "security.certs"):
        match way.method:
            case "self-signed":
                certificate = _self_signed(names, now, settings, console)
            case "acme":
                certificate = _from_authority(
                    way, yes=yes, stack=stack, settings=settings, engine=engine, console=console
                )
            case _:
                certificate = _from_files(way, names, now, settings, console)
        installed = install(certificate, way.method, names[0], now=now, stack=stack, engine=engine, console=console)
    console.done(summary(installed))
    return installed


def install_self_signed(*, settings: Settings, engine: Engine, console: Console) -> Installed | None:
    """Give nginx a certificate to start with, unless it has one already."""
    if read_installed(open_stack(settings, engine), engine):
        return None
    return certs(Way("self-signed"), yes=True, settings=settings, engine=engine, console=console)


def summary(installed: Installed) -> str:
    """Say in one line which certificate is installed."""
    return f"{', '.join(installed.names)}: signed by {installed.issuer}, valid until {installed.not_after:%Y-%m-%d}"


def local_authority(settings: Settings, now: datetime) -> tuple[Authority, bool]:
    """Give this project's own authority, and whether it was made just now."""
    store = Store(settings.secrets_folder)
    certificate, key = store.read("local-ca.pem"), store.read("local-ca.key")
    if certificate and key:
        return Authority(certificate, key), False
    made = make_authority(f"CotAi local CA {settings.project}", now=now)
    # One without the other is a beginning, or what was lost: the certificate comes last, and stands for both.
    if certificate:
        store.remove("local-ca.pem")
    store.write("local-ca.key", made.key_pem)
    store.write("local-ca.pem", made.certificate_pem)
    return made, True


def trust_steps(file: Path) -> tuple[str, ...]:
    """Say how a system or a browser comes to trust the local authority; nobody does that behind a user's back."""
    name, path = "cotai-local-ca", shlex.quote(str(file))
    copy = f"sudo install -m 644 {path}"
    return (
        f"Debian, Ubuntu: {copy} /usr/local/share/ca-certificates/{name}.crt && sudo update-ca-certificates",
        f"Fedora, RHEL:   {copy} /etc/pki/ca-trust/source/anchors/{name}.pem && sudo update-ca-trust",
        f"macOS:          sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}",
        "Firefox:        Settings, Privacy & Security, View Certificates, Authorities, Import",
        f'Chromium:       certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "CotAi local CA" -i {path}',
        f"one command:    curl --cacert {path} https://…",
    )


def _intention(way: Way, settings: Settings) -> str:
    match way.method:
        case "self-signed":
            return f"sign a certificate of {PUBLIC_DAYS} days with the local authority"
        case "acme":
            return f"get a certificate from {settings.variables.ACME_DIRECTORY}"
    return f"judge {way.chain_file} and {way.key_file}"


def _self_signed(names: Sequence[str], now: datetime, settings: Settings, console: Console) -> Certificate:
    authority, new = local_authority(settings, now)
    certificate = issue(authority, names, days=PUBLIC_DAYS, now=now)
    anchors = read_certificates(authority.certificate_pem)
    _pass(certificate, names, anchors, now, ("the certificate", "its key"), console)
    if new:
        file = settings.secrets_folder / "local-ca.pem"
        console.done(f"made the local authority {file}; browsers warn until they trust it:")
        for line in trust_steps(file):
            console.say(f"  {line}")
    return certificate


def _from_files(way: Way, names: Sequence[str], now: datetime, settings: Settings, console: Console) -> Certificate:
    chain_pem, key_pem = (
        _read(settings.directory / Path(name).expanduser()) for name in (way.chain_file, way.key_file)
    )
    anchors = system_anchors(settings.ca_file)
    _pass(Certificate(chain_pem, key_pem), names, anchors, now, (way.chain_file, way.key_file), console)
    return Certificate(chain_pem, private_key(key_pem))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", cure="Name a file that you can read.") from error


def _from_authority(
    way: Way, *, yes: bool, stack: Stack, settings: Settings, engine: Engine, console: Console
) -> Certificate:
    if not proxy_runs(stack, engine):
        cure = "Begin with inv security.certs --self-signed, then inv deploy.prod, then repeat this."
        raise CertificateError("nginx does not run, and the authority asks it for a token", cure=cure)
    names = settings.server_names

    def publish(tokens: Mapping[str, str]) -> None:
        _publish(tokens, names, stack, engine)

    def agree(question: str) -> None:
        console.confirm(question, yes=yes)

    def ask(url: str) -> Certificate:
        accounts = settings.secrets_folder / "acme-account.json"
        directory = Directory(url, settings.variables.ACME_EMAIL, accounts, anchors)
        return obtain(directory, names, publish=publish, agree=agree)

    anchors = system_anchors(settings.ca_file)
    url = settings.variables.ACME_DIRECTORY
    if url == LETSENCRYPT and way.rehearse:
        with console.step("rehearsing with Let's Encrypt's staging server"):
            ask(STAGING)
    with console.step(f"getting a certificate from {url}"):
        certificate = ask(url)
    _pass(certificate, names, anchors, datetime.now(UTC), ("the authority's certificate", "its key"), console)
    return certificate


def _publish(tokens: Mapping[str, str], names: Sequence[str], stack: Stack, engine: Engine) -> None:
    """Make nginx serve just these tokens, and see that it does under every name before the authority looks."""
    put_folders(stack, engine, {_CHALLENGES: {token: VolumeFile(text.encode()) for token, text in tokens.items()}})
    for name, (token, text) in product(names, tokens.items()):
        if engine.execute(stack.project, SERVICE, ["sh", "-c", _FETCH, SERVICE, name, token]).strip() != text:
            raise CertificateError(
                f"nginx does not serve http://{name}/.well-known/acme-challenge/{token}",
                cure="The authority was not asked. inv deploy.logs --svc nginx says what it answered.",
            )


def _pass(
    certificate: Certificate,
    names: Sequence[str],
    anchors: Sequence[x509.Certificate],
    now: datetime,
    files: tuple[str, str],
    console: Console,
) -> None:
    """Let nothing through that a browser would refuse."""
    judged = judge(certificate.chain_pem, certificate.key_pem, names=names, anchors=anchors, now=now, files=files)
    if judged.faults:
        count = f"{len(judged.faults)} faults" if len(judged.faults) > 1 else "one fault"
        raise CertificateError(f"{files[0]} has {count}", cure="Nothing was installed.", findings=judged.faults)
    for warning in judged.warnings:
        console.warn(str(warning))
