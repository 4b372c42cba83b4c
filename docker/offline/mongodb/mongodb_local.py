# ruff: noqa: INP001 - installed beside the commands that use it
"""The MongoDB of this container and the credentials that its environment carries."""

import os
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

Document = dict[str, Any]

TLS_CERTIFICATE = Path("/run/secrets/tls.pem")
CA = Path("/run/secrets/ca.pem")
"""Where they are, the server speaks TLS alone."""
LOGIN = Path("/run/secrets/MONGODB_LOGIN")
"""While the application's password changes, two users take turns: the file says whose password it is."""
_NO_SUCH_USER = 11


def credential(name: str) -> str | None:
    """Return NAME from the environment, else the content of the file that NAME_FILE names."""
    if value := os.environ.get(name):
        return value
    if file := os.environ.get(f"{name}_FILE"):
        return Path(file).read_text(encoding="utf-8").rstrip("\n")
    return None


def connect(*, timeout: float = 5, patience: float = 0, user: str = "root") -> MongoClient[Document]:
    """Connect to this container's server; ``user`` is root, application or monitor.

    ``timeout`` is in seconds; a single command may take ``patience`` instead, where that is longer.

    Where the application has no user of its own, it is the root user. MONGODB_URL comes first: it is how an
    initialisation script reaches the server that only it can see.
    """
    milliseconds = int(timeout * 1000)
    if url := os.environ.get("MONGODB_URL"):
        return MongoClient(url, serverSelectionTimeoutMS=milliseconds)
    name, password = credential("MONGO_INITDB_ROOT_USERNAME"), "MONGO_INITDB_ROOT_PASSWORD"
    if os.environ.get("MONGODB_USER") and user == "application":
        name, password = application_user(), "MONGODB_PASSWORD"
    elif os.environ.get("MONGODB_USER") and user == "monitor":
        name, password = "monitor", "MONITOR_PASSWORD"
    return MongoClient(
        "127.0.0.1",
        int(os.environ.get("MONGODB_PORT", "27017")),
        username=name,
        password=credential(password),
        directConnection=True,
        serverSelectionTimeoutMS=milliseconds,
        socketTimeoutMS=int(max(timeout, patience) * 1000),
        **({"tls": True, "tlsCAFile": str(CA)} if TLS_CERTIFICATE.exists() else {}),
    )


def application_user() -> str:
    """Return the user whose password MONGODB_PASSWORD is."""
    return LOGIN.read_text(encoding="utf-8").strip() if LOGIN.exists() else os.environ["MONGODB_USER"]


def keep_users(client: MongoClient[Document]) -> None:
    """Make the users as they shall be: the application's, which writes its database alone, and the exporter's."""
    keep_user(client, application_user(), "MONGODB_PASSWORD", [{"role": "readWrite", "db": "cotai"}])
    # MongoDB's clusterMonitor may ask every database for its size; the stand-in's may not.
    reading = [{"role": role, "db": "admin"} for role in ("clusterMonitor", "readAnyDatabase")]
    keep_user(client, "monitor", "MONITOR_PASSWORD", reading)


def keep_user(client: MongoClient[Document], user: str, password: str, roles: list[dict[str, str]]) -> None:
    """Give a user its roles and the password that is configured now, whether it is there already or not."""
    try:
        client.admin.command("updateUser", user, pwd=credential(password), roles=roles)
    except OperationFailure as error:
        if error.code != _NO_SUCH_USER:
            raise
        client.admin.command("createUser", user, pwd=credential(password), roles=roles)
