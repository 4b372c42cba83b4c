"""What each container finds in /run/secrets: the secrets, and what is made of them, a folder to each user."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cotai_tasks.volumes import VolumeFile

if TYPE_CHECKING:
    from collections.abc import Mapping

Contents = dict[str, str | bytes]

APP, EXPORTERS, DATABASES, PROXY, GRAFANA = 10001, 65534, 999, 101, 472
"""Users of the containers, by their ids."""
ONLY_THEIRS = 0o400
CA_FILE = "/run/secrets/ca.pem"
_REDIS_TLS = f"ssl_cert_reqs=required&ssl_ca_certs={CA_FILE}"

REDIS_RULES = {
    "admin": "~* &* +@all",
    # Celery with acknowledgements, results, chords, events and remote control, streams, locks and scripts: all of it
    # was seen to work. Refused are FLUSHALL, CONFIG, KEYS, SHUTDOWN, MONITOR and whatever else stops or spies.
    "app": "~* &* +@all -@admin -@dangerous",
    "monitor": (
        "%R~* -@all +@read -@dangerous +@connection +info +config|get +latency|latest +latency|histogram"
        " +slowlog|get +slowlog|len +client|list +time"
    ),
}
"""What each Redis user may do; `default` is off."""
_BROKER_RULES = {
    # What a consumer of events and of replies writes: its own bindings and reply queues, and the lock under which
    # kombu looks for lost messages. It can queue no task. Flower and celery-exporter ask workers by PUBLISH, and Celery
    # has no other channel for orders: whoever may ask may also order, to stop a worker, say.
    "monitor": (
        " &* +@pubsub +@transaction +script|load +script|exists"
        " (~_kombu.binding*.celeryev ~_kombu.binding*celery.pidbox ~_kombu.binding_deadlines ~celeryev.*"
        " ~*.reply.celery.pidbox* ~unacked_mutex +@read +@write +evalsha -@dangerous)"
    ),
}
"""What a Redis user may do besides where Celery's messages are."""
REDIS_SERVERS = {"redis": "REDIS_PASSWORD", "redis-cache": "REDIS_CACHE_PASSWORD"}
"""Each server, and which password its user `app` has."""
_BROKER = "redis"


@dataclass(frozen=True, repr=False)
class Material:
    """All that the files are made of."""

    variables: Mapping[str, str]
    """What is no secret: names of users and databases, MONGODB_OPTIONS."""
    passwords: Mapping[str, str]
    files: Mapping[str, bytes]
    """Of the store: certificates and keys by their paths."""
    also_valid: Mapping[str, str] = field(default_factory=dict)
    """During a rotation, by name: another password that the server takes as well."""
    logins: Mapping[str, str] = field(default_factory=dict)
    """By name of the password: the database's login that has it, where a rotation has changed it."""

    def login(self, name: str) -> str:
        """Give the database login that has the application's password `name`."""
        return self.logins.get(name) or self.variables[name.replace("_PASSWORD", "_USER")]


def render(material: Material) -> dict[str, dict[str, VolumeFile]]:
    """Give the files of every folder of the volume `secrets`."""
    urls, passwords = _urls(material), material.passwords
    ca = material.files["internal-ca.pem"]

    def folder(uid: int, *names: str, **files: str | bytes) -> dict[str, VolumeFile]:
        content = {name: urls.get(name) or passwords[name] for name in names} | files
        raw = {name: one.encode() if isinstance(one, str) else one for name, one in content.items()}
        return {name: VolumeFile(one, uid=uid, mode=ONLY_THEIRS) for name, one in raw.items()}

    authority: Contents = {"ca.pem": ca}
    celery: Contents = {"CELERY_BROKER_URL": urls["MONITOR_BROKER_URL"]}
    exporters: Contents = {"redis.json": _exporter_passwords(material), "mongodb-client.pem": material.files[_CLIENT]}
    mongodb: Contents = {
        "replica.key": material.files["MONGODB_KEY"],
        "MONGODB_LOGIN": material.login("MONGODB_PASSWORD"),
    }
    mongodb["tls.pem"] = material.files["tls/mongodb.crt"] + material.files["tls/mongodb.key"]
    postgres: Contents = {"POSTGRES_LOGIN": material.login("POSTGRES_PASSWORD")}
    return {
        "secrets/app": folder(
            APP,
            *("DATABASE_URL", "MONGODB_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL"),
            **authority,
        ),
        "secrets/migrate": folder(APP, "DATABASE_URL", **authority),
        "secrets/llm": folder(APP, **authority, CACHE_URL=urls["LLM_CACHE_URL"]),
        "secrets/flower": folder(APP, "ADMIN_PASSWORD", **authority, **celery),
        "secrets/postgres": folder(
            DATABASES,
            *("POSTGRES_SUPERUSER_PASSWORD", "POSTGRES_PASSWORD", "MONITOR_PASSWORD"),
            **_server("postgres", material),
            **postgres,
        ),
        "secrets/mongodb": folder(
            DATABASES,
            *("MONGODB_ROOT_PASSWORD", "MONGODB_PASSWORD", "MONITOR_PASSWORD"),
            **_server("mongodb", material),
            **mongodb,
        ),
        **{
            f"secrets/{server}": folder(
                DATABASES,
                "REDIS_ADMIN_PASSWORD",
                **_server(server, material),
                **{"users.acl": redis_users(server, material)},
            )
            for server in REDIS_SERVERS
        },
        "secrets/exporters": folder(EXPORTERS, "MONITOR_PASSWORD", **authority, **celery, **exporters),
        "secrets/proxy": folder(PROXY, htpasswd=_htpasswd(material.variables["ADMIN_USER"], passwords)),
        "secrets/grafana": folder(GRAFANA, "ADMIN_PASSWORD"),
    }


