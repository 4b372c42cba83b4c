"""Each database's own client, run inside its container.

No password leaves the container: the scripts below take it from what the container has anyway, its environment in
development and its files in production, so it is in no command line, here or there.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cotai_tasks.errors import DatabaseError, EngineError, UsageError, nearest
from cotai_tasks.facts import running_services
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

DATABASES = ("postgres", "mongodb", "redis", "redis-cache")

# A container's root is read-only: what a client remembers goes to /tmp. While the application's password changes, two
# logins take turns, and a file says whose password it is.
_PSQL = """
login="$APP_USER"
if [ -e /run/secrets/POSTGRES_PASSWORD ]; then
    APP_PASSWORD="$(cat /run/secrets/POSTGRES_PASSWORD)"
    login="$(cat /run/secrets/POSTGRES_LOGIN)"
fi
export PGPASSWORD="$APP_PASSWORD" PSQL_HISTORY=/tmp/.psql_history
exec psql --no-psqlrc --username="$login" --dbname="$POSTGRES_DB" "$@"
"""
# Production's server knows the application's password as a hash alone: there it is the administrator who logs in.
_REDIS_CLI = """
if [ -e /run/secrets/users.acl ]; then
    REDIS_PASSWORD="$(cat /run/secrets/REDIS_ADMIN_PASSWORD)"
    set -- --tls --cacert /run/secrets/ca.pem --user admin "$@"
fi
export REDISCLI_AUTH="$REDIS_PASSWORD" REDISCLI_HISTFILE=/tmp/.rediscli_history
exec redis-cli -e "$@"
"""
# LOGIN is `monitor` where the application's user may not ask. The image for evaluation has no mongosh, and brings a
# prompt of its own; in development the application is the root user.
_MONGOSH = """
if ! command -v mongosh >/dev/null; then
    [ -z "${MONGODB_USER:-}" ] || set -- --as "${LOGIN:-application}" "$@"
    exec mongodb-shell cotai "$@"
fi
export HOME=/tmp
options=directConnection=true
[ ! -e /run/secrets/tls.pem ] || options="$options&tls=true&tlsCAFile=/run/secrets/ca.pem"
[ $# -gt 0 ] || set -- --shell
exec mongosh --quiet --norc "mongodb://127.0.0.1/cotai?$options" --eval '
  (() => {
    const admin = db.getSiblingDB("admin"), env = process.env;
    const held = (name) => require("fs").readFileSync(`/run/secrets/${name}`, "utf8").trim();
    if (!env.MONGODB_USER) admin.auth(env.MONGO_INITDB_ROOT_USERNAME, env.MONGO_INITDB_ROOT_PASSWORD);
    else if (env.LOGIN) admin.auth("monitor", held("MONITOR_PASSWORD"));
    else admin.auth(held("MONGODB_LOGIN"), held("MONGODB_PASSWORD"));
  })();
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


def run_in_application(
    stack: Stack, service: str, command: Sequence[str], engine: Engine, console: Console, *, fault: str, cure: str = ""
) -> None:
    """Run a command of the application in a container of its own; a failure becomes a `DatabaseError`."""
    try:
        for line in engine.run_once(stack.project, service, command):
            console.line(line)
    except EngineError as error:
        if not error.evidence:  # no engine, no permission: not the application's fault
            raise
        raise DatabaseError(fault, cure=cure, evidence=error.evidence) from error


def require_running(stack: Stack, services: Sequence[str], *, settings: Settings, engine: Engine) -> None:
    """Raise `DatabaseError` with the names of those services that are not running."""
    running = running_services(engine.containers(stack.project.name))
    stopped = [name for name in services if name not in running]
    if stopped:
        only = f" --only {','.join(stopped)}" if settings.environment == "dev" else ""
        cure = f"inv deploy.{settings.environment}{only}"
        raise DatabaseError(f"not running in {stack.project.name}: {', '.join(stopped)}", cure=f"Start it: {cure}")
