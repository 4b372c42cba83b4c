"""Each database's own client, run inside its container.

No password leaves the container: the scripts below take it from the environment that the container has anyway, so
it is in no command line, here or there.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cotai_tasks.errors import DatabaseError, EngineError, UsageError, nearest
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

DATABASES = ("postgres", "mongodb", "redis", "redis-cache")

# A container's root is read-only: what a client remembers goes to /tmp.
_PSQL = """
export PGPASSWORD="$APP_PASSWORD" PSQL_HISTORY=/tmp/.psql_history
exec psql --no-psqlrc --username="$APP_USER" --dbname="$POSTGRES_DB" "$@"
"""
_REDIS_CLI = """
export REDISCLI_AUTH="$REDIS_PASSWORD" REDISCLI_HISTFILE=/tmp/.rediscli_history
exec redis-cli -e "$@"
"""
# The image for evaluation has no mongosh, and brings a prompt of its own.
_MONGOSH = """
command -v mongosh >/dev/null || exec mongodb-shell cotai "$@"
export HOME=/tmp
[ $# -gt 0 ] || set -- --shell
exec mongosh --quiet --norc "mongodb://127.0.0.1/cotai?directConnection=true" --eval '
  db.getSiblingDB("admin").auth(process.env.MONGO_INITDB_ROOT_USERNAME, process.env.MONGO_INITDB_ROOT_PASSWORD)
' "$@"
"""
_CLIENTS = {"postgres": _PSQL, "mongodb": _MONGOSH, "redis": _REDIS_CLI, "redis-cache": _REDIS_CLI}
_INTERRUPTED = 130


def client(service: str, *arguments: str) -> list[str]:
    """Give the command that starts a database's client inside its container."""
    return ["sh", "-c", _CLIENTS[service], service, *arguments]


def one_command(service: str, text: str) -> list[str]:
    """Give the command that makes the client run one command and print the bare result."""
    match service:
        case "postgres":
            return client(service, "--no-align", "--tuples-only", "--set=VERBOSITY=terse", "--command", text)
        case "mongodb":
            return client(service, "--eval", text)
    try:
        return client(service, *shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--command {text}: {str(error).lower()}", cure="Close the quotation.") from error


def shell(service: str, *, command: str = "", settings: Settings, engine: Engine, console: Console) -> None:
    """Open a database's client on the user's terminal, or run one command and print what it gives.

    Raises `UsageError` for an unknown database or a missing terminal, `DatabaseError` when the server is not running
    or refuses the command.
    """
    if service not in DATABASES:
        raise UsageError(f"no such database: {service!r}", cure=nearest(service, DATABASES))
    stack = open_stack(settings, engine)
    require_running(stack, [service], settings=settings, engine=engine)
    if command:
        for line in ask(stack, service, one_command(service, command), engine).splitlines():
            console.out(line)
        return
    if not console.interactive:
        raise UsageError("a shell needs a terminal", cure='Without one, run one command: --command "…".')
    code = engine.attach(stack.project, service, client(service))
    if code not in {0, _INTERRUPTED}:
        raise DatabaseError(f"the shell in {service} ended with exit code {code}")


def ask(stack: Stack, service: str, command: Sequence[str], engine: Engine) -> str:
    """Run a command in a database's container and give its output; a refusal becomes a `DatabaseError`."""
    try:
        return engine.execute(stack.project, service, command)
    except EngineError as error:
        if not error.evidence:  # no engine, no permission: not the database's fault
            raise
        said = error.evidence.splitlines()
        reason = next((line for line in reversed(said) if "error" in line.lower()), said[-1])
        raise DatabaseError(f"{service} refused: {reason.strip()}", evidence="\n".join(said[:-1])) from error


def require_running(stack: Stack, services: Sequence[str], *, settings: Settings, engine: Engine) -> None:
    """Raise `DatabaseError` with the names of those services that are not running."""
    running = {one.service for one in engine.containers(stack.project.name) if one.state == "running"}
    stopped = [name for name in services if name not in running]
    if stopped:
        cure = f"inv deploy.{settings.environment} --only {','.join(stopped)}"
        raise DatabaseError(f"not running in {stack.project.name}: {', '.join(stopped)}", cure=f"Start it: {cure}")
