"""`db.shell`: each database's own client, and no password on the way to it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.db.shell import DATABASES, client, one_command, shell
from cotai_tasks.errors import DatabaseError, EngineError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import SECRET, settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cotai_tasks.facts import Project

RENDERED = {"services": {name: {"image": f"{name}:1"} for name in DATABASES}}


class WatchedConsole(RecordingConsole):
    """A console before which a person sits."""

    @property
    def interactive(self) -> bool:
        """Somebody does."""
        return True


def running(**fields: Any) -> FakeEngine:  # noqa: ANN401 - any field of the engine
    return FakeEngine(rendered=RENDERED, found_containers=[container(name) for name in DATABASES], **fields)


def refused(engine: FakeEngine, service: str = "postgres", **options: Any) -> Exception:  # noqa: ANN401
    given: dict[str, Any] = {"settings": settings(), "engine": engine, "console": RecordingConsole()} | options
    with pytest.raises((DatabaseError, EngineError, UsageError)) as caught:
        shell(service, **given)
    return caught.value


@pytest.mark.parametrize("service", DATABASES)
def test_a_shell_is_opened_on_the_terminal(service: str) -> None:
    """The client runs in the service's own container."""
    engine = running()
    shell(service, settings=settings(), engine=engine, console=WatchedConsole())
    assert engine.calls == [("attach", service, *client(service))]


@pytest.mark.parametrize(
    ("service", "command", "arguments"),
    [
        (
            "postgres",
            "select 'a b'",
            ["--no-align", "--tuples-only", "--set=VERBOSITY=terse", "--command", "select 'a b'"],
        ),
        ("mongodb", "db.tenders.find()", ["--eval", "db.tenders.find()"]),
        ("redis", "set key 'two words'", ["set", "key", "two words"]),
        ("redis-cache", "get key", ["get", "key"]),
    ],
)
def test_one_command_prints_its_bare_result(service: str, command: str, arguments: list[str]) -> None:
    """For scripts: no terminal is needed, and the result is printed as the database gives it."""
    engine, console = running(answers={f"execute {service}": ["1|a [x]", "2|:b:"]}), RecordingConsole()
    shell(service, command=command, settings=settings(), engine=engine, console=console)
    assert engine.calls == [("execute", service, *client(service, *arguments))]
    assert console.text() == "1|a [x]\n2|:b:\n"


def test_an_unknown_database_gets_the_nearest_name() -> None:
    """A typo is answered before anything is asked of the engine."""
    engine = running()
    error = refused(engine, "postgrse")
    assert isinstance(error, UsageError)
    assert (str(error), error.cure) == ("no such database: 'postgrse'", "Did you mean postgres?")
    assert engine.calls == []


def test_a_stopped_database_is_named_with_its_start() -> None:
    """Not a refusal of Docker's, but what to type."""
    engine = FakeEngine(rendered=RENDERED, found_containers=[container("postgres", state="exited")])
    error = refused(engine)
    assert isinstance(error, DatabaseError)
    assert (str(error), error.cure) == (
        "not running in cotai-dev: postgres",
        "Start it: inv deploy.dev --only postgres",
    )


def test_a_shell_without_a_terminal_is_refused() -> None:
    """A script is told of --command instead of waiting for ever."""
    assert str(refused(running())) == "a shell needs a terminal"


def test_an_open_quotation_is_told() -> None:
    """Redis' command is split into words as a shell does."""
    error = refused(running(), "redis", command="get 'x")
    assert str(error) == "--command get 'x: no closing quotation"


@pytest.mark.parametrize(
    ("evidence", "message", "rest"),
    [
        ('ERROR:  relation "x" does not exist', 'postgres refused: ERROR:  relation "x" does not exist', ""),
        (
            "SyntaxError: bad\n> 1 | db.(\n    |    ^",
            "postgres refused: SyntaxError: bad",
            "SyntaxError: bad\n> 1 | db.(",
        ),
        ("it is\nbroken", "postgres refused: broken", "it is"),
    ],
)
def test_a_refused_command_shows_the_reason(evidence: str, message: str, rest: str) -> None:
    """The line that says what is wrong is the error's sentence, and the rest stands above it."""
    error = refused(running(errors={"execute": EngineError("x", evidence=evidence)}), command="select")
    assert isinstance(error, DatabaseError)
    assert (str(error), error.evidence) == (message, rest)


def test_trouble_with_docker_stays_trouble_with_docker() -> None:
    """An engine that does not answer is no fault of the database."""
    assert isinstance(
        refused(running(errors={"execute": EngineError("no Docker Engine answers")}), command="x"), EngineError
    )


