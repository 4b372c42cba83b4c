"""Settings: every layer, every fault, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cotai_tasks import files
from cotai_tasks.errors import Finding, SettingsError, UsageError
from cotai_tasks.settings import Settings, load_settings
from cotai_tasks.variables import DEVELOPMENT_SECRETS, PRODUCTION_SECRETS, Variables

ROOT = Path(__file__).parents[2]
SECRETS = dict.fromkeys(DEVELOPMENT_SECRETS, "x" * 20)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project of its own beside a package that carries the stack's files."""
    data = tmp_path / "package/data"
    for folder in ("docker/offline", "docker/reference/backend", "docker/reference/llm", "env"):
        (data / folder).mkdir(parents=True)
    (data / "docker/images.env").write_text("PYTHON_IMAGE=python:3\n")
    (data / "docker/offline/images.env").write_text("PYTHON_IMAGE=cotai-offline/python:3\n")
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "package")
    directory = tmp_path / "project"
    (directory / "env").mkdir(parents=True)
    return directory


def write(project: Path, text: str = "", *, name: str = "env/.env.development", **changes: str | None) -> None:
    """Write an env file of secrets, a variable each line, and `text` after them."""
    lines = [f"{key}={value}" for key, value in (SECRETS | changes).items() if value is not None]
    (project / name).write_text("\n".join([*lines, text]))


def load(directory: Path, environment: str = "dev", **options: Any) -> Settings:  # noqa: ANN401 - as load_settings takes
    return load_settings(directory, environment, **{"environ": {}} | options)


def faults(directory: Path, environment: str = "dev", **options: Any) -> list[Finding]:  # noqa: ANN401
    with pytest.raises(SettingsError) as caught:
        load(directory, environment, **options)
    return list(caught.value.findings)


NOT_A_NUMBER = "input should be a valid integer, unable to parse string as an integer"
LINE = len(SECRETS) + 1
"""Where `text` begins."""


def test_the_development_file_works_as_it_is() -> None:
    """A fresh clone needs no editing."""
    settings = load(ROOT)
    assert settings.stack_name == "cotai-dev"
    assert settings.app_context == ROOT / "docker/reference/backend"


def test_what_is_not_written_has_a_default(project: Path) -> None:
    """A file of secrets alone is whole; a project without files of its own reads the package's."""
    write(project)
    settings = load(project)
    assert settings.variables.plain() == Variables(**SECRETS).plain()  # type: ignore[arg-type] # text becomes secrets
    assert settings.home == project.parent / "package/data"
    assert settings.app_context == settings.home / "docker/reference/backend"
    assert settings.upstream_images == {"PYTHON_IMAGE": "python:3"}
    assert settings.offline_images == {"PYTHON_IMAGE": "cotai-offline/python:3"}


def test_later_layers_win(project: Path) -> None:
    """File, then `invoke.yaml`, then the environment; an image too can be named in the environment."""
    write(project, "LLM_MODEL=file\nCOTAI_TAG=file\nLOG_LEVEL=DEBUG\nCOTAI_GPU=true\n")
    settings = load(
        project,
        project="mine",
        overrides={"LLM_MODEL": "yaml", "COTAI_TAG": "yaml", "COTAI_GPU": False, "BACKEND_PORT": 8010},
        environ={"LLM_MODEL": "environment", "PATH": "/bin", "PYTHON_IMAGE": "mirror/python:3"},
    )
    found = settings.variables
    assert (found.LLM_MODEL, found.COTAI_TAG, found.LOG_LEVEL) == ("environment", "yaml", "DEBUG")
    assert (found.COTAI_GPU, found.BACKEND_PORT) == (False, 8010)
    assert (settings.stack_name, settings.upstream_images["PYTHON_IMAGE"]) == ("mine-dev", "mirror/python:3")


def test_another_file_can_be_named(project: Path) -> None:
    """INVOKE_COTAI_ENV_FILE takes the place of the usual file."""
    write(project, "LLM_MODEL=other\n", name="other.env")
    assert load(project, env_file="other.env").variables.LLM_MODEL == "other"


def test_a_missing_file_is_named(project: Path) -> None:
    """One line says which file, where it was looked for, and the way out."""
    with pytest.raises(SettingsError) as caught:
        load(project)
    assert str(caught.value) == f"env/.env.development: no such file in {project}"
    assert caught.value.cure.startswith("Restore it (git checkout env/.env.development)")