_CLIENT = "tls/mongodb-exporter.pem"


def redis_logins(server: str, material: Material) -> dict[str, list[str]]:
    """Give the passwords of each user of a Redis server as hashes, the one in use first."""
    names = {"admin": "REDIS_ADMIN_PASSWORD", "app": REDIS_SERVERS[server], "monitor": "MONITOR_PASSWORD"}
    valid = {user: [material.passwords[name], material.also_valid.get(name)] for user, name in names.items()}
    return {user: [hashlib.sha256(one.encode()).hexdigest() for one in both if one] for user, both in valid.items()}


def redis_users(server: str, material: Material) -> str:
    """Give the ACL file of a Redis server; it knows passwords as hashes alone."""
    logins = redis_logins(server, material)
    lines = [
        f"user {user} on sanitize-payload resetchannels {' '.join(f'#{one}' for one in logins[user])} {rules}"
        f"{_BROKER_RULES.get(user, '') if server == _BROKER else ''}"
        for user, rules in REDIS_RULES.items()
    ]
    return "\n".join([f"user default {_DEFAULT}", *lines, ""])


_DEFAULT = "off sanitize-payload ~* &* +@all"
"""Nobody can log in as Redis' default user; but the server itself replays its append-only file as this one, and where
that user may not run a command, what a transaction wrote is left out at the next start (tried on Redis 8.0.2)."""


def _urls(material: Material) -> dict[str, str]:
    passwords, variables = material.passwords, material.variables
    postgres = f"{material.login('POSTGRES_PASSWORD')}:{passwords['POSTGRES_PASSWORD']}"
    mongodb = f"{material.login('MONGODB_PASSWORD')}:{passwords['MONGODB_PASSWORD']}"
    options = f"authSource=admin&tls=true&tlsCAFile={CA_FILE}&{variables['MONGODB_OPTIONS']}"
    broker, cache = f"app:{passwords['REDIS_PASSWORD']}@redis", f"app:{passwords['REDIS_CACHE_PASSWORD']}@redis-cache"
    return {
        "DATABASE_URL": f"postgresql://{postgres}@postgres:5432/{variables['POSTGRES_DB']}"
        f"?sslmode=verify-full&sslrootcert={CA_FILE}",
        "MONGODB_URL": f"mongodb://{mongodb}@mongodb:27017/cotai?{options}",
        "CELERY_BROKER_URL": f"rediss://{broker}:6379/0?{_REDIS_TLS}",
        "CELERY_RESULT_BACKEND": f"rediss://{broker}:6379/1?{_REDIS_TLS}",
        "CACHE_URL": f"rediss://{cache}:6379/0?{_REDIS_TLS}",
        "LLM_CACHE_URL": f"rediss://{cache}:6379/1?{_REDIS_TLS}",
        "MONITOR_BROKER_URL": f"rediss://monitor:{passwords['MONITOR_PASSWORD']}@redis:6379/0?{_REDIS_TLS}",
    }


def _server(name: str, material: Material) -> Contents:
    files = material.files
    return {
        "tls.crt": files[f"tls/{name}.crt"],
        "tls.key": files[f"tls/{name}.key"],
        "ca.pem": files["internal-ca.pem"],
    }


def _exporter_passwords(material: Material) -> str:
    """Give the file that redis_exporter's --redis.password-file names: addresses with their user, and passwords."""
    password = material.passwords["MONITOR_PASSWORD"]
    return json.dumps({f"rediss://monitor@{server}:6379": password for server in REDIS_SERVERS})


def _htpasswd(user: str, passwords: Mapping[str, str]) -> str:
    """Give nginx's password file; the salt comes from the password, so that the same one gives the same file."""
    password = passwords["ADMIN_PASSWORD"].encode()
    salt = hashlib.sha256(b"htpasswd:" + password).digest()[:8]
    digest = hashlib.sha1(password + salt, usedforsecurity=False).digest()  # nginx's own format
    return f"{user}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n"
