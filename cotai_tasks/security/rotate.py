"""Changing one secret while the stack runs: in the database that knows it, in the store, and at the engine.

The new value is written beside the old one first, then the database learns it, then the file takes its name. Whoever
is interrupted repeats the command: it goes on with the value that it finds. The passwords of the application, and those
of Redis, are both valid until `finish`, so that services change over one by one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.errors import DatabaseError, EngineError, RefusedError, UsageError, nearest
from cotai_tasks.facts import running_services
from cotai_tasks.lock import stack_lock
from cotai_tasks.security import logins
from cotai_tasks.security.readers import confirm_readers, folders_of, services_to_restart
from cotai_tasks.security.render import Material, redis_logins, render
from cotai_tasks.security.secrets import (
    ROTATIONS,
    Rotation,
    fingerprint,
    login_of,
    material,
    require_production,
    rotations,
)
from cotai_tasks.security.store import Store, new_password
from cotai_tasks.stack import open_stack
from cotai_tasks.variables import PRODUCTION_SECRETS
from cotai_tasks.volumes import get_folder, put_folders

if TYPE_CHECKING:
    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.stack import Stack

REDIS_USERS = {
    "REDIS_PASSWORD": {"redis": "app"},
    "REDIS_CACHE_PASSWORD": {"redis-cache": "app"},
    "REDIS_ADMIN_PASSWORD": {"redis": "admin", "redis-cache": "admin"},
    "MONITOR_PASSWORD": {"redis": "monitor", "redis-cache": "monitor"},
}
"""Which user of which Redis server has a password."""
DATABASES: dict[str, tuple[str, ...]] = {
    "POSTGRES_PASSWORD": ("postgres",),
    "POSTGRES_SUPERUSER_PASSWORD": ("postgres",),
    "MONGODB_PASSWORD": ("mongodb",),
    "MONGODB_ROOT_PASSWORD": ("mongodb",),
    "REDIS_PASSWORD": ("redis",),
    "REDIS_CACHE_PASSWORD": ("redis-cache",),
    "REDIS_ADMIN_PASSWORD": ("redis", "redis-cache"),
    "MONITOR_PASSWORD": ("postgres", "mongodb", "redis", "redis-cache"),
    "ADMIN_PASSWORD": (),
}
"""Which servers must be told of a new password."""
TWO_LOGINS = ("POSTGRES_PASSWORD", "MONGODB_PASSWORD")
"""The server knows one password to a login: two logins take turns."""
OVERLAPPING = (*TWO_LOGINS, "REDIS_PASSWORD", "REDIS_CACHE_PASSWORD", "REDIS_ADMIN_PASSWORD")
"""The old password stays valid until `finish`."""
_MONGODB_ROLES = {
    "MONGODB_PASSWORD": [("readWrite", "cotai")],
    "MONGODB_ROOT_PASSWORD": [("root", "admin")],
    "MONITOR_PASSWORD": [("clusterMonitor", "admin"), ("read", "local")],
}
_OWN_USERS = {"MONGODB_ROOT_PASSWORD": "root", "MONITOR_PASSWORD": "monitor", "POSTGRES_SUPERUSER_PASSWORD": "postgres"}


def rotate(name: str, *, dry_run: bool = False, settings: Settings, engine: Engine, console: Console) -> Rotation:
    """Change a secret; the same command again brings an interrupted one to its end.

    Raises `DatabaseError` when a server that knows it does not run or refuses.
    """
    store = _store(name, settings)
    stack = open_stack(settings, engine)
    told = ", ".join(DATABASES[name]) or "no database"
    if dry_run:
        console.say(f"would change {name} in {store.folder}, at the engine and in: {told}")
        return Rotation(name, open=False, restart=())
    _require_running(stack, name, engine)
    with stack_lock(stack, engine, f"rotate {name}"):
        now = material(settings, stack.variables)
        _require_ours(name, now, stack, engine)
        if store.text(f"{name}.old") and not store.text(f"{name}.next"):
            _apply(now, name, store, stack, engine)
            console.done(f"{name}: the new value is in use already; the old one is valid until --finish {name}")
        else:
            now = _change(name, now, store, stack, engine, console)
            console.done(f"{name} is changed")
    result = Rotation(name, open=name in OVERLAPPING, restart=services_to_restart(name, now, stack))
    _say_what_is_left(result, console)
    return result


def finish(
    name: str, *, yes: bool = False, dry_run: bool = False, settings: Settings, engine: Engine, console: Console
) -> None:
    """Make the old value of a rotated secret invalid, and end the sessions that were opened with it."""
    store = _store(name, settings)
    old = store.text(f"{name}.old")
    if not old:
        console.done(f"{name}: nothing to do, no old value is valid")
        return
    if store.text(f"{name}.next") or "since" not in rotations(store).get(name, {}):
        raise UsageError(f"the rotation of {name} was interrupted", cure=f"First: inv security.secrets --rotate {name}")
    stack = open_stack(settings, engine)
    if dry_run:
        console.say(f"would make the old value of {name} invalid in {', '.join(DATABASES[name])}")
        return
    _require_running(stack, name, engine)
    with stack_lock(stack, engine, f"finish {name}"):
        now = material(settings, stack.variables)
        _require_ours(name, now, stack, engine)
        confirm_readers(name, now, store, stack, engine, console, yes)
        if name == "POSTGRES_PASSWORD":
            _confirm_sessions(login_of(store, name, old) or now.variables["POSTGRES_USER"], stack, engine, console, yes)
        left = replace(now, also_valid={key: value for key, value in now.also_valid.items() if key != name})
        _close(name, old, left, store, stack, engine)
        put_folders(stack, engine, render(left))
        store.remove(f"{name}.old")
    console.done(f"{name}: the old value is invalid")


def _store(name: str, settings: Settings) -> Store:
    require_production(settings)
    if name not in PRODUCTION_SECRETS:
        raise UsageError(f"no such secret: {name!r}", cure=nearest(name, PRODUCTION_SECRETS))
    store = Store(settings.secrets_folder)
    if settings.variables.plain()[name] != store.text(name):
        cure = f"Change it where it is set; inv security.secrets makes what {store.folder} lacks."
        raise UsageError(f"{name} is not what {store.folder} holds: the environment gives another", cure=cure)
    return store


def _require_running(stack: Stack, name: str, engine: Engine) -> None:
    running = running_services(engine.containers(stack.project.name))
    stopped = [one for one in DATABASES[name] if one not in running]
    if stopped:
        raise DatabaseError(
            f"not running in {stack.project.name}: {', '.join(stopped)}",
            cure=f"Start it: inv deploy.prod. Before the first start: remove the file {name}, inv security.secrets.",
        )


def _require_ours(name: str, now: Material, stack: Stack, engine: Engine) -> None:
    """Refuse to change a stack that was set up with the secrets of another folder: another checkout, another laptop."""
    for folder in [f"secrets/{one}" for one in DATABASES[name]] or ["secrets/flower"]:
        found = get_folder(stack, engine, folder, "ca.pem")
        if found.get("ca.pem") != now.files["internal-ca.pem"]:
            raise RefusedError(
                f"{stack.project.name} does not run with the secrets of this folder: nothing was changed",
                cure="Change it where it was deployed from, or bring its secrets here: inv security.unseal.",
            )


def _change(name: str, now: Material, store: Store, stack: Stack, engine: Engine, console: Console) -> Material:
    """Give a secret its new value: beside the old one, in the databases, in its place, at the engine."""
    store.add(f"{name}.next", new_password())
    value = store.text(f"{name}.next")
    after = replace(now, passwords={**now.passwords, name: value})
    if name in OVERLAPPING:
        after = replace(after, also_valid={**now.also_valid, name: now.passwords[name]})
    if name in TWO_LOGINS:
        after = replace(after, logins={**now.logins, name: _other_login(now, name)})
        _remember(store, name, {value: after.login(name), now.passwords[name]: now.login(name)})
    elif name in OVERLAPPING:
        _remember(store, name, {})
    for database in DATABASES[name]:
        with console.step(f"telling {database} of the new {name}"):
            _teach(database, name, after, now, stack, engine)
    if name in OVERLAPPING:
        store.write(f"{name}.old", now.passwords[name].encode())
    store.rename(f"{name}.next", name)
    _deliver(name, after, store, stack, engine)
    return after


def _other_login(now: Material, name: str) -> str:
    owner = now.variables[name.replace("_PASSWORD", "_USER")]
    return f"{owner}_b" if now.login(name) == owner else owner


def _remember(store: Store, name: str, users: dict[str, str]) -> None:
    """Write down which password is whose; since when it is at the engine is not known yet."""
    entry = {fingerprint(one): who for one, who in users.items()}
    store.write(ROTATIONS, json.dumps(rotations(store) | {name: entry}, indent=2).encode())


def _deliver(name: str, now: Material, store: Store, stack: Stack, engine: Engine) -> None:
    """Put the files at the engine, and write down since when its readers find the new value there."""
    put = put_folders(stack, engine, render(now))
    if name in OVERLAPPING:
        since = max(put.written[folder] for folder in folders_of(name, now))
        entry = rotations(store).get(name, {}) | {"since": datetime.fromtimestamp(since, UTC).isoformat()}
        store.write(ROTATIONS, json.dumps(rotations(store) | {name: entry}, indent=2).encode())


def _teach(database: str, name: str, after: Material, now: Material, stack: Stack, engine: Engine) -> None:
    """Tell one server of a new password; telling it twice does no harm."""
    value, owner = after.passwords[name], after.variables.get(name.replace("_PASSWORD", "_USER"), "")
    user = after.login(name) if name in TWO_LOGINS else _OWN_USERS.get(name, "")
    match database:
        case "postgres" if name in TWO_LOGINS:
            _postgres(logins.postgres_login(user, owner, value), stack, engine)
        case "postgres":
            _postgres(logins.postgres_password(user, value), stack, engine)
        case "mongodb":
            roots = [now.passwords["MONGODB_ROOT_PASSWORD"], after.passwords["MONGODB_ROOT_PASSWORD"]]
            order = logins.mongodb_login(user, value, _MONGODB_ROLES[name], roots)
            _feed(stack, engine, "mongodb", logins.MONGODB, order)
        case _:
            _redis(database, name, after, now.passwords["REDIS_ADMIN_PASSWORD"], stack, engine)


def _apply(now: Material, name: str, store: Store, stack: Stack, engine: Engine) -> None:
    """Bring what an interruption left out: the files at the engine, and what Redis takes from them."""
    for server in REDIS_USERS.get(name, {}):
        _redis(server, name, now, now.passwords["REDIS_ADMIN_PASSWORD"], stack, engine)
    _deliver(name, now, store, stack, engine)


def _close(name: str, old: str, left: Material, store: Store, stack: Stack, engine: Engine) -> None:
    """Make the servers refuse the old password."""
    owner = left.variables.get(name.replace("_PASSWORD", "_USER"), "")
    login = login_of(store, name, old) or owner
    match name:
        case "POSTGRES_PASSWORD":
            _postgres(logins.postgres_close(login, owner), stack, engine)
        case "MONGODB_PASSWORD":
            order = logins.mongodb_close(login, [left.passwords["MONGODB_ROOT_PASSWORD"]])
            _feed(stack, engine, "mongodb", logins.MONGODB, order)
        case _:
            for server in REDIS_USERS[name]:
                _redis(server, name, left, left.passwords["REDIS_ADMIN_PASSWORD"], stack, engine, close=True)


def _redis(
    server: str, name: str, after: Material, admin: str, stack: Stack, engine: Engine, *, close: bool = False
) -> None:
    """Put the new users file first: a server that restarts right now knows both passwords as well."""
    folders = render(after)
    if not close:  # the administrator's own file stays until the server knows what is in it
        folders[f"secrets/{server}"]["REDIS_ADMIN_PASSWORD"] = replace(
            folders[f"secrets/{server}"]["REDIS_ADMIN_PASSWORD"], content=admin.encode()
        )
    put_folders(stack, engine, {f"secrets/{server}": folders[f"secrets/{server}"]})
    user = REDIS_USERS[name][server]
    order = logins.redis_login(user, redis_logins(server, after)[user], admin, close=close)
    said = [line.strip() for line in _feed(stack, engine, server, logins.REDIS_CLI, order).splitlines() if line.strip()]
    wrong = [line for line in said if line != "OK" and not line.isdecimal()]
    if wrong or len(said) != order.count(b"\n"):  # redis-cli ends well whatever it was told, and when nobody answers
        raise DatabaseError(f"{server} refused: {wrong[0] if wrong else 'no answer over TLS'}")


def _postgres(script: bytes, stack: Stack, engine: Engine) -> str:
    command = [*logins.PSQL, f"--dbname={stack.variables['POSTGRES_DB']}"]
    return _feed(stack, engine, "postgres", command, script)


def _confirm_sessions(role: str, stack: Stack, engine: Engine, console: Console, yes: bool) -> None:  # noqa: FBT001
    count = int(_postgres(logins.postgres_sessions(role), stack, engine).strip() or 0)
    if count:
        sessions = "one session is" if count == 1 else f"{count} sessions are"
        console.confirm(f"{sessions} still open with the old POSTGRES_PASSWORD. End them?", yes=yes)


def _feed(stack: Stack, engine: Engine, service: str, command: list[str], data: bytes) -> str:
    """Run a command in a database's container; what it read is never in what is told of its failure."""
    try:
        return engine.feed(stack.project, service, command, data)
    except EngineError as error:
        if not error.evidence:
            raise
        reason = next((line for line in reversed(error.evidence.splitlines()) if "error" in line.lower()), str(error))
        raise DatabaseError(
            f"{service} refused: {reason.strip()}", cure="Nothing is lost: repeat the command once that is mended."
        ) from error


def _say_what_is_left(result: Rotation, console: Console) -> None:
    if result.restart:
        console.say(f"  they use the old value until: inv deploy.restart --svc {','.join(result.restart)}")
    if result.open:
        console.say(f"  the old value is valid until: inv security.secrets --finish {result.name}")