def test_an_unknown_environment_gets_the_nearest(project: Path) -> None:
    """`--env prd` is answered with prod."""
    with pytest.raises(UsageError) as caught:
        load(project, "prd")
    assert (str(caught.value), caught.value.cure) == ("--env prd: no such environment", "Did you mean prod?")


@pytest.mark.parametrize(
    ("line", "name", "fault", "cure"),
    [
        ("LLM_MODELL=x", "LLM_MODELL", "unknown variable", "Did you mean LLM_MODEL?"),
        ("ZZZ=x", "ZZZ", "unknown variable", "Variables of your own go into the file APP_ENV_FILE."),
        ("LLM_SERVERS=nowhere", "LLM_SERVERS", "must be http:// or https:// URLs, separated by commas", ""),
        ("LLM_SERVERS=http://a,ftp://b", "LLM_SERVERS", "must be http:// or https:// URLs, separated by commas", ""),
        ("BACKEND_PORT=70000", "BACKEND_PORT", "input should be less than or equal to 65535", ""),
        ("BACKEND_PORT=0", "BACKEND_PORT", "input should be greater than or equal to 1", ""),
        ("BACKEND_PORT=http", "BACKEND_PORT", NOT_A_NUMBER, ""),
        ("BIND_ADDRESS=here", "BIND_ADDRESS", "must be an IPv4 address", ""),
        (
            "POSTGRES_DB=postgres",
            "POSTGRES_DB",
            "must not be one of the server's own databases: no backup holds them",
            "",
        ),
        ("APP_MODULE=app.main", "APP_MODULE", "must look like package.module:name", ""),
        ("APP_HEALTH_PATH=health", "APP_HEALTH_PATH", "must begin with /", ""),
        ("COTAI_IMAGES=maybe", "COTAI_IMAGES", "input should be 'auto', 'upstream' or 'offline'", ""),
        ("COTAI_GPU=maybe", "COTAI_GPU", "input should be a valid boolean, unable to interpret input", ""),
        (
            "POSTGRES_PORT=8000",
            "POSTGRES_PORT",
            "port 8000 is also BACKEND_PORT",
            "Give each service its own port.",
        ),
    ],
)
def test_a_wrong_value_is_pointed_at(project: Path, line: str, name: str, fault: str, cure: str) -> None:
    """File, line and name of the variable, what is wrong with it, and what to do."""
    write(project, line)
    assert faults(project) == [
        Finding(f"env/.env.development:{LINE} {name}", fault, cure or "Correct the value."),
    ]


def test_a_password_fits_into_a_url(project: Path) -> None:
    """What would have to be escaped in a URL is refused, with its line."""
    write(project, REDIS_PASSWORD="p@ss/word")
    line = list(SECRETS).index("REDIS_PASSWORD") + 1
    fault = "only letters, digits, - and _ (it becomes part of URLs)"
    assert faults(project) == [Finding(f"env/.env.development:{line} REDIS_PASSWORD", fault, "Correct the value.")]


def test_a_missing_password_is_named(project: Path) -> None:
    """Development has nothing but its env file."""
    write(project, REDIS_PASSWORD=None)
    assert faults(project) == [
        Finding("env/.env.development REDIS_PASSWORD", "empty or missing", "Set REDIS_PASSWORD.")
    ]


# -- production --------------------------------------------------------------------------------------------------------


def production(project: Path, text: str = "SERVER_NAME=cotai.example.org", **secrets: str) -> None:
    """Write an env file for production, and a file to each secret."""
    (project / "env/.env.production").write_text(text)
    for name, value in secrets.items():
        path = project / "env/secrets" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(value + "\n")


def test_production_reads_its_secrets_from_files(project: Path) -> None:
    """One file each; what has none is empty, and a CI runner may give it in the environment."""
    production(project, REDIS_PASSWORD="r" * 20, ADMIN_PASSWORD="a" * 20)
    settings = load(project, "prod", environ={"ADMIN_PASSWORD": "e" * 20})
    found = {name: settings.variables.plain()[name] for name in PRODUCTION_SECRETS}
    assert {name: value for name, value in found.items() if value} == {
        "REDIS_PASSWORD": "r" * 20,
        "ADMIN_PASSWORD": "e" * 20,
    }
    assert settings.secrets_folder == project / "env/secrets"
    assert settings.server_names == ("cotai.example.org",)


