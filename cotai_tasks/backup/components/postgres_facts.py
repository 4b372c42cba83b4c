"""What is in a PostgreSQL database, as facts that are the same wherever it is loaded, and how they are compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.base import Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Facts = dict[str, Any]

SNAPSHOT = "snapshot"
"""The fact after which a dump may begin: the snapshot's name at the server, for as long as the session lives."""

BACKEND = "backend"
"""The session's own process at the server."""

LOCKED = "locked"
"""The fact after which nothing can change what will be read."""

DUMPER = "cotai-dump-"

HASHED = 20
"""The least rows of which a hash is a fact."""

_END = "end"
_OF_THE_SESSION = (SNAPSHOT, BACKEND, LOCKED)

# What belongs to an extension comes with it, and is not dumped.
_NO_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend WHERE classid = {1}::regclass AND objid = {0}.oid AND deptype = 'e')"
_NAMESPACE = "JOIN pg_namespace AS n ON n.oid = {} AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_RELATIONS = f"""pg_class AS c {_NAMESPACE.format("c.relnamespace")}
    AND c.relpersistence <> 't' AND {_NO_EXTENSION.format("c", "'pg_class'")}"""

# Whatever a value's text depends on is said here, so that another server writes it alike; a database that knows of no
# encoding gives its bytes as they are.
_BEGIN = r"""
SELECT CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END AS encoding \gset
SET client_encoding = :'encoding';
SET search_path = '';
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET bytea_output = 'hex';
SET extra_float_digits = 1;
SET lc_monetary = 'C';
SET quote_all_identifiers = off;
SET row_security = off;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET lock_timeout = '2s';
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
"""

# How to make the database anew, with everything that pg_dump leaves to `--create`: that would bring its name as well.
_CREATE = """
SELECT 1 AS place, 'CREATE DATABASE :"database" TEMPLATE template0'
    || format(' OWNER %I ENCODING %L', owner, pg_encoding_to_char(encoding))
    || format(' LC_COLLATE %L LC_CTYPE %L', datcollate, datctype)
    || CASE datlocprovider
        WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', datlocale)
        WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', datlocale)
        ELSE ' LOCALE_PROVIDER libc' END
    || CASE WHEN daticurules IS NULL THEN '' ELSE format(' ICU_RULES %L', daticurules) END AS statement
    FROM this
UNION ALL SELECT 2, format('ALTER DATABASE :"database" CONNECTION LIMIT %s', datconnlimit) FROM this
    WHERE datconnlimit <> -1
UNION ALL SELECT 3, format('COMMENT ON DATABASE :"database" IS %L', shobj_description(oid, 'pg_database')) FROM this
    WHERE shobj_description(oid, 'pg_database') IS NOT NULL
