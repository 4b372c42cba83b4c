"""A Redis in its container: asked how many keys it has, dumped, and loaded elsewhere to be looked at."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.base import Difference
from cotai_tasks.backup.components.scratch import await_answer, scratch
from cotai_tasks.engine import leashed
from cotai_tasks.errors import BackupError, EngineError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cotai_tasks.backup.components.base import Feed, Site
    from cotai_tasks.backup.manifest import Stream
    from cotai_tasks.engine import Engine
    from cotai_tasks.process import Piped

    Keys = Mapping[str, Mapping[str, int]]
    """By database: how many keys there are, and how many of them may go by themselves."""

SERVICE = "redis"

# The administrator, where there is one; a password is in no command line. A scratch server has none of either.
_CLI = """
if [ -e /run/secrets/users.acl ]; then
    REDIS_PASSWORD="$(cat /run/secrets/REDIS_ADMIN_PASSWORD)"
    set -- --tls --cacert /run/secrets/ca.pem --user admin "$@"
fi
[ -z "${REDIS_PASSWORD:-}" ] || export REDISCLI_AUTH="$REDIS_PASSWORD"
exec redis-cli -e "$@"
"""
_KEYS = re.compile(r"db(\d+):keys=(\d+),expires=(\d+)(?:.*subexpiry=(\d+))?")
_WRITES = ("run_id", "rdb_changes_since_last_save", "expired_keys", "evicted_keys")
"""What INFO tells that is the same twice only where nothing was written in between."""

# The container waits for its dump, and stays when its server has written what a live one begins with and has gone.
_SERVE = """
until [ -e /tmp/loaded ]; do sleep 0.1; done
"$@" || exit
touch /tmp/gone
exec sleep infinity
"""
_TAKE = "cat >/data/dump.rdb"
_REFUSED = "redis-check-rdb refuses it"
# It ends by 1 for damage alone; what keeps it from its work (no memory, no container) says nothing of the dump.
_CHECK = f"""
redis-check-rdb "$1" >&2
code=$?
[ $code -ne 1 ] || echo '{_REFUSED}' >&2
exit $code
"""
_ANSWERS = ("redis-cli", "-e", "ping")
_DATABASES = "1024"
"""More than anybody configures: a server with fewer databases than the dump refuses it."""

# Celery's queues are lists, one to each priority, named in the sets that bind them; tasks that a worker holds, and
# those for later, are in the hash `unacked`. A prefix that the application gives all of its keys is theirs too.
_DROP_TASKS = r"""
local dropped = 0
local function drop(key)
    if redis.call('TYPE', key).ok == 'list' then dropped = dropped + redis.call('LLEN', key) end
    if redis.call('TYPE', key).ok == 'hash' then dropped = dropped + redis.call('HLEN', key) end
    redis.call('DEL', key)
end
for _, binding in ipairs(redis.call('KEYS', '*_kombu.binding.*')) do
    local prefix = binding:match('^(.-)_kombu%.binding%.')
    local bound = redis.call('TYPE', binding).ok == 'set' and redis.call('SMEMBERS', binding) or {}
    for _, member in ipairs(bound) do
        local queue = prefix .. member:match('[^\6\22]*$')
        for priority = -1, 255 do
            local key = priority < 0 and queue or queue .. '\6\22' .. priority
            if redis.call('TYPE', key).ok == 'list' then drop(key) end
        end
    end
    for _, name in ipairs({'unacked', 'unacked_index', 'unacked_mutex'}) do drop(prefix .. name) end
