"""Certificates and secrets of production; scans and audits of whatever runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cotai_tasks.task import open_console, open_engine, open_settings, open_tools, project_directory, task

if TYPE_CHECKING:
    from invoke.context import Context

_ENV = "Which stack; only prod has TLS."


@task(
    help={
        "env": _ENV,
        "self_signed": "Sign one with a local authority, for a host that the world does not see.",
        "acme": "Get one from ACME_DIRECTORY (Let's Encrypt).",
        "cert": "Install this chain (PEM): the server's certificate first, then the authorities'.",
        "key": "The private key of --cert (PEM, without a passphrase).",
        "staging": "Rehearse with Let's Encrypt's staging server first.",
    }
)
def certs(  # noqa: PLR0913, PLR0917 - a flag each
    c: Context,
    self_signed: bool = False,
    acme: bool = False,
    cert: str = "",
    key: str = "",
    staging: bool = True,
    yes: bool = False,
    env: str = "prod",
    dry_run: bool = False,
) -> None:
    """Get a TLS certificate for SERVER_NAME, check it, install it, and see nginx serve it."""
    from cotai_tasks.security.certs import certs as procedure
    from cotai_tasks.security.certs import choose_way

    way = choose_way(self_signed=self_signed, acme=acme, chain_file=cert, key_file=key, rehearse=staging)
    procedure(way, yes=yes, dry_run=dry_run, **open_tools(c, env))


@task(help={"env": _ENV})
def certs_status(c: Context, env: str = "prod", json: bool = False) -> None:
    """Show the installed certificate: names, issuer, days left, and whether nginx serves it."""
    from cotai_tasks.security.certs_status import certificate_status, show_certificate

    tools = open_tools(c, env)
    status = certificate_status(settings=tools["settings"], engine=tools["engine"])
    show_certificate(status, as_json=json, console=tools["console"])


@task(
    help={
        "env": _ENV,
        "force": "Renew now, however long the certificate is still valid.",
        "timer": "Print a systemd timer and a line for cron that renew by themselves.",
        "install_timer": "Install that systemd timer on this host (as root).",
    }
)
def renew(
    c: Context,
    force: bool = False,
    timer: bool = False,
    install_timer: bool = False,
    env: str = "prod",
    dry_run: bool = False,
) -> None:
    """Renew the certificate once a third of its life is left, without dropping a connection."""
    from cotai_tasks.security.renew import renew as procedure
    from cotai_tasks.security.timer import install_timer as install
    from cotai_tasks.security.timer import show_timer

    if timer:
        show_timer(open_settings(c, env, None), os.environ, open_console())
    elif install_timer:
        install(open_settings(c, env, None), os.environ, open_console())
    else:
        procedure(force=force, dry_run=dry_run, **open_tools(c, env))


@task(
    help={
        "env": "Which stack; only prod has secret files.",
        "check": "Change nothing, and name everything that is wrong.",
        "rotate": "Change this secret while the stack runs; the old value stays valid where it can.",
        "finish": "Make the old value of this rotated secret invalid.",
    },
)
def secrets(
    c: Context,
    check: bool = False,
    rotate: str = "",
    finish: str = "",
    yes: bool = False,
    env: str = "prod",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Make production's missing secrets, check them, or change one; values are never shown."""
    from cotai_tasks.security import rotate as changes
    from cotai_tasks.security import secrets as procedures

    tools = open_tools(c, env)
    settings, console = tools["settings"], tools["console"]
    procedures.require_one_way(settings, check=check, rotate=rotate, finish=finish)
    if check:
        for warning in procedures.secret_warnings(settings):
            console.warn(str(warning))
        procedures.show_findings(procedures.check_secrets(settings), as_json=json, settings=settings, console=console)
    elif finish:
        changes.finish(finish, yes=yes, dry_run=dry_run, **tools)
    elif rotate:
        procedures.show_result(changes.rotate(rotate, dry_run=dry_run, **tools), as_json=json, console=console)
    else:
        made = procedures.make_secrets(dry_run=dry_run, settings=settings, console=console)
        procedures.show_result(made, as_json=json, console=console)


@task(
    iterable=["recipient"],
    help={
        "env": "Which stack; only prod has secret files.",
        "recipient": "Who can open it: age1… or ssh-ed25519 …; repeat it for several (default: env/recipients.txt).",
    },
)
def seal(c: Context, recipient: list[str], env: str = "prod", dry_run: bool = False) -> None:
    """Encrypt production's env file and secrets into one file that may be committed."""
    from cotai_tasks.security.seal import seal as procedure

    procedure(recipients=recipient, dry_run=dry_run, settings=open_settings(c, env, None), console=open_console())