UNION ALL SELECT 4, 'REVOKE ALL ON DATABASE :"database" FROM PUBLIC' FROM this WHERE datacl IS NOT NULL
UNION ALL SELECT 5, format('GRANT %s ON DATABASE :"database" TO %s%s', privilege_type,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM this, aclexplode(datacl) WHERE grantee <> datdba
"""

# The settings of databases. Their values may be secrets (`ALTER DATABASE … SET app.key`), and facts are read by whoever
# reads the store: so of these statements only the names are facts, and they themselves go into the dump of the roles.
SETTINGS = """
SELECT coalesce(json_object_agg(datname, made), '{}') FROM (
    SELECT datname, json_agg(concat('ALTER ',
        CASE WHEN setrole = 0 THEN '' ELSE format('ROLE %I IN ', pg_get_userbyid(setrole)) END,
        'DATABASE :"database" SET ', quote_ident(split_part(setting, '=', 1)), ' TO ',
        CASE WHEN lower(split_part(setting, '=', 1)) IN ('search_path', 'temp_tablespaces', 'session_preload_libraries',
            'local_preload_libraries') THEN substr(setting, strpos(setting, '=') + 1)
            ELSE quote_literal(substr(setting, strpos(setting, '=') + 1)) END) ORDER BY setrole, setting) AS made
    FROM pg_database AS d JOIN pg_db_role_setting ON setdatabase = d.oid, unnest(setconfig) AS setting GROUP BY datname
) AS one"""
"""Asks for the statements that give each database its settings, by its name."""

_DATABASE = f"""
WITH this AS (SELECT *, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database()),
    own AS (SELECT c.*, n.nspname FROM {_RELATIONS})
SELECT json_build_object(
    'database', current_database(),
    'server_version', split_part(current_setting('server_version'), ' ', 1),
    'server_version_num', current_setting('server_version_num')::int,
    'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
    'timeline', (SELECT timeline_id FROM pg_control_checkpoint()),
    'lsn', pg_current_wal_lsn(),
    'preload', current_setting('shared_preload_libraries'),
    'create', (SELECT json_agg(statement ORDER BY place, statement) FROM ({_CREATE}) AS made),
    'settings', (SELECT coalesce(json_object_agg(concat(pg_get_userbyid(nullif(setrole, 0)) || ': ',
            split_part(setting, '=', 1)), 'set'), '{{}}')
        FROM this JOIN pg_db_role_setting ON setdatabase = oid, unnest(setconfig) AS setting),
    'extensions', (SELECT coalesce(json_object_agg(extname, extversion), '{{}}') FROM pg_extension),
    'sequences', (SELECT coalesce(json_object_agg(format('%I.%I', nspname, relname),
            json_build_object('last', pg_sequence_last_value(oid), 'step', seqincrement)), '{{}}')
        FROM own JOIN pg_sequence ON seqrelid = oid WHERE NOT seqcycle),
    'materialized_views', (SELECT coalesce(json_object_agg(format('%I.%I', nspname, relname), relispopulated), '{{}}')
        FROM own WHERE relkind = 'm'),
    'objects', json_build_object(
        'indexes', (SELECT count(*) FROM own JOIN pg_index ON indrelid = oid WHERE indisvalid AND NOT relispartition),
        'constraints', (SELECT count(*) FROM own JOIN pg_constraint ON conrelid = own.oid
            WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND conparentid = 0 AND NOT relispartition),
        'triggers', (SELECT count(*) FROM own JOIN pg_trigger ON tgrelid = own.oid
            WHERE NOT tgisinternal AND tgparentid = 0 AND NOT relispartition),
        'views', (SELECT count(*) FROM own WHERE relkind = 'v'),
        'functions', (SELECT count(*) FROM pg_proc AS p {_NAMESPACE.format("p.pronamespace")}
            WHERE {_NO_EXTENSION.format("p", "'pg_proc'")}),
        'policies', (SELECT count(*) FROM pg_policy)));
"""  # noqa: S608 - the parts are this module's own

# A line to a table: its rows, and a sum over a hash of each, whatever their order. The columns go by their names, which
# a restore of an inherited table may order otherwise. Binary ones are hashed as they are: as text they are twice as
# large, several times over in the server's memory. Over few rows there is none: whoever reads the manifest could try
# what is in them until it fits.
_TABLES = rf"""
SELECT format('SELECT json_build_object(''table'', %L, ''rows'', count(*), '
        '''hash'', CASE WHEN count(*) >= {HASHED} THEN '
        'sum(hashtextextended(ROW(%s)::text COLLATE "C", 0))::text END) FROM ONLY %I.%I AS t',
    format('%I.%I', nspname, relname), (
        SELECT string_agg(format(CASE atttypid WHEN 'bytea'::regtype THEN 'md5(t.%I)' ELSE 't.%I' END, attname),
            ', ' ORDER BY attname COLLATE "C")
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
    nspname, relname)
FROM {_RELATIONS} WHERE c.relkind = 'r' ORDER BY nspname, relname \gexec
"""  # noqa: S608 - the parts are this module's own

# A large object is read whole to be hashed: of a very large one the size must do.
_LARGE_OBJECTS = f"""
SELECT json_build_object('large_objects', json_build_object('rows', count(*), 'hash',
    CASE WHEN count(*) >= {HASHED} THEN
    sum(hashtextextended(concat_ws(' ', m.oid, bytes, CASE WHEN bytes < 2^25 THEN md5(lo_get(m.oid)) END), 0))::text
    END))
FROM pg_largeobject_metadata AS m LEFT JOIN LATERAL (
    SELECT pageno * 2048::bigint + length(data) AS bytes FROM pg_largeobject WHERE loid = m.oid
    ORDER BY pageno DESC LIMIT 1
) AS size ON true;
"""  # noqa: S608 - the parts are this module's own

_MIGRATED = "'alembic_version', 'django_migrations', 'django_content_type', 'auth_permission'"
"""Tables that migrations fill by themselves."""
HAS_ROWS = rf"""
SELECT coalesce(bool_or((xpath('/row/found/text()', query_to_xml(format(
    'SELECT EXISTS (SELECT FROM %I.%I) AS found', n.nspname, c.relname), false, true, '')))[1]::text = 'true'), false)
FROM {_RELATIONS} WHERE c.relkind = 'r' AND c.relname NOT IN ({_MIGRATED})"""  # noqa: S608
"""A statement that tells whether a database has any row but those that migrations write."""

TABLES = f"""
SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.relname), '[]')
FROM {_RELATIONS} WHERE c.relkind IN ('r', 'p', 'm')"""  # noqa: S608
"""A statement that names a database's tables, but those of its extensions."""

OVERVIEW = rf"""
{_BEGIN}
{_DATABASE}
SELECT json_build_object('{SNAPSHOT}', pg_export_snapshot(), '{BACKEND}', pg_backend_pid());
"""
"""A script of psql that prints what is to be known before a dump begins, one JSON object to a line."""

# What no snapshot holds back are TRUNCATE and ALTER: only a table's lock does. It is taken as soon as pg_dump has it,
# after two minutes at the latest. Who stands in line for a table between the two of us waits for pg_dump, and we must
# not wait for him.
LOCKS = f"""
DO $$
DECLARE
    one record;
BEGIN
    FOR i IN 1..60000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM {_RELATIONS} WHERE c.relkind IN ('r', 'p') AND NOT EXISTS (
            SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE relation = c.oid AND granted AND application_name = '{DUMPER}' || pg_backend_pid()));
        PERFORM pg_sleep(0.002), pg_stat_clear_snapshot();
    END LOOP;
    FOR one IN SELECT n.nspname, c.relname FROM {_RELATIONS} WHERE c.relkind IN ('r', 'p') LOOP
        EXECUTE format('LOCK TABLE ONLY %I.%I IN ACCESS SHARE MODE', one.nspname, one.relname);
    END LOOP;
END $$;
SELECT json_build_object('{LOCKED}', true);
"""  # noqa: S608 - the parts are this module's own
"""The script goes on with this where a dump is begun, whose session is named `DUMPER` and the number of this one."""

CONTENT = rf"""
{_TABLES}
{_LARGE_OBJECTS}
SELECT json_build_object('{_END}', true);
"""
"""The rest of the script."""


def read_facts(told: Iterable[str], last: str = _END) -> Facts:
    """Read facts up to one of them, which is the last; without it where `told` ends before."""
    facts: Facts = {"tables": {}} if last == _END else {}
    for line in told:
        one = json.loads(line)
        if "table" in one:
            facts["tables"][one.pop("table")] = one
        else:
            facts |= one
        if last in one:
            break
    return facts


def whole(facts: Facts) -> bool:
    """Tell whether the script came to its end, and take away what is only of its session."""
    for name in _OF_THE_SESSION:
        facts.pop(name, None)
    return bool(facts.pop(_END, False))


def differences(expected: Facts, found: Facts) -> list[Difference]:
    """Compare a database with what its backup says of it.

    A sequence may be further than it was recorded: it does not heed the snapshot that everything else was read in.
    """
    pairs = [
        *_pairs("table", expected["tables"], found["tables"], _content),
        *_pairs("materialized view", expected["materialized_views"], found["materialized_views"], _populated),
        *_pairs("number of", expected["objects"], found["objects"], str),
        ("large objects", _content(expected["large_objects"]), _content(found["large_objects"])),
        *_pairs("setting", expected["settings"], found["settings"], str),
        *_pairs("extension", dict.fromkeys(expected["extensions"], ""), dict.fromkeys(found["extensions"], ""), _there),
        *(pair for pair in _behind(expected["sequences"], found["sequences"])),
    ]
    return [Difference(f"{expected['database']}, {what}", *sides) for what, *sides in pairs if sides[0] != sides[1]]


def rows(facts: Facts) -> int:
    """Count the rows of all tables."""
    return sum(one["rows"] for one in facts["tables"].values())


_MISSING = "nothing of this name"


def _pairs(what: str, expected: Facts, found: Facts, say: Callable[[Any], str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted(expected.keys() | found.keys()):
        sides = [say(one[name]) if name in one else _MISSING for one in (expected, found)]
        yield f"{what} {name}", sides[0], sides[1]


def _content(one: Facts) -> str:
    content = f" (content {int(one['hash']) % 2**64:016x})" if one["hash"] is not None else ""
    return f"{one['rows']} rows{content}"


def _populated(populated: bool) -> str:  # noqa: FBT001 - a fact
    return "populated" if populated else "not populated"


def _there(_: str) -> str:
    return "there"


def _behind(expected: Facts, found: Facts) -> Iterator[tuple[str, str, str]]:
    for name, one in sorted(expected.items()):
        is_now = found.get(name, {}).get("last")
        if one["last"] is not None and (is_now is None or (is_now - one["last"]) * one["step"] < 0):
            yield f"sequence {name}", f"at {one['last']} or further", f"at {is_now}"
