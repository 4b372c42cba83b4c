"""A MongoDB in its container: asked, dumped and filled by the tools that its image has.

MongoDB's own image has mongodump, mongorestore and mongosh. The image for evaluation is another server, with commands
of its own whose archives no MongoDB reads. No password leaves the container, and none stands in a command line.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.mongodb_plan import LEFT_BEHIND, clear_steps, staged_name
from cotai_tasks.engine import leashed
from cotai_tasks.errors import BackupError, EngineError
from cotai_tasks.process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cotai_tasks.backup.components.mongodb_plan import Collections, Facts, Step
    from cotai_tasks.engine import Engine
    from cotai_tasks.process import Piped

SERVICE = "mongodb"
REAL, EVALUATION = "mongodump", "bson"
"""The kinds of streams, by what wrote them."""

_PATIENCE = 6 * 3600.0
"""Seconds for an answer: to hash everything takes as long as to read it."""

PROBE = [
    "sh",
    "-c",
    """
if command -v mongodb-health >/dev/null; then exec mongodb-health; fi
HOME=/tmp exec mongosh --quiet --norc --eval 'quit(db.hello().isWritablePrimary ? 0 : 1)'
""",
]
"""Succeeds once a scratch server answers."""

WHICH = """
if command -v mongodb-dump >/dev/null; then echo bson; elif command -v mongodump >/dev/null; then echo mongodump; fi
"""
"""Tells which tools a container has."""

# The tools read a password from a file alone: this one is a pipe that nobody else sees, and leaves nothing behind.
_TOOL = """
set -eu
tool="$1"
shift
password="${MONGO_INITDB_ROOT_PASSWORD:-}"
[ -z "${MONGO_INITDB_ROOT_PASSWORD_FILE:-}" ] || password="$(cat "$MONGO_INITDB_ROOT_PASSWORD_FILE")"
if [ -n "${MONGO_INITDB_ROOT_USERNAME:-}" ]; then
    set -- --username="$MONGO_INITDB_ROOT_USERNAME" --authenticationDatabase=admin "$@"
