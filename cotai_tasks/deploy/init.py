"""Making a production environment out of nothing: its env file, its secrets, a certificate to begin with."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cotai_tasks import security
from cotai_tasks.build import ensure_images
from cotai_tasks.errors import (
    BuildError,
    EngineError,
    Finding,
    PreflightError,
    RegistryError,
    SettingsError,
    UsageError,
    nearest,
)
from cotai_tasks.files import find_file
from cotai_tasks.settings import FILE_NAMES, load_settings
from cotai_tasks.stack import choose_source, open_stack
from cotai_tasks.variables import PRODUCTION_SECRETS, Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

EXAMPLE = "env/.env.production.example"
ASKED = {
    "SERVER_NAME": "Public host name of the stack, such as cotai.example.org",
    "ACME_EMAIL": "Address that Let's Encrypt warns before a certificate expires (empty: none)",
}
"""What no default can know, and how it is asked."""


@dataclass(frozen=True)
class Start:
    """What `deploy.init` made."""

    env_file: Path
    created: bool
    """False where it was there already."""
    secrets: tuple[str, ...]
    certificate: bool
    """Whether a self-signed one could be installed."""


def initialise(
    environment: str,
    *,
    given: Sequence[str] = (),
    directory: Path,
    environ: Mapping[str, str],
    project: str,
    engine: Engine,
    console: Console,
    ask: Callable[[str], str] = input,
) -> Start | None:
    """Make what production needs and is not there yet; say what is left to do by hand.

    Raises `UsageError` for an unknown variable, `SettingsError` with every wrong value: then nothing was written.
    """
    if environment == "dev":
        console.done("nothing to do: development works as it is. inv deploy.dev starts it.")
        return None
    if environment != "prod":
        raise UsageError(f"no such environment: {environment!r}", cure=nearest(environment, ("prod", "dev")))
    values = read_assignments(given)
    path = directory / FILE_NAMES["prod"]
    created = not path.exists()
    if created:
        values |= _ask(values, console, ask)
        _create(path, find_file(directory, EXAMPLE).read_text(), values, directory, environ, project)
        console.done(f"{FILE_NAMES['prod']} is made (mode 0600)")
    elif values:
        raise UsageError(f"{FILE_NAMES['prod']} is there already", cure="Change it there: --set is for a new one.")
    else:
        console.say(f"  {FILE_NAMES['prod']} is there already, and stays as it is")
    settings = load_settings(directory, "prod", environ=environ, project=project)
    made = security.make_secrets(settings=settings, console=console).made
    certificate = _certificate(settings, engine, console)
    for number, step in enumerate(steps(settings, certificate=certificate), 1):
        console.say(f"  {number}. {step}")
    return Start(path, created, made, certificate)


def read_assignments(given: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE`; raise `UsageError` for what is none, for an unknown name and for a secret."""
    values = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise UsageError(f"--set {one}: not NAME=VALUE", cure="For example --set SERVER_NAME=cotai.example.org")
        if name in PRODUCTION_SECRETS:
            raise UsageError(f"--set {name}: a secret has no place in a command line", cure="It is made by itself.")
        if name not in Variables.model_fields:
            raise UsageError(f"--set {name}: unknown variable", cure=nearest(name, Variables.model_fields))
        values[name] = value
    return values


def filled(example: str, values: Mapping[str, str]) -> str:
    """Put values into the lines of the example; what has no line there is added at the end."""
    text, rest = example, dict(values)
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name}=.*$", lambda _: f"{name}={_quoted(value)}", text)  # noqa: B023 - used at once
        if count:
            del rest[name]
    return text + "".join(f"{name}={_quoted(value)}\n" for name, value in rest.items())


def steps(settings: Settings, *, certificate: bool) -> list[str]:
    """Say what is left to do, in order."""
    names, variables = " ".join(settings.server_names), settings.variables
    return [
        f"DNS: let {names} point to this host (an A record).",
        f"Firewall: open ports {variables.HTTP_PORT} and {variables.HTTPS_PORT} to the world, and no other.",
        *([] if certificate else ["inv security.certs --self-signed: Nginx needs a certificate to start."]),
        "inv deploy.prod starts the stack.",
        "inv security.certs --acme gets a certificate that browsers know (port 80 must be reachable by then).",
        f"Back up {variables.COTAI_SECRETS}: inv security.seal --recipient age1… makes one encrypted file to commit.",
    ]


def _ask(values: Mapping[str, str], console: Console, ask: Callable[[str], str]) -> dict[str, str]:
    """Ask for what no default can know; without a terminal the validation names what is missing."""
    if not console.interactive:
        return {}
    return {name: ask(f"{question}: ").strip() for name, question in ASKED.items() if name not in values}


def _create(
    path: Path, example: str, values: Mapping[str, str], directory: Path, environ: Mapping[str, str], project: str
) -> None:
    """Write the env file beside its place, validate it there, and only then give it its name."""
    fresh = path.with_name(f"{path.name}.new")
    path.parent.mkdir(exist_ok=True)
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    try:
        fresh.write_text(filled(example, values))
        load_settings(directory, "prod", environ=environ, project=project, env_file=str(fresh.relative_to(directory)))
        fresh.rename(path)
    except SettingsError as error:
        findings = [Finding(one.where.replace(".new", ""), one.fault, one.cure) for one in error.findings]
        cure = "Nothing was written. Give values with --set NAME=VALUE."
        raise SettingsError("production cannot be set up like that", findings=findings, cure=cure) from error
    finally:
        fresh.unlink(missing_ok=True)


def _certificate(settings: Settings, engine: Engine, console: Console) -> bool:
    """Install a self-signed certificate, so that Nginx can start, through a container of our own image."""
    try:
        make_image(settings, engine, console)
        security.install_self_signed(settings=settings, engine=engine, console=console)
    except (BuildError, EngineError, PreflightError, RegistryError) as error:
        console.warn(f"no certificate yet: {error}")
        return False
    return True


def make_image(settings: Settings, engine: Engine, console: Console) -> None:
    """Make the image of the container that puts files into volumes, where it is missing."""
    stack = open_stack(settings, engine, choose_source(settings, engine)[0])
    needed = replace(stack, services={"backend": stack.services["backend"]})
    ensure_images(needed, rebuild=False, settings=settings, engine=engine, console=console)


def _quoted(value: str) -> str:
    return f"'{value}'" if re.search(r"[\s#\"$]", value) else value
