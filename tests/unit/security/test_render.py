"""What containers get: the contract of /run/secrets, and nothing beyond it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from cotai_tasks.security.render import REDIS_RULES, render
from cotai_tasks.security.secrets import material, secret_folders
from cotai_tasks.security.store import Store
from cotai_tasks.variables import PRODUCTION_SECRETS
from tests.unit.security.production import IMAGES, filled_settings, settings

if TYPE_CHECKING:
    from pathlib import Path

SERVER = {"tls.crt", "tls.key", "ca.pem"}
TABLE = {
    "secrets/app": (
        10001,
        {"DATABASE_URL", "MONGODB_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL", "ca.pem"},
    ),
    "secrets/migrate": (10001, {"DATABASE_URL", "ca.pem"}),
    "secrets/llm": (10001, {"CACHE_URL", "ca.pem"}),
    "secrets/flower": (10001, {"CELERY_BROKER_URL", "ADMIN_PASSWORD", "ca.pem"}),
    "secrets/postgres": (
        999,
        SERVER | {"POSTGRES_SUPERUSER_PASSWORD", "POSTGRES_PASSWORD", "POSTGRES_LOGIN", "MONITOR_PASSWORD"},
    ),
    "secrets/mongodb": (
        999,
        SERVER
        | {"MONGODB_ROOT_PASSWORD", "MONGODB_PASSWORD", "MONGODB_LOGIN", "MONITOR_PASSWORD", "replica.key", "tls.pem"},
    ),
    "secrets/redis": (999, SERVER | {"users.acl", "REDIS_ADMIN_PASSWORD"}),
    "secrets/redis-cache": (999, SERVER | {"users.acl", "REDIS_ADMIN_PASSWORD"}),
    "secrets/exporters": (
        65534,
        {"MONITOR_PASSWORD", "redis.json", "CELERY_BROKER_URL", "mongodb-client.pem", "ca.pem"},
    ),
    "secrets/proxy": (101, {"htpasswd"}),
    "secrets/grafana": (472, {"ADMIN_PASSWORD"}),
}


def text(directory: Path, folder: str, name: str) -> str:
    return secret_folders(settings(directory), IMAGES)[f"secrets/{folder}"][name].content.decode()


def test_each_user_has_its_own_folder(tmp_path: Path) -> None:
    """Names, owners and modes as containers expect them: nobody reads what is another's."""
    found = secret_folders(filled_settings(tmp_path), IMAGES)
    assert {folder: ({one.uid for one in files.values()}, set(files)) for folder, files in found.items()} == {
        folder: ({uid}, names) for folder, (uid, names) in TABLE.items()
    }
    assert {one.mode for files in found.values() for one in files.values()} == {0o400}


def test_urls_ask_for_tls_and_check_it(tmp_path: Path) -> None:
    """As psycopg, PyMongo, redis-py and Celery take them."""
    secret = {name: filled_settings(tmp_path).variables.plain()[name] for name in PRODUCTION_SECRETS}
    ca, redis = "/run/secrets/ca.pem", "ssl_cert_reqs=required&ssl_ca_certs=/run/secrets/ca.pem"
    assert text(tmp_path, "app", "DATABASE_URL") == (
        f"postgresql://cotai:{secret['POSTGRES_PASSWORD']}@postgres:5432/cotai?sslmode=verify-full&sslrootcert={ca}"
    )
    assert text(tmp_path, "app", "MONGODB_URL") == (
        f"mongodb://cotai:{secret['MONGODB_PASSWORD']}@mongodb:27017/cotai"
        f"?authSource=admin&tls=true&tlsCAFile={ca}&replicaSet=rs0"
    )
    broker, cache = f"app:{secret['REDIS_PASSWORD']}@redis", f"app:{secret['REDIS_CACHE_PASSWORD']}@redis-cache"
    assert text(tmp_path, "app", "CELERY_BROKER_URL") == f"rediss://{broker}:6379/0?{redis}"
    assert text(tmp_path, "app", "CELERY_RESULT_BACKEND") == f"rediss://{broker}:6379/1?{redis}"
    assert text(tmp_path, "app", "CACHE_URL") == f"rediss://{cache}:6379/0?{redis}"
    assert text(tmp_path, "llm", "CACHE_URL") == f"rediss://{cache}:6379/1?{redis}"
    assert text(tmp_path, "flower", "CELERY_BROKER_URL") == (
        f"rediss://monitor:{secret['MONITOR_PASSWORD']}@redis:6379/0?{redis}"
    )


def test_redis_knows_hashes_alone(tmp_path: Path) -> None:
    """Three users and no default one; during a rotation the old password's hash stands after the new one's."""
    given = filled_settings(tmp_path)
    store = Store(tmp_path / "env/secrets")
    store.write("REDIS_PASSWORD.old", b"the-one-before")
    new, old = (hashlib.sha256(one.encode()).hexdigest() for one in (store.text("REDIS_PASSWORD"), "the-one-before"))
    lines = text(tmp_path, "redis", "users.acl").splitlines()
    assert lines[0] == "user default off sanitize-payload ~* &* +@all"
    assert [line.split()[1] for line in lines[1:]] == list(REDIS_RULES)
    assert lines[2] == f"user app on sanitize-payload resetchannels #{new} #{old} ~* &* +@all -@admin -@dangerous"
    assert old not in text(tmp_path, "redis-cache", "users.acl")
    assert not [name for name in PRODUCTION_SECRETS if given.variables.plain()[name] in "".join(lines)]


def test_the_exporters_of_redis_find_their_password_by_address(tmp_path: Path) -> None:
    """redis_exporter looks it up by the address with the user in it."""
    password = filled_settings(tmp_path).variables.plain()["MONITOR_PASSWORD"]
    assert json.loads(text(tmp_path, "exporters", "redis.json")) == {
        "rediss://monitor@redis:6379": password,
        "rediss://monitor@redis-cache:6379": password,
    }


def test_the_proxys_password_file_is_a_salted_hash(tmp_path: Path) -> None:
    """The same one from the same password, so that nothing changes where nothing changed."""
    given = filled_settings(tmp_path)
    line = text(tmp_path, "proxy", "htpasswd")
    user, _, encoded = line.strip().partition(":{SSHA}")
    raw = base64.b64decode(encoded)
    password = given.variables.plain()["ADMIN_PASSWORD"].encode()
    assert (user, raw[:20]) == ("admin", hashlib.sha1(password + raw[20:], usedforsecurity=False).digest())
    assert text(tmp_path, "proxy", "htpasswd") == line


def test_the_material_hides_itself(tmp_path: Path) -> None:
    """No value in what a debugger or a log would print."""
    given = filled_settings(tmp_path)
    made = material(given, IMAGES)
    assert render(made)
    values = [given.variables.plain()[name] for name in PRODUCTION_SECRETS]
    assert [value for value in values if value in repr(made)] == []


def test_who_watches_publishes_at_the_broker_alone(tmp_path: Path) -> None:
    """Celery's questions go over PUBLISH; the cache has no such thing, and its exporter only reads."""
    filled_settings(tmp_path)
    broker, cache = (text(tmp_path, one, "users.acl").splitlines()[3] for one in ("redis", "redis-cache"))
    assert broker.startswith("user monitor on ")
    assert ("&*" in broker, "+@pubsub" in broker) == (True, True)
    assert not {"&*", "+@pubsub", "+@write", "(", "evalsha"} & set(cache.replace("(", "( ").split())
