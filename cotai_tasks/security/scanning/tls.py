"""`security.tls`: how good the TLS is that users are offered, against Mozilla's profile."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cotai_tasks.errors import CertificateError, FindingsError, UsageError, nearest
from cotai_tasks.security.installed import SERVICE, require_tls
from cotai_tasks.security.scanning.grade import (
    PROFILES,
    find_faults,
    mark_of,
    read_deviations,
    read_protocols,
    unfinished,
)
from cotai_tasks.security.scanning.tools import ScannerError, tool

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.security.scanning.grade import Mark, Profile
    from cotai_tasks.settings import Settings

_ANYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - where Nginx listens, not we
_DIFFERS = 1
"""How sslyze ends where a server is not what the profile says."""
_LOCAL_AUTHORITY = "local-ca.pem"


@dataclass(frozen=True)
class Grade:
    """What sslyze saw of a server, and the mark for it."""

    name: str
    """The name that the server was asked for."""
    address: str
    """Where it was asked: `127.0.0.1:443`."""
    profile: Profile
    mark: Mark
    faults: tuple[str, ...]
    """Why it is no A+, the worst first."""
    tool: str
    protocols: tuple[str, ...] = ()
    compliant: bool = field(kw_only=True)
    """Whether nothing differs from Mozilla's profile."""


def grade_tls(
    *,
    settings: Settings,
    engine: Engine,
    host: str = "",
    profile: Profile = "intermediate",
    now: datetime | None = None,
) -> Grade:
    """Look at the TLS of production's Nginx on this host, or at another `host` (NAME or NAME:PORT).

    Raises `MissingToolError` where sslyze is not to be had, `CertificateError` where nothing answers.
    """
    sslyze = tool("sslyze")
    name, address, port = _target(settings, engine, host)
    authority = settings.secrets_folder / _LOCAL_AUTHORITY
    private = authority.is_file() and not host
    with TemporaryDirectory(prefix="cotai-tls-") as folder:
        told = Path(folder) / "tls.json"
        flags = [f"--mozilla_config={profile}", "--http_headers", f"--json_out={told}"]
        trust = [f"--certinfo_ca_file={authority}"] if private else []
        where = f"{name}:{port}" + (f"{{{address}}}" if address else "")
        try:
            text = sslyze.run([*flags, *trust, where], directory=Path(folder), codes=(0, _DIFFERS))
        except ScannerError as error:
            raise CertificateError(f"{name}:{port}: sslyze came to no end", evidence=str(error)) from error
        result = _answer(json.loads(told.read_text(encoding="utf-8")), f"{name}:{port}")
    deviations = read_deviations(text)
    own = private and not _known_to_browsers(result)
    faults = find_faults(result, deviations, now=now or datetime.now(UTC), private=own)
    return Grade(
        name=name,
        address=f"{address or name}:{port}",
        profile=profile,
        compliant=not deviations,
        mark=mark_of(faults),
        faults=tuple(f"{one.mark}: {one.text}" for one in faults),
        tool=str(sslyze),
        protocols=read_protocols(result),
    )


def read_profile(name: str) -> Profile:
    """Read a profile as it is typed; raise `UsageError` for one that does not exist."""
    if name not in PROFILES:
        raise UsageError(f"--profile {name}: no such profile", cure=nearest(name, PROFILES))
    return next(one for one in PROFILES if one == name)


def show_grade(grade: Grade, *, as_json: bool, console: Console) -> None:
    """Show the mark and what keeps it from an A+; raise `FindingsError` where Mozilla's profile is not kept."""
    if as_json:
        console.json(asdict(grade))
    else:
        console.out(f"{grade.mark}  {grade.name} at {grade.address}: {', '.join(grade.protocols)}")
        for fault in grade.faults:
            console.out(f"    {fault}")
        kept = "is kept" if grade.compliant else "is not kept"
        console.say(f"{grade.tool}: Mozilla's profile {grade.profile} {kept}")
    if not grade.compliant:
        raise FindingsError(
            f"the TLS of {grade.name} is not Mozilla's {grade.profile}: {grade.mark}",
            cure="TLS_PROFILE and the certificate decide: inv security.certs-status, docs/nginx.md.",
        )


def published(containers: list[Container], port: int) -> str:
    """Give the address at which a stack's Nginx is published with this port; empty where it is not."""
    for one in containers:
        for place in one.ports if one.service == SERVICE and one.state == "running" else ():
            address, _, number = place.rpartition(":")
            if number == str(port):
                return "127.0.0.1" if address in _ANYWHERE else address
    return ""


def _target(settings: Settings, engine: Engine, host: str) -> tuple[str, str, int]:
    """Say whom to ask for which name: name, address (empty: as DNS has it), port."""
    if host:
        name, _, port = host.partition(":")
        if port and not port.isdecimal():
            raise UsageError(f"--host {host}: no such port", cure="NAME or NAME:PORT.")
        return name, "", int(port or 443)
    require_tls(settings)
    port_number = settings.variables.HTTPS_PORT
    address = published(engine.containers(settings.stack_name), port_number)
    if not address:
        raise CertificateError(
            f"{settings.stack_name} has no Nginx that is published at port {port_number}",
            cure="inv deploy.prod starts it; --host NAME looks at another server.",
        )
    return settings.server_names[0], address, port_number


def _answer(told: dict[str, Any], where: str) -> dict[str, Any]:
    """Give what sslyze saw; raise `CertificateError` where it saw nothing, or not all."""
    servers = told.get("server_scan_results") or [{}]
    result: dict[str, Any] = servers[0].get("scan_result") or {}
    if not result:
        raise CertificateError(f"nobody speaks TLS at {where}", cure="inv deploy.status, inv security.certs-status.")
    if missing := unfinished(result):
        raise CertificateError(f"sslyze could not finish with {where}: {', '.join(missing)}", cure="Try again.")
    return result


def _known_to_browsers(result: dict[str, Any]) -> bool:
    """Tell whether an authority that browsers know has signed: one beside the file that we gave."""
    found = result["certificate_info"]["result"]["certificate_deployments"]
    checks = [check for one in found for check in one["path_validation_results"]]
    return any(
        check["was_validation_successful"] and _LOCAL_AUTHORITY not in check["trust_store"]["path"] for check in checks
    )