@pytest.mark.parametrize(("code", "fails"), [(0, False), (130, False), (2, True)])
def test_how_a_shell_ends(*, code: int, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving by Ctrl-C is no error; a client that failed is one."""
    engine = running()

    def attach(_: Project, __: str, ___: Sequence[str]) -> int:
        return code

    monkeypatch.setattr(engine, "attach", attach)
    if fails:
        assert str(refused(engine, console=WatchedConsole())) == "the shell in postgres ended with exit code 2"
    else:
        shell("postgres", settings=settings(), engine=engine, console=WatchedConsole())


@pytest.mark.parametrize("service", DATABASES)
def test_no_password_is_in_a_command_line(service: str) -> None:
    """Whoever lists the processes sees none: the client's password comes by the environment."""
    words = client(service) + one_command(service, "command")
    assert SECRET.get_secret_value() not in " ".join(words)
    assert "--password" not in " ".join(words)


@pytest.mark.parametrize(
    ("service", "program", "environ", "seen"),
    [
        (
            "postgres",
            "psql",
            {"APP_USER": "ana", "APP_PASSWORD": "canary", "POSTGRES_DB": "shop"},
            "--no-psqlrc --username=ana --dbname=shop X|canary|",
        ),
        ("redis", "redis-cli", {"REDIS_PASSWORD": "canary"}, "-e X||canary"),
        ("mongodb", "mongodb-shell", {}, "cotai X||"),
    ],
)
def test_the_client_is_started_inside(
    service: str, program: str, environ: dict[str, str], seen: str, tmp_path: Path
) -> None:
    """The script itself, run with a client that shows what it got: the password as a variable, never as an argument."""
    fake = tmp_path / program
    fake.write_text('#!/bin/sh\necho "$*|$PGPASSWORD|$REDISCLI_AUTH"\n')
    fake.chmod(0o755)
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    done = subprocess.run(
        client(service, "X"), env=environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{seen}\n"


def test_mongosh_is_preferred_and_logs_in_by_itself(tmp_path: Path) -> None:
    """Where the image has mongosh: the login is JavaScript that reads the container's own environment."""
    fake = tmp_path / "mongosh"
    fake.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    fake.chmod(0o755)
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    done = subprocess.run(client("mongodb"), env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert words[:4] == ["--quiet", "--norc", "mongodb://127.0.0.1/cotai?directConnection=true", "--eval"]
    assert "admin.auth(env.MONGO_INITDB_ROOT_USERNAME, env.MONGO_INITDB_ROOT_PASSWORD);" in done.stdout
    assert words[-1] == "--shell"


@pytest.mark.parametrize(
    ("service", "program", "environ", "seen"),
    [
        (
            "postgres",
            "psql",
            {"APP_USER": "ana", "POSTGRES_DB": "shop"},
            "--no-psqlrc --username=ana_b --dbname=shop X|application|",
        ),
        ("redis", "redis-cli", {}, "-e --tls --cacert {}/ca.pem --user admin X||administrator"),
        ("mongodb", "mongodb-shell", {"MONGODB_USER": "ana"}, "cotai --as application X||"),
        ("mongodb", "mongodb-shell", {"MONGODB_USER": "ana", "LOGIN": "monitor"}, "cotai --as monitor X||"),
        ("mongodb", "mongosh", {"MONGODB_USER": "ana"}, "mongodb://127.0.0.1/cotai?directConnection=true&tls=true"),
    ],
)
def test_production_logs_in_with_its_files(
    service: str, program: str, environ: dict[str, str], seen: str, tmp_path: Path
) -> None:
    """Passwords, the login in use and the certificates come from the container's secrets."""
    secrets, programs = tmp_path / "secrets", tmp_path / "programs"
    secrets.mkdir()
    programs.mkdir()
    content = {"POSTGRES_PASSWORD": "application", "POSTGRES_LOGIN": "ana_b", "REDIS_ADMIN_PASSWORD": "administrator"}
    for name in ("users.acl", "tls.pem", *content):
        (secrets / name).write_text(content.get(name, ""))
    for name in ("sh", "cat"):
        (programs / name).symlink_to(shutil.which(name) or "")
    fake = programs / program
    fake.write_text('#!/bin/sh\necho "$*|$PGPASSWORD|$REDISCLI_AUTH"\n')
    fake.chmod(0o755)
    words = [word.replace("/run/secrets", str(secrets)) for word in client(service, "X")]
    done = subprocess.run(words, env=environ | {"PATH": str(programs)}, capture_output=True, text=True, check=True)
    assert seen.format(secrets) in done.stdout