fi
[ ! -e /run/secrets/tls.pem ] || set -- --ssl --sslCAFile=/run/secrets/ca.pem "$@"
exec "$tool" --config=/dev/fd/3 --host=127.0.0.1 "$@" 3<<END
password: '$password'
END
"""

_MONGOSH = """
options=directConnection=true
[ ! -e /run/secrets/tls.pem ] || options="$options&tls=true&tlsCAFile=/run/secrets/ca.pem"
HOME=/tmp exec mongosh --quiet --norc "mongodb://127.0.0.1/admin?$options" --eval "$1"
"""

# A job can name more collections than a command line holds. It is the first line of the input; the rest is the leash.
_JOB = """
read -r job
exec "$@" 4<<END
$job
END
"""

# The command itself takes its job as an argument: here it becomes one within the process, where no kernel counts.
_COLLECTIONS = """
import runpy, shutil, sys
path = shutil.which("mongodb-collections")
sys.argv = [path, open("/dev/fd/4").read()]
runpy.run_path(path, run_name="__main__")
"""

# What the evaluation image's mongodb-collections does; `moment` tells of the last write that was not the server's own.
JOBS = """
(() => {
  const env = process.env, read = (path) => require("fs").readFileSync(path, "utf8").trim();
  const job = JSON.parse(read("/dev/fd/4")), admin = db.getSiblingDB("admin");
  const file = env.MONGO_INITDB_ROOT_PASSWORD_FILE;
  const password = file ? read(file) : env.MONGO_INITDB_ROOT_PASSWORD;
  if (env.MONGO_INITDB_ROOT_USERNAME) admin.auth(env.MONGO_INITDB_ROOT_USERNAME, password);
  const infos = (name) => db.getSiblingDB(name).getCollectionInfos().filter((one) => !one.name.startsWith("system."));
  const databases = () => admin.runCommand({ listDatabases: 1, nameOnly: true }).databases
    .map((one) => one.name).filter((name) => !["admin", "config", "local"].includes(name));
  const list = () => Object.fromEntries(databases().map((name) =>
    [name, Object.fromEntries(infos(name).map((one) => [one.name, one.type]))]));
  const moment = () => {
    const set = db.hello().setName;
    const writes = () => db.getSiblingDB("local").getCollection("oplog.rs")
      .find({ op: { $ne: "n" }, ns: { $not: /^config\\./ } }, { ts: 1, _id: 0 }).sort({ $natural: -1 }).limit(1);
    return { server: db.version(), replica_set: set || "", last: set ? JSON.stringify(writes().toArray()) : null };
  };
  const facts = () => {
    const told = {};
    for (const database of new Set(job.of.map((one) => one[0]))) {
      const here = db.getSiblingDB(database), wanted = job.of.filter((one) => one[0] === database).map((one) => one[1]);
      const found = infos(database).filter((one) => wanted.includes(one.name));
      const counted = found.filter((one) => one.type === "collection");
      const hashes = counted.length && job.content
        ? here.runCommand({ dbHash: 1, collections: counted.map((one) => one.name) }).collections : {};
      for (const { name, type } of found) {
        const one = here.getCollection(name), fact = told[`${database}.${name}`] = { type };
        if (type === "view") continue;
        fact.indexes = one.getIndexes().map((index) => index.name).filter((index) => index !== "_id_").sort();
        if (job.content) fact.documents = one.countDocuments({});
        if (hashes[name]) fact.content = hashes[name];
      }
    }
    return told;
  };
  const take = ({ do: verb, database, name, to }) => {
    const here = db.getSiblingDB(database);
    if (verb === "make") return here.createCollection(name);
    if (verb === "drop") return here.getCollection(name).drop();
    const info = infos(database).find((one) => one.name === name);
    if (info.type !== "view")
      return admin.runCommand({ renameCollection: `${database}.${name}`, to: `${database}.${to}` });
    here.getCollection(to).drop();
    here.createCollection(to, info.options);
    return here.getCollection(name).drop();
  };
  const answers = { list, moment, facts, apply: () => job.steps.map(take).length };
  print(JSON.stringify(answers[job.do]()));
})();
"""


@dataclass(frozen=True)
class Server:
    """One server, live or scratch, in a running container."""

    engine: Engine
    container: str
    kind: str
    """What its image reads and writes: `mongodump` or `bson`."""

    def collections(self) -> Collections:
        """List what there is."""
        found: Collections = self._ask({"do": "list"})
        return found

    def facts(self, of: Sequence[tuple[str, str]], *, content: bool = True) -> Facts:
        """Count collections and hash what is in them, by namespace; one that is not there is left out."""
        found: Facts = self._ask({"do": "facts", "of": list(of), "content": content})
        return found

    def moment(self) -> dict[str, Any]:
        """Tell MongoDB's version, the name of its replica set, and which write was the last one."""
        told: dict[str, Any] = self._ask({"do": "moment"})
        return told

    def apply(self, steps: Sequence[Step]) -> None:
        """Take steps one after the other."""
        if steps:
            self._ask({"do": "apply", "steps": [asdict(one) for one in steps]})

    def dump(self, *, oplog: bool = False) -> Piped:
        """Begin to dump everything; it ends, in the container too, when we do."""
        if self.kind == EVALUATION:
            return self._pipe("mongodb-dump", leashed(["mongodb-dump", "--leave-out", LEFT_BEHIND]))
        return self._pipe("mongodump", leashed(_tool("mongodump", "--archive", *(["--oplog"] if oplog else []))))

    def restore(self, *options: str) -> Piped:
        """Begin to read an archive; collections that are there already are an error."""
        if self.kind == EVALUATION:
            return self._pipe("mongodb-restore", ["mongodb-restore", *options])
        flags = ("--archive", "--stopOnError", "--bypassDocumentValidation")
        return self._pipe("mongorestore", _tool("mongorestore", *flags, *options))

    def load(self, feed: Callable[[Callable[[bytes], object]], None], *options: str) -> None:
        """Read the archive that `feed` gives."""
        with self.restore(*options) as target:
            feed(target.write)
            target.finish()

    def copy_from(self, scratch: Server, backup: str) -> None:
        """Stage what a scratch server holds: an archive with an oplog can be replayed under its own names alone."""
        databases = sorted(scratch.collections())
        names = [
            flag
            for one in databases
            for flag in (f"--nsInclude={one}.*", f"--nsFrom={one}.*", f"--nsTo={one}.{staged_name(backup, '*')}")
        ]
        if not names:  # without a name of a database, all would be meant: the users too
            return
        with scratch.dump() as source, self.restore(*names) as target:
            while data := source.read():
                target.write(data)
            source.finish()
            target.finish()

    def clear(self) -> None:
        """Drop what earlier restores had left on the server that was dumped; its own archive holds that."""
        self.apply(clear_steps(self.collections()))

    def _pipe(self, what: str, command: Sequence[str], patience: float = PATIENCE) -> Piped:
        return self.engine.pipe("exec", "--interactive", self.container, *command, what=what, patience=patience)

    def _ask(self, job: dict[str, Any]) -> Any:  # noqa: ANN401 - each job has an answer of its own
        real = ["sh", "-c", _MONGOSH, "mongosh", JOBS]
        command = real if self.kind == REAL else ["python3", "-c", _COLLECTIONS]
        # On a leash: what goes on after we have gone would meet whoever puts things right.
        with self._pipe(SERVICE, ["sh", "-c", _JOB, "job", *leashed(command)], _PATIENCE) as piped:
            try:
                piped.write(json.dumps(job).encode() + b"\n")
                answer = b"".join(iter(piped.read, b""))
                piped.finish()
            except EngineError as error:
                if not error.evidence:  # no engine, no permission: not the server's fault
                    raise
                raise BackupError(f"{self.container} refused: {error.evidence.splitlines()[-1]}") from error
        return json.loads(answer)


def open_server(engine: Engine, container: str) -> Server:
    """Ask a container which tools it has; `BackupError` for one without any."""
    kind = engine.command("exec", container, "sh", "-c", WHICH).strip()
    if not kind:
        raise BackupError(
            f"{container} has neither mongodump nor mongodb-dump",
            cure="Its image is older than this tool: inv build.offline, then start it anew.",
        )
    return Server(engine, container, kind)


def _tool(name: str, *options: str) -> list[str]:
    return ["sh", "-c", _TOOL, "mongodb", name, *options]
