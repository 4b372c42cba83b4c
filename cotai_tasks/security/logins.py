"""How each database is told of a login: the command that runs in its container, and what that reads on its input.

No password is in a command line. PostgreSQL never sees one at all: it gets what it would have made of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ITERATIONS = 4096
"""PostgreSQL's own default; the passwords are random, so that nobody guesses them however fast a guess is."""

PSQL = [
    *("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"),
    *("--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--username=postgres"),
]
"""Over the socket, as the container's own user: the superuser's password may be the one that is changed."""
REDIS_CLI = ["redis-cli", "--tls", "--cacert", "/run/secrets/ca.pem"]

_MONGOSH = """
const order = JSON.parse(require("fs").readFileSync(process.env.ORDER, "utf8"));
const admin = db.getSiblingDB("admin");
const inside = order.root.some((one) => { try { return admin.auth("root", one).ok; } catch (error) { return false; } });
if (!inside) throw new Error("root cannot log in");
const known = admin.getUser(order.user) !== null;
if (order.drop) { if (known) admin.dropUser(order.user); }
else if (known) admin.updateUser(order.user, { pwd: order.password });
else admin.createUser({ user: order.user, pwd: order.password, roles: order.roles });
print("done");
"""
# The image for evaluation has no mongosh.
_PYTHON = """
import json, os
from pymongo import MongoClient
from pymongo.errors import OperationFailure
with open(os.environ["ORDER"]) as file:
    order = json.load(file)
for password in order["root"]:
    client = MongoClient("127.0.0.1", username="root", password=password, directConnection=True, tls=True,
        tlsCAFile="/run/secrets/ca.pem", serverSelectionTimeoutMS=5000)
    try:
        known = client.admin.command("usersInfo", order["user"])["users"]
        break
    except OperationFailure as error:
        refused = error
else:
    raise SystemExit("root cannot log in")
if order["drop"]:
    known and client.admin.command("dropUser", order["user"])
elif known:
    client.admin.command("updateUser", order["user"], pwd=order["password"])
else:
    client.admin.command("createUser", order["user"], pwd=order["password"], roles=order["roles"])
print("done")
"""
# What holds a password is a file of the container's memory for the moment it is read.
_MONGODB = """
umask 077
ORDER="$(mktemp)"
export ORDER
trap 'rm -f "$ORDER"' EXIT
cat >"$ORDER"
if command -v mongosh >/dev/null; then
    HOME=/tmp mongosh --quiet --norc --tls --tlsCAFile /run/secrets/ca.pem \
        "mongodb://127.0.0.1/admin?directConnection=true" --eval "$1"
else
    python3 -c "$2"
fi
"""
MONGODB = ["sh", "-c", _MONGODB, "mongodb", _MONGOSH, _PYTHON]


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """Give what PostgreSQL stores of a password (RFC 5802, SCRAM-SHA-256)."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored, server = hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(one).decode() for one in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


def postgres_password(role: str, password: str) -> bytes:
    """Give a role, which exists, another password."""
    return f"ALTER ROLE \"{role}\" LOGIN PASSWORD '{scram_verifier(password)}';\n".encode()


def postgres_login(role: str, owner: str, password: str) -> bytes:
    """Make a login that acts as the owner: what it creates belongs to the owner, so that either one can go on."""
    if role == owner:
        return postgres_password(role, password)
    script = f"""
BEGIN;
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') AS absent \\gset
\\if :absent
CREATE ROLE "{role}" IN ROLE "{owner}";
\\endif
ALTER ROLE "{role}" LOGIN PASSWORD '{scram_verifier(password)}';
ALTER ROLE "{role}" SET role = '{owner}';
COMMIT;
"""  # noqa: S608 - the settings take a-z, 0-9 and _ only
    return script.encode()


def postgres_sessions(role: str) -> bytes:
    """Ask how many sessions a login has open."""
    return f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}';\n".encode()  # noqa: S608 - as above


def postgres_close(role: str, owner: str) -> bytes:
    """Take a login's password away, and end its sessions; the owner stays, as what owns everything."""
    login = "" if role == owner else "NOLOGIN "
    script = f"""
ALTER ROLE "{role}" {login}PASSWORD NULL;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}';
"""  # noqa: S608 - as above
    return script.encode()


def mongodb_login(user: str, password: str, roles: Sequence[tuple[str, str]], root: Sequence[str]) -> bytes:
    """Make a user with these roles (role, database), or give one that exists another password."""
    granted = [{"role": role, "db": database} for role, database in roles]
    order = {"root": list(root), "user": user, "password": password, "roles": granted, "drop": False}
    return json.dumps(order).encode()


def mongodb_close(user: str, root: Sequence[str]) -> bytes:
    """Remove a user."""
    return json.dumps({"root": list(root), "user": user, "drop": True}).encode()


def redis_login(user: str, hashes: Sequence[str], admin: str, *, close: bool = False) -> bytes:
    """Let a user log in with just these passwords, given as SHA-256; `close` ends the sessions that it has.

    Unlike ACL LOAD this disconnects nobody.
    """
    lines = [f"AUTH admin {admin}", f"ACL SETUSER {user} resetpass {' '.join(f'#{one}' for one in hashes)}"]
    lines += [f"CLIENT KILL USER {user} SKIPME yes"] if close else []
    return "".join(f"{line}\n" for line in lines).encode()
