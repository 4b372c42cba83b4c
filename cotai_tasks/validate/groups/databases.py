"""Databases, as the application sees them: from its own container, with its own driver and login."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import TYPE_CHECKING, Any

from cotai_tasks.db import ask, one_command, revision
from cotai_tasks.errors import EngineError
from cotai_tasks.validate.check import Effect, Severity, SkipCheck, check, failed, judged, passed
from cotai_tasks.validate.groups.performance import percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

_READS, _WRITES = 200, 50
_READ_MS, _WRITE_MS, _REDIS_MS = 50.0, 50.0, 5.0
_SHARE = 0.8
"""Of PostgreSQL's connections, that the application may use at its busiest."""
_LOOKS = 10
_OWN = "the application"
"""Whose login is the right one, as probes/databases.py says it."""


@check("DB-01", "PostgreSQL answers an indexed read in time", "p95 < 50 ms, n = 200", Severity.BLOCKER, alone=True)
def postgres_reads_fast(subject: Subject) -> Outcome:
    """Read a row by its index, 200 times."""
    return judge_times(
        _asked(subject, "postgres", "read")["ms"],
        _READ_MS,
        "reads",
        "inv db.status shows slow statements; inv db.tune.",
    )


@check(
    "DB-02", "PostgreSQL takes a write, and takes it back", "written, then gone", Severity.BLOCKER, effect=Effect.WRITES
)
def postgres_writes(subject: Subject) -> Outcome:
    """Make a table and rows in a transaction that is rolled back: nobody else ever sees them."""
    told = _asked(subject, "postgres", "write")
    return judge_write(told["written"], gone=told["gone"])


def judge_write(written: int, *, gone: bool) -> Outcome:
    """Judge how many of two rows were written, and whether they were gone after the rollback."""
    faults = [] if written == 2 else [f"{written} of 2 rows were written"]  # noqa: PLR2004 - as many as the probe writes
    faults += [] if gone else ["they are still there after the rollback"]
    return judged(faults, "written and rolled back" if not faults else "not as promised", cure="inv db.status.")


@check("DB-03", "The schema is at its newest migration", "at head", Severity.BLOCKER)
def schema_is_at_head(subject: Subject) -> Outcome:
    """Compare the database with the migrations of the application, by its own tool."""
    command = subject.settings.variables.MIGRATE_COMMAND
    subject.running("postgres")
    if command.startswith("alembic"):
        heads = subject.inside("backend", ["with-secrets", "sh", "-c", "alembic heads 2>/dev/null"])
        return judge_revision(revision(subject.stack, subject.engine), re.findall(r"^(\w+)", heads, re.MULTILINE))
    if "manage.py migrate" in command:
        try:
            subject.inside("backend", ["with-secrets", "sh", "-c", f"{command} --check 2>&1"])
        except EngineError as error:
            return failed("migrations are waiting", error.evidence.splitlines()[-1], cure="inv db.migrate.")
        return passed("nothing is waiting")
    raise SkipCheck(
        f"nobody knows how to ask {command.split()[0]!r} what is waiting" if command else "there are no migrations"
    )


def judge_revision(found: str, heads: Sequence[str]) -> Outcome:
    """Judge the revision of the database beside those that the application's migrations end in."""
    if not heads:
        raise SkipCheck("the application's migrations name no head")
    if {*found.split()} == {*heads}:
        return passed(f"at {found}")
    told = f"the database is at {found or 'nothing'}, the application at {' '.join(heads)}"
    return failed(told, cure="inv db.migrate.")


@check(
    "DB-04",
    "MongoDB is a writable primary, and a majority takes a write in time",
    "p95 < 50 ms",
    Severity.BLOCKER,
    effect=Effect.WRITES,
    alone=True,
)
def mongodb_writes_fast(subject: Subject) -> Outcome:
    """Insert documents of our own, and drop them."""
    told = _asked(subject, "mongodb", "write")
    return judge_mongodb(told["ms"], told["written"], primary=told["primary"])


def judge_mongodb(ms: Sequence[float], written: int, *, primary: bool) -> Outcome:
    """Judge the writes, and whether the server may be written to."""
    outcome = judge_times(ms, _WRITE_MS, "majority writes", "inv db.status; a slow disk?")
    faults = [*outcome.evidence, *([] if primary else ["it is no writable primary"])]
    if written != len(ms):
        faults.append(f"{written} of {len(ms)} documents are there")
    return judged(faults, outcome.figure, cure="inv db.status; inv deploy.logs --svc mongodb.", **outcome.data)


@check(
    "DB-05",
    "MongoDB takes a transaction back",
    "nothing is left of it",
    Severity.MAJOR,
    effect=Effect.WRITES,
    alone=True,
)
def mongodb_has_transactions(subject: Subject) -> Outcome:
    """Insert in a transaction, and abort it."""
    told = _asked(subject, "mongodb", "write")["transaction"]
    return judge_transaction(told["left"], told["fault"])


def judge_transaction(left: int, fault: str) -> Outcome:
    """Judge what an aborted transaction left."""
    faults = [fault] if fault else [f"{left} documents are left of it"] if left else []
    return judged(
        faults, "aborted, nothing left" if not faults else "no transactions", cure="MongoDB must be a replica set."
    )


@check("DB-06", "Redis sets and gets in time", "p95 < 5 ms", Severity.BLOCKER, effect=Effect.WRITES, alone=True)
def redis_is_fast(subject: Subject) -> Outcome:
    """Set and get a key of our own at the broker and at the cache, 200 times each."""
    told = _asked(subject, "redis", "write")
    return judge_redis(told["ms"], told["fault"])


