"""What each database is asked about itself, as its own client takes it; `answers` reads what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.db.migrate import sql
from cotai_tasks.db.shell import client

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 10
"""Seconds that a server has for its answer; a healthy one takes a few milliseconds."""

TOP_STATEMENTS = 5
LARGE_TABLE = 10_000
"""Rows that a scan reads on average, from which on an index is worth a thought."""
MANY_SCANS = 50
LARGE_INDEX = 2**20
"""Bytes: an index that nothing uses costs every write; a small one costs next to nothing."""

# The statements are the application's own, less those asked here: of others' it may see no text. Without the extension
# there are none, and psql's \if keeps that from being an error.
_POSTGRES = rf"""
SELECT /* inv */ to_regclass('alembic_version') IS NOT NULL AS alembic,
    EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS extension \gset
\set revision ''
\if :alembic
SELECT /* inv */ coalesce(string_agg(version_num, ' ' ORDER BY version_num), '') AS revision FROM alembic_version \gset
\endif
\set slowest '[]'
\if :extension
SELECT /* inv */ coalesce(json_agg(one), '[]') AS slowest FROM (
    SELECT calls, round(mean_exec_time::numeric, 1) AS mean_ms, round(total_exec_time::numeric) AS total_ms,
        left(regexp_replace(query, '\s+', ' ', 'g'), 400) AS statement
    FROM pg_stat_statements
    WHERE userid = current_user::regrole AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND query ~* '^\s*(select|insert|update|delete|merge|with)\y' AND query <> 'SELECT $1'
        AND query NOT LIKE '%/* inv */%'
    ORDER BY total_exec_time DESC LIMIT {TOP_STATEMENTS}) AS one \gset
\endif
SELECT /* inv */ json_build_object(
    'version', split_part(current_setting('server_version'), ' ', 1),
    'size', pg_database_size(current_database()),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    'max_connections', current_setting('max_connections')::int,
    'tls', current_setting('ssl')::bool,
    'wal', current_setting('wal_level'),
    'fsync', current_setting('fsync'),
    'archive', current_setting('archive_mode'),
    'checksums', current_setting('data_checksums'),
    'statements', :'extension'::bool,
    'revision', :'revision',
    'slowest', :'slowest'::json,
    'scanned', (SELECT coalesce(json_agg(one), '[]') FROM (
        SELECT relname AS table, n_live_tup AS rows, seq_scan AS scans, seq_tup_read / seq_scan AS rows_per_scan,
            coalesce(idx_scan, 0) AS by_index
        FROM pg_stat_user_tables
        WHERE seq_scan >= {MANY_SCANS} AND seq_tup_read / seq_scan >= {LARGE_TABLE}
        ORDER BY seq_tup_read DESC LIMIT 5) AS one),
    'unused', (SELECT coalesce(json_agg(one), '[]') FROM (
        SELECT indexrelname AS index, relname AS table, pg_relation_size(indexrelid) AS size
        FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
        WHERE idx_scan = 0 AND NOT indisunique AND NOT indisexclusion AND pg_relation_size(indexrelid) >= {LARGE_INDEX}
        ORDER BY size DESC LIMIT 5) AS one),
    'receivers', (SELECT coalesce(json_agg(one), '[]') FROM (
        SELECT slot_name AS slot, active, wal_status AS state,
            pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS kept
        FROM pg_replication_slots WHERE slot_type = 'physical' ORDER BY slot_name) AS one),
    'archiver', (SELECT json_build_object('last', last_archived_time, 'failed', failed_count) FROM pg_stat_archiver));
"""  # noqa: S608 - the figures are this module's own

# Where `client` of the shell takes its arguments, this takes several commands.
_REDIS = f"""
ask() {{
{client("redis")[2].replace("exec redis-cli", "redis-cli")}
}}
ask INFO
printf 'save:'
ask CONFIG GET save | tail -n 1
printf 'tls_port:'
ask CONFIG GET tls-port | tail -n 1
"""

_MONGOSH = """
const status = db.serverStatus(), stats = db.stats(), hello = db.hello();
const members = hello.setName ? db.adminCommand({ replSetGetStatus: 1 }).members : [];
JSON.stringify({
    version: status.version,
    size: Number(stats.storageSize) + Number(stats.indexSize),
    connections: status.connections.current,
    max_connections: status.connections.current + status.connections.available,
    collections: Number(stats.collections),
    cache: Number(status.wiredTiger.cache["maximum bytes configured"]),
    tls: db.getMongo().getURI().includes("tls=true"),
    set: hello.setName || "",
    primary: hello.isWritablePrimary,
    members: members.map((one) => ({ member: one.name, state: one.stateStr, health: one.health }))})
"""
# The image for evaluation has a Python prompt in the place of mongosh.
_MONGODB_SHELL = """
(lambda status, stats, hello: {
    "version": status["version"],
    "size": int(stats["storageSize"] + stats["indexSize"]),
    "connections": status["connections"]["current"],
    "max_connections": 0,
    "collections": int(stats["collections"]),
    "tls": __import__("os").path.exists("/run/secrets/tls.pem"),
    "set": hello.get("setName", ""),
    "primary": hello["isWritablePrimary"],
    "evaluation": True,
})(db.command("serverStatus"), db.command("dbStats"), db.command("hello"))
"""
# The application's user may not ask for the server's state: where it is not root, the monitor's may.
_ASK_MONGODB = f"""
export LOGIN=monitor
if command -v mongosh >/dev/null; then set -- --eval "$1"; else set -- --eval "$2"; fi
{client("mongodb")[2]}
"""

STATUS: dict[str, list[str]] = {
    "postgres": sql(_POSTGRES),
    "mongodb": ["sh", "-c", _ASK_MONGODB, "mongodb", _MONGOSH, _MONGODB_SHELL.strip()],
    "redis": ["sh", "-c", _REDIS],
    "redis-cache": ["sh", "-c", _REDIS],
}
"""By server: the command that asks it how it stands, to be run in its container."""


def postgres_values(names: Sequence[str]) -> list[str]:
    """Give the command that asks PostgreSQL for settings: one `name=value` to a line."""
    listed = ", ".join(f"'{name}'" for name in names)
    return sql(f"SELECT /* inv */ name || '=' || current_setting(name) FROM pg_settings WHERE name IN ({listed})")  # noqa: S608


def in_time(command: Sequence[str], seconds: int = PATIENCE) -> list[str]:
    """Give a command that ends when a server takes the connection but does not answer."""
    return ["sh", "-c", _IN_TIME, "in-time", str(seconds), *command]


_IN_TIME = """
timeout "$@"
code=$?
[ $code != 124 ] || echo "no answer within $1 s" >&2
exit $code
"""