end
return dropped
"""
# A server with an append-only file takes nothing else for its data, and one without looks for a dump alone.
_WRITE_OUT = """
set -eu
cd /data
{
    if [ "$1" = yes ]; then
        rm dump.rdb
        redis-cli -e config set appendonly yes
        while redis-cli -e info persistence | grep -qE '^aof_rewrite_(in_progress|scheduled):1'; do sleep 0.2; done
        redis-cli -e shutdown
        grep 'type b' "$2"/*.manifest
    else
        redis-cli -e save
        redis-cli -e shutdown nosave
        mv dump.rdb "$3"
    fi
    until [ -e /tmp/gone ]; do sleep 0.1; done
} >&2
exec tar --create --file=- --numeric-owner .
"""


@dataclass(frozen=True)
class Info:
    """What a server says of itself."""

    version: str
    keys: Keys
    writes: tuple[str, ...]
    """The same twice, where nobody wrote in between."""


@dataclass(frozen=True)
class Files:
    """What a server looks for in its folder when it starts."""

    appendonly: str
    appenddirname: str
    appendfilename: str
    dbfilename: str


@dataclass(frozen=True)
class Server:
    """One running server."""

    engine: Engine
    container: str

    def ask(self, *words: str) -> str:
        """Give what one command answers."""
        return self.engine.command("exec", self.container, "sh", "-c", _CLI, "redis", *words)

    def info(self) -> Info:
        """Ask for its version and for its keys."""
        return read_info(self.ask("info"))

    def files(self) -> Files:
        """Ask what its files are called."""
        names = ("appendonly", "appenddirname", "appendfilename", "dbfilename")
        words = self.ask("config", "get", *names).splitlines()
        told = dict(zip(words[::2], words[1::2], strict=True))
        return Files(*(told[name] for name in names))

    def dump(self) -> Piped:
        """Begin to dump everything, as a replica is sent it; it ends, in the container too, when we do."""
        command = leashed(["sh", "-c", _CLI, "redis", "--rdb", "-"])
        return self.engine.pipe("exec", "--interactive", self.container, *command, what="redis-cli --rdb")

    def drop_tasks(self) -> int:
        """Remove the tasks that are queued or held in any database; give their number."""
        return sum(int(self.ask("-n", number, "eval", _DROP_TASKS, "0")) for number in self.info().keys)

    def write_out(self, files: Files) -> Piped:
        """End a scratch server, and begin to give its folder as a live one would find it: a tar archive."""
        names = (files.appendonly, files.appenddirname, files.dbfilename)
        command = ("sh", "-c", _WRITE_OUT, "write-out", *names)
        return self.engine.pipe("exec", self.container, *command, what="writing Redis' files")


def live(site: Site) -> Server:
    """Give the stack's own server; raise `BackupError` where it does not run."""
    return Server(site.engine, site.live(SERVICE).id)


@contextmanager
def loaded(
    site: Site, backup: str, stream: Stream, feed: Feed, *, files: Files | None = None, keep: bool = False
) -> Iterator[Server]:
    """Give a scratch server that holds what was dumped, and would call its files as `files` says.

    Raises `IntegrityError` for what is no whole dump.
    """
    names = (*("--appenddirname", files.appenddirname), *("--appendfilename", files.appendfilename)) if files else ()
    options = ("--dir", "/data", "--save", "", "--appendonly", "no", "--databases", _DATABASES, *names)
    command = ["sh", "-c", _SERVE, "serve", "redis-server", *options]
    with scratch(site, SERVICE, backup, probe=["true"], command=command, keep=keep, staging=bool(files)) as name:
        with site.engine.pipe("exec", "--interactive", name, "sh", "-c", _TAKE, what="taking the dump") as taking:
            feed(stream, taking.write)
            taking.finish()
        try:
            site.engine.command("exec", name, "sh", "-c", _CHECK, "check", "/data/dump.rdb")
        except EngineError as error:
            if not error.evidence.endswith(_REFUSED):
                cure = "It says nothing of the dump: give the engine memory and disk, and repeat."
                raise BackupError(f"{stream.name} could not be checked", cure=cure, evidence=error.evidence) from error
            raise IntegrityError(f"{stream.name} is no whole dump of Redis", evidence=error.evidence) from error
        site.engine.command("exec", name, "touch", "/tmp/loaded")  # noqa: S108 - within that container
        await_answer(site.engine, name, _ANSWERS)
        yield Server(site.engine, name)


def read_info(text: str) -> Info:
    """Read what INFO gives."""
    told = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    keys = {}
    for line in text.splitlines():
        if found := _KEYS.match(line):
            number, count, expires, fields = found.groups()
            keys[number] = {"keys": int(count), "expiring": min(int(count), int(expires) + int(fields or 0))}
    return Info(told["redis_version"], keys, tuple(told[name] for name in _WRITES))


def dump_facts(before: Info, after: Info) -> dict[str, Any]:
    """Give the facts of a dump that was made between two moments."""
    return {
        "server": before.version,
        "quiet": before == after,
        "before": before.keys,
        "after": after.keys,
    }


def differences(facts: Mapping[str, Any], found: Keys) -> list[Difference]:
    """Compare the keys of a loaded dump with those that were there around it.

    Keys that expire may be gone since. Where somebody wrote while it was dumped, their number is anybody's guess, but a
    database that had others at both ends has some.
    """
    wrong = []
    for number in sorted({*facts["before"], *facts["after"], *found}, key=int):
        ends = [moment.get(number, {"keys": 0, "expiring": 0}) for moment in (facts["before"], facts["after"])]
        least = min(end["keys"] - end["expiring"] for end in ends)
        there = found.get(number, {"keys": 0})["keys"]
        most = ends[0]["keys"] if facts["quiet"] else there
        least = least if facts["quiet"] else min(least, 1)
        if not least <= there <= most:
            expected = f"{least} to {most} keys" if facts["quiet"] else "some keys"
            wrong.append(Difference(f"redis database {number}", expected, f"{there} keys"))
    return wrong