def judge_redis(ms: Mapping[str, Sequence[float]], fault: str) -> Outcome:
    """Judge both servers."""
    faults, figures = [fault] if fault else [], []
    for name, values in ms.items():
        outcome = judge_times(values, _REDIS_MS, "times", "")
        figures.append(f"{name.removesuffix('_URL').lower()}: {outcome.figure}")
        faults += [f"{name}: {one}" for one in outcome.evidence]
    series = {name: list(values) for name, values in ms.items()}
    return judged(
        faults, "; ".join(figures) or "no answer", cure="inv db.status; inv monitor.top.", latencies_ms=series
    )


@check("DB-07", "No database lets anybody in without its password", "refused everywhere", Severity.BLOCKER)
def databases_refuse_strangers(subject: Subject) -> Outcome:
    """Try a wrong password, and none; and the application's own, which is taken."""
    told: dict[str, str] = {}
    reasons = []
    for name in ("postgres", "mongodb", "redis"):
        try:
            told |= {f"{name}, {how}": said for how, said in _asked(subject, name, "login").items()}
        except SkipCheck as skip:
            reasons.append(str(skip))
    if not told:
        raise SkipCheck("; ".join(reasons))
    return judge_refusals(told)


def judge_refusals(told: Mapping[str, str]) -> Outcome:
    """Judge what was said to each login; only a server's word refuses, not that nobody answered.

    The application's own is let in: a server that refuses everybody, or is gone, proves nothing.
    """
    words = re.compile(
        "auth|password|login|credential|unauthorized|NOPERM|WRONGPASS|no pg_hba|fe_sendauth", re.IGNORECASE
    )
    own = {how: said for how, said in told.items() if f", {_OWN}" in how}
    wrong = {how: said for how, said in told.items() if how not in own}
    faults = [
        f"{how}: let in" if not said else f"{how}: not refused, but: {said}"
        for how, said in wrong.items()
        if not words.search(said)
    ]
    open_doors = len(faults)
    faults += [f"{how}, with its own login: {said}" for how, said in own.items() if said]
    cure = "inv security.secrets --check; pg_hba.conf, users.acl, --auth."
    return judged(faults, f"{len(wrong) - open_doors} of {len(wrong)} refused", cure=cure)


@check(
    "DB-08",
    "The application leaves PostgreSQL connections to spare",
    "peak < 80 % of max_connections",
    Severity.MAJOR,
    profile="full",
    alone=True,
)
def pools_fit(subject: Subject) -> Outcome:
    """Count the connections while ten clients ask."""
    subject.running("postgres")
    subject.running("backend")
    port = f"http://backend:8000{subject.settings.variables.APP_HEALTH_PATH}"
    spec = {"series": {"load": {"url": port, "name": "localhost"}}, "clients": 10, "warmup": 10, "seconds": 8}
    seen = "FROM pg_stat_activity WHERE backend_type = 'client backend'"
    count = f"SELECT count(*), current_setting('max_connections') {seen}"
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(subject.probe, "load", spec, network="edge")
        looks = [ask(subject.stack, "postgres", one_command("postgres", count), subject.engine) for _ in range(_LOOKS)]
        answered = load.result()["load"]["statuses"].get("200", 0)
    counts = [int(one.split("|")[0]) for one in looks]
    return judge_pool(max(counts), int(looks[-1].split("|")[1]), answered)


def judge_pool(peak: int, limit: int, answered: int) -> Outcome:
    """Judge the most connections that were seen beside those that there may be; without an answer there was no load."""
    faults = [f"{peak} of {limit} are used"] if peak >= _SHARE * limit else []
    faults += [] if answered else ["the API answered nothing with 200: it was under no load"]
    return judged(
        faults, f"{peak} of {limit} ({peak / limit:.0%})", cure="DB_POOL_SIZE, fewer replicas, or a larger COTAI_SIZE."
    )


@check("DB-09", "The application's login is no superuser", "no superuser", Severity.MAJOR, envs=("prod",), alone=True)
def login_is_no_superuser(subject: Subject) -> Outcome:
    """Ask PostgreSQL what the application's role may."""
    superuser = _asked(subject, "postgres", "read")["superuser"]
    return judged(
        ["its role is a superuser"] if superuser else [],
        "an ordinary role",
        cure="POSTGRES_USER must be a role of its own.",
    )


def judge_times(ms: Sequence[float], limit: float, what: str, cure: str) -> Outcome:
    """Judge milliseconds by what one in twenty takes."""
    if not ms:
        return failed("no answer", "nothing was answered", cure=cure)
    p95 = percentile(ms, 95)
    faults = [f"one in twenty takes {p95:.1f} ms or more"] if p95 >= limit else []
    return judged(faults, f"p95 {p95:.1f} ms of {len(ms)} {what}", cure=cure, latencies_ms={what: list(ms)})


def _asked(subject: Subject, database: str, part: str) -> dict[str, Any]:
    """Ask one of the databases from the application's container, once for all checks of that part.

    All that share a part which is timed are alone: whichever comes first must measure in silence.
    """
    subject.running(database)

    def look() -> dict[str, Any]:
        text = resources.files("cotai_tasks.validate").joinpath("probes/databases.py").read_text(encoding="utf-8")
        spec = {"only": database, "part": part, "times": _WRITES if database == "mongodb" else _READS}
        program = f"import json\nSPEC = json.loads({json.dumps(spec)!r})\n{text}"
        told = subject.inside("backend", ["with-secrets", "python3", "-"], program.encode())
        found: dict[str, Any] = json.loads(told.splitlines()[-1])
        return found

    found = subject.once(f"{part} {database}", look)
    if reason := found.get("missing"):
        raise SkipCheck(reason)
    return found
