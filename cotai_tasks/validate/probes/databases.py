"""Asks the databases as the application does: its own Python, drivers and logins; runs in one of its containers.

SPEC is {only, part, times}: `only` is postgres, mongodb or redis, `part` is read, write or login. Gives what was
found: of logins what the server said to each, the application's own among them, empty where it was let in.
{"missing": reason} where the application has no such database or no driver for it.
"""

import json
import os
import pathlib
import time
import urllib.parse

WRONG, OWN = "not-the-password", "the application"


def variable(name):
    """Give a variable, or what stands in the file that NAME_FILE names; empty where there is neither."""
    path = os.environ.get(f"{name}_FILE")
    return pathlib.Path(path).read_text().strip() if path else os.environ.get(name, "")


def login(url, name, password):
    """Give a URL with another login, or with none."""
    parts = urllib.parse.urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    user = f"{name}:{password}@" if password else ""
    return parts._replace(netloc=f"{user}{place}").geturl()


def user(url):
    """Give the name of a URL's login."""
    return urllib.parse.urlsplit(url).username or ""


def timed(body, number):
    """Do something several times; give the milliseconds of each."""
    told = []
    for count in range(number):
        begun = time.perf_counter()
        body(count)
        told.append(round((time.perf_counter() - begun) * 1000, 3))
    return told


def refused(attempt):
    """Tell how a login that is wrong was refused; empty where it was let in."""
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - each driver has its own
        return str(error).strip().splitlines()[-1][:200] or type(error).__name__
    return ""


def postgres():
    """Read by an index, write and take it back, look at the login."""
    url = variable("DATABASE_URL").replace("postgresql+psycopg://", "postgresql://")
    if not url.startswith("postgres"):
        return {"missing": "the application has no PostgreSQL (DATABASE_URL)"}
    try:
        import psycopg as driver
    except ImportError:
        try:
            import psycopg2 as driver
        except ImportError:
            return {"missing": "the application has neither psycopg nor psycopg2"}
    if SPEC["part"] == "login":
        return {
            OWN: refused(lambda: driver.connect(url).close()),
            "a wrong password": refused(lambda: driver.connect(login(url, user(url), WRONG)).close()),
            "no login": refused(lambda: driver.connect(login(url, "", "")).close()),
        }
    connection = driver.connect(url)
    cursor = connection.cursor()
    if SPEC["part"] == "write":
        cursor.execute("CREATE TABLE cotai_validation_write (id int PRIMARY KEY)")
        cursor.execute("INSERT INTO cotai_validation_write VALUES (1), (2)")
        cursor.execute("SELECT count(*) FROM cotai_validation_write")
        written = cursor.fetchone()[0]
        connection.rollback()
        cursor.execute("SELECT to_regclass('cotai_validation_write') IS NULL")
        return {"written": written, "gone": cursor.fetchone()[0]}
    read = "SELECT relname FROM pg_class WHERE oid = %s"
    timed(lambda _: (cursor.execute(read, (1259,)), cursor.fetchall()), 20)
    reads = timed(lambda _: (cursor.execute(read, (1259,)), cursor.fetchall()), SPEC["times"])
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    return {"ms": reads, "superuser": cursor.fetchone()[0]}


def mongodb():
    """Write for a majority, take a transaction back."""
    url = variable("MONGODB_URL")
    if not url.startswith("mongodb"):
        return {"missing": "the application has no MongoDB (MONGODB_URL)"}
    try:
        import pymongo
        from pymongo.write_concern import WriteConcern
    except ImportError:
        return {"missing": "the application has no pymongo"}

    def ask(address):
        with pymongo.MongoClient(address, serverSelectionTimeoutMS=5000) as other:
            other.get_default_database("cotai").list_collection_names()

    if SPEC["part"] == "login":
        open_url = login(url, "", "").replace("authSource=admin&", "").replace("authSource=admin", "")
        return {
            OWN: refused(lambda: ask(url)),
            "a wrong password": refused(lambda: ask(login(url, user(url), WRONG))),
            "no login": refused(lambda: ask(open_url)),
        }
    client = pymongo.MongoClient(url, serverSelectionTimeoutMS=5000)
    database = client.get_default_database("cotai")
    collection = database.get_collection("cotai_validation", write_concern=WriteConcern("majority"))
    primary = client.admin.command("hello").get("isWritablePrimary", False)
    try:
        timed(lambda _: collection.insert_one({"warm": True}), 5)
        writes = timed(lambda count: collection.insert_one({"n": count}), SPEC["times"])
        written = collection.count_documents({"n": {"$gte": 0}})
        try:
            with client.start_session() as session:
                session.start_transaction()
                collection.insert_one({"n": 10**6}, session=session)
                session.abort_transaction()
            left, fault = collection.count_documents({"n": 10**6}), ""
        except pymongo.errors.PyMongoError as error:
            left, fault = 0, str(error)[:200]
    finally:
        collection.drop()
    return {"primary": primary, "ms": writes, "written": written, "transaction": {"left": left, "fault": fault}}


def redis():
    """Set and get, at the broker and at the cache."""
    urls = {name: variable(name) for name in ("CELERY_BROKER_URL", "CACHE_URL")}
    urls = {name: url for name, url in urls.items() if url.startswith("redis")}
    if not urls:
        return {"missing": "the application has no Redis (CELERY_BROKER_URL, CACHE_URL)"}
    try:
        import redis as driver
    except ImportError:
        return {"missing": "the application has no redis-py"}

    def ping(address):
        driver.Redis.from_url(address, socket_timeout=5).ping()

    told = {}
    for name, url in urls.items():
        place = name.removesuffix("_URL").lower()
        if SPEC["part"] == "login":
            wrong, nobody = login(url, user(url), WRONG), login(url, "", "")
            told[f"{OWN} at {place}"] = refused(lambda url=url: ping(url))
            told[f"a wrong password at {place}"] = refused(lambda wrong=wrong: ping(wrong))
            told[f"no login at {place}"] = refused(lambda nobody=nobody: ping(nobody))
            continue
        client = driver.Redis.from_url(url, socket_timeout=5)
        key = "celery-cotai-validation" if name == "CELERY_BROKER_URL" else "cotai-validation"

        def pair(count, client=client, key=key):
            client.set(key, count, ex=60)
            client.get(key)

        try:
            timed(pair, 10)
            told[name] = timed(pair, SPEC["times"])
            client.delete(key)
        except driver.RedisError as error:
            return {"ms": told, "fault": f"{place}: {str(error)[:200]}"}
    return told if SPEC["part"] == "login" else {"ms": told, "fault": ""}


print(json.dumps({"postgres": postgres, "mongodb": mongodb, "redis": redis}[SPEC["only"]]()))
