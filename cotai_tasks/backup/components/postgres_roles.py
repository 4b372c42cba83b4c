"""The roles of a PostgreSQL server: as facts of a backup, compared, and those made that a restore needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cotai_tasks.backup.components.base import Difference
from cotai_tasks.backup.components.postgres_server import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cotai_tasks.backup.components.postgres_server import Server

Roles = dict[str, dict[str, Any]]

ROLES = """
SELECT json_object_agg(rolname, json_build_object(
    'attributes', concat_ws(' ', CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolsuper THEN 'SUPERUSER' END,
        CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, format('CONNECTION LIMIT %s', rolconnlimit)),
    'settings', ARRAY(SELECT split_part(setting, '=', 1) FROM unnest(rolconfig) AS setting ORDER BY 1),
    'member_of', (SELECT coalesce(json_object_agg(role, options ORDER BY role), '{}') FROM (
        SELECT pg_get_userbyid(roleid) AS role, format('ADMIN %s, INHERIT %s, SET %s',
            bool_or(admin_option)::text, bool_or(inherit_option)::text, bool_or(set_option)::text) AS options
        FROM pg_auth_members WHERE member = r.oid GROUP BY roleid) AS granted)) ORDER BY rolname)
FROM pg_roles AS r WHERE rolname !~ '^pg_'
"""
"""Asks for the roles, less those that every server has.

Of passwords it tells nothing, and of settings the names alone: a value may be a secret as well.
"""


def read_roles(server: Server) -> Roles:
    """Ask a server for its roles, as a backup's facts have them."""
    told: Roles = json.loads(server.ask(ROLES))
    return told


def role_differences(expected: Roles, found: Roles) -> Iterator[Difference]:
    """Compare the roles of a server with those of a backup."""
    for name in sorted(expected.keys() | found.keys()):
        sides = [json.dumps(one[name], sort_keys=True) if name in one else "no such role" for one in (expected, found)]
        if sides[0] != sides[1]:
            yield Difference(f"role {name}", *sides)


def missing_roles(expected: Roles, present: Iterable[str]) -> list[str]:
    """Give the statements that make the roles which a backup has and a server lacks.

    What they own and may do comes with the data. They cannot log in, and are no superusers: neither is a database's
    business, and what was taken away since the backup must not come back with it.
    """
    missing = sorted(expected.keys() - set(present))
    there = expected.keys() | set(present)
    made = [f"CREATE ROLE {identifier(name)} NOLOGIN {_inherits(expected[name])}" for name in missing]
    granted = [
        f"GRANT {identifier(role)} TO {identifier(member)} WITH {options}"
        for member, one in sorted(expected.items())
        for role, options in sorted(one["member_of"].items())
        if role in there | _predefined(role) and (role in missing or member in missing)
    ]
    return [*made, *granted]


def _inherits(role: dict[str, Any]) -> str:
    return "NOINHERIT" if "NOINHERIT" in role["attributes"].split() else "INHERIT"


def _predefined(role: str) -> set[str]:
    """PostgreSQL's own roles are everywhere: pg_monitor, pg_read_all_data."""
    return {role} if role.startswith("pg_") else set()