@pytest.mark.parametrize(
    ("value", "fault", "cure"),
    [
        ("redis-development", "a placeholder, not a secret", "Set a random value of your own."),
        ("change-me-please-now-1", "a placeholder, not a secret", "Set a random value of your own."),
        ("short", "shorter than 16 characters", "Set a random value of your own."),
        ("p@ss/word-of-some-length", "only letters, digits, - and _ (it becomes part of URLs)", "Correct the value."),
    ],
)
def test_production_wants_real_passwords(project: Path, value: str, fault: str, cure: str) -> None:
    """What is fine in development is refused in production."""
    write(project, REDIS_PASSWORD="redis-development")
    load(project)
    production(project, REDIS_PASSWORD=value)
    assert faults(project, "prod") == [Finding("env/secrets/REDIS_PASSWORD", fault, cure)]


def test_a_secret_in_the_env_file_is_refused(project: Path) -> None:
    """Env files are copied and mailed; secrets stay in files of their own."""
    production(project, f"SERVER_NAME=a.example.org\nREDIS_PASSWORD={'x' * 20}")
    assert faults(project, "prod") == [
        Finding(
            "env/.env.production:2 REDIS_PASSWORD",
            "a secret, which does not belong here",
            "Remove it; inv security.secrets makes one.",
        )
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "missing"),
        ("SERVER_NAME=Not_A_Host", "must be host names in small letters, separated by blanks"),
        ("SERVER_NAME=a.org\nPROBE_SUBNET=8.8.8.0/24", "must be a private network"),
        ("SERVER_NAME=a.org\nPROBE_SUBNET=10.0.0.1/24", "must be an IPv4 network such as 10.255.255.0/28"),
        ("SERVER_NAME=a.org\nCOTAI_SIZE=huge", "input should be 'small', 'medium' or 'large'"),
    ],
)
def test_production_knows_its_own_faults(project: Path, line: str, fault: str) -> None:
    """What only production has is checked as well."""
    production(project, line)
    assert fault in [one.fault for one in faults(project, "prod")]


def test_everything_wrong_is_told_at_once(project: Path) -> None:
    """The file's own faults, and a wrong variable in each layer, and what only shows in comparison: in one run."""
    lines = "LLM_MODELL=x\r\nLLM_MODELL=y\nS3_PORT=9090\nAPP_CONTEXT=/nowhere"
    name = "env/.env.production"
    production(project, lines, ADMIN_PASSWORD="short")
    found = faults(
        project,
        "prod",
        project="My Stack",
        overrides={"LOG_LEVLE": "INFO"},
        environ={"BACKEND_PORT": "many"},
    )
    assert sorted(str(one) for one in found) == sorted(
        [
            f"{name}:1: Windows line ends (CRLF). Convert it: sed -i 's/\\r$//' {name}",
            f"{name}:2 LLM_MODELL: already set on line 1. Keep one.",
            "cotai.project: 'My Stack' is no Compose project name. Use a-z, 0-9, - and _ only.",
            f"environment variable BACKEND_PORT: {NOT_A_NUMBER}. Correct the value.",
            f"{name} SERVER_NAME: missing. Set the name that users type: SERVER_NAME=cotai.example.org",
            f"{name}:1 LLM_MODELL: unknown variable. Did you mean LLM_MODEL?",
            "cotai.variables.LOG_LEVLE: unknown variable. Did you mean LOG_LEVEL?",
            f"{name}:3 S3_PORT: port 9090 is also PROMETHEUS_PORT. Give each service its own port.",
            "env/secrets/ADMIN_PASSWORD: shorter than 16 characters. Set a random value of your own.",
            f"{name}:4 APP_CONTEXT: no such folder: /nowhere. Name the folder that holds the code.",
        ]
    )


def test_folders_and_files_that_are_not_there_are_named(project: Path) -> None:
    """A context without a folder, a named file that does not exist: before anything is built."""
    write(project, "APP_CONTEXT=../nowhere\nBUILD_CA_FILE=/no/such.pem\nAPP_ENV_FILE=own.env\n")
    assert [(one.where, one.fault) for one in faults(project)] == [
        (f"env/.env.development:{LINE} APP_CONTEXT", f"no such folder: {project.parent}/package/data/../nowhere"),
        (f"env/.env.development:{LINE + 1} BUILD_CA_FILE", "no such file: /no/such.pem"),
        (f"env/.env.development:{LINE + 2} APP_ENV_FILE", f"no such file: {project}/own.env"),
    ]


def test_no_secret_is_shown(project: Path) -> None:
    """Settings may be printed, and a validation error too: neither repeats a password."""
    write(project, REDIS_PASSWORD="canary-in-the-mine")
    assert "canary" not in repr(load(project))
    write(project, REDIS_PASSWORD="canary/in the mine")
    assert "canary" not in "".join(map(str, faults(project)))