@task(help={"identity": "The private key: a file of age-keygen, or an SSH key without a passphrase."})
def unseal(c: Context, identity: str = "", yes: bool = False) -> None:
    """Restore production's env file and secrets from the sealed file, after a question."""
    from cotai_tasks.security.seal import unseal as procedure

    config = c.config.cotai  # the settings themselves may be what is to be restored
    procedure(
        identity=identity,
        yes=yes,
        env_file=str(config.env_file or ""),
        secrets=os.environ.get("COTAI_SECRETS", "") or str(dict(config.variables or {}).get("COTAI_SECRETS", "")),
        directory=project_directory(c),
        console=open_console(),
    )


@task(
    help={
        "what": "Parts, separated by commas: images, dockerfiles, compose, nginx, workflows, dependencies, repository.",
        "severity": "What counts: info, low, medium, high or critical.",
        "format": "table, json or sarif.",
        "output": "Write it to this file.",
        "only": "Scan this image alone, by its name or that of its service.",
        "all_": "Scan the upstream images too.",
    }
)
def scan(
    c: Context,
    what: str = "",
    severity: str = "high",
    format: str = "table",  # noqa: A002 - the flag's name
    output: str = "",
    only: str = "",
    all_: bool = False,
    env: str = "",
) -> None:
    """Look for known vulnerabilities, secrets and mistakes in images, files and dependencies."""
    from cotai_tasks.security.scanning import flaws, images, scan, show
    from cotai_tasks.stack import split

    form, counts, parts = show.read_form(format), flaws.read_severity(severity), scan.read_parts(split(what))
    engine = open_engine(c) if "images" in parts else None
    settings, console = open_settings(c, env, engine), open_console()
    chosen = images.stack_images(settings, engine, only=only, every=all_) if engine else []
    report = scan.scan(parts, images=chosen, settings=settings, engine=engine, console=console)
    file = project_directory(c) / output if output else None
    show.show_report(report, severity=counts, form=form, output=file, console=console)


@task(
    help={
        "format": "cyclonedx or spdx (default: both).",
        "output": "The folder to write to.",
        "only": "This image alone, by its name or that of its service.",
        "all_": "The upstream images too.",
    }
)
def sbom(
    c: Context,
    format: str = "",  # noqa: A002 - the flag's name
    output: str = "reports/sbom",
    only: str = "",
    all_: bool = False,
    env: str = "",
    json: bool = False,
) -> None:
    """Write down what each image is made of: a software bill of materials per image."""
    from cotai_tasks.security.scanning import images
    from cotai_tasks.security.scanning import sbom as procedure
    from cotai_tasks.stack import split

    tools, formats, folder = open_tools(c, env), procedure.read_formats(split(format)), project_directory(c) / output
    engine, console = tools["engine"], tools["console"]
    chosen = images.stack_images(tools["settings"], engine, only=only, every=all_)
    bills = procedure.sbom(chosen, formats=formats, folder=folder, engine=engine, console=console)
    procedure.show_bills(bills, as_json=json, console=console)


@task()
def audit(c: Context, env: str = "", json: bool = False) -> None:
    """Hold the running stack and its engine against the CIS Docker Benchmark 1.6."""
    from cotai_tasks.security.benchmark import audit as procedure
    from cotai_tasks.security.benchmark import show_audit

    tools = open_tools(c, env)
    points = procedure(settings=tools["settings"], engine=tools["engine"])
    show_audit(points, as_json=json, console=tools["console"])


@task(
    help={
        "env": _ENV,
        "host": "Another server, NAME or NAME:PORT, as DNS has it.",
        "profile": "Mozilla's profile to hold it against: intermediate or modern (default: TLS_PROFILE).",
    }
)
def tls(c: Context, host: str = "", profile: str = "", env: str = "prod", json: bool = False) -> None:
    """Grade the TLS that users are offered, from A+ to F, against Mozilla's profile."""
    from cotai_tasks.security.scanning import tls as procedure

    tools = open_tools(c, env)
    settings = tools["settings"]
    against = procedure.read_profile(profile or settings.variables.TLS_PROFILE)
    grade = procedure.grade_tls(settings=settings, engine=tools["engine"], host=host, profile=against)
    procedure.show_grade(grade, as_json=json, console=tools["console"])
