"""`deploy.init prod`: from nothing to a production environment, and nothing overwritten."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks import security
from cotai_tasks.deploy import init
from cotai_tasks.deploy.init import EXAMPLE, Start, filled, initialise
from cotai_tasks.envfile import read_env_file
from cotai_tasks.errors import PreflightError, SettingsError, UsageError
from cotai_tasks.settings import load_settings
from cotai_tasks.testing import FakeEngine, RecordingConsole
from cotai_tasks.variables import PRODUCTION_SECRETS, Variables

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[3]
DEVELOPMENT_ONLY = {"S3_ACCESS_KEY", "S3_SECRET_KEY"}
"""Besides the ports of what production does not publish."""


class Terminal(RecordingConsole):
    """A console before which a person sits."""

    @property
    def interactive(self) -> bool:
        """Somebody does."""
        return True


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project with the example alone, where no image is there yet."""

    def refuse(**_: object) -> None:
        raise PreflightError("none of the images of cotai-prod is on this host")

    monkeypatch.setattr(security, "install_self_signed", refuse, raising=False)
    monkeypatch.setattr(init, "make_image", lambda *_: None)
    (tmp_path / "env").mkdir()
    shutil.copy(ROOT / EXAMPLE, tmp_path / EXAMPLE)
    return tmp_path


def run(
    project: Path, *given: str, console: RecordingConsole | None = None, answers: Sequence[str] = ()
) -> tuple[Start | None, str]:
    console, left = console or RecordingConsole(), list(answers)
    result = initialise(
        "prod",
        given=given,
        directory=project,
        environ={},
        project="cotai",
        engine=FakeEngine(),
        console=console,
        ask=lambda _: left.pop(0),
    )
    assert left == []
    return result, console.text()


def test_the_example_lists_what_production_uses() -> None:
    """Every variable once, with no secret and no port that production does not publish; each with its default."""
    values = read_env_file(ROOT / EXAMPLE, EXAMPLE).values
    ports = {name for name in Variables.model_fields if name.endswith("_PORT")} - {"HTTP_PORT", "HTTPS_PORT"}
    assert set(values) == Variables.model_fields.keys() - set(PRODUCTION_SECRETS) - DEVELOPMENT_ONLY - ports
    defaults = Variables().plain()
    chosen = {"COTAI_TAG": "prod", "BIND_ADDRESS": "0.0.0.0"}  # noqa: S104 - production is there for the world
    assert {name: value for name, value in values.items() if value != defaults[name]} == chosen


def test_every_variable_of_the_example_is_explained() -> None:
    """A comment stands above each group of lines, as in development's file."""
    blocks = (ROOT / EXAMPLE).read_text().split("\n\n")
    bare = [block for block in blocks if "=" in block and not block.startswith("#")]
    assert bare == ["LLM_CONTEXT=docker/reference/llm\nLLM_MODULE=gateway.main:app", DATABASES]


DATABASES = "POSTGRES_DB=cotai\nPOSTGRES_USER=cotai\nMONGODB_USER=cotai"


def test_a_name_is_all_that_it_asks_for(project: Path) -> None:
    """Env file and secrets are made, private; what is left is a list; the settings load."""
    result, said = run(project, "SERVER_NAME=cotai.example.org api.example.org", "COTAI_SIZE=small")
    assert result
    assert (result.created, len(result.secrets), result.certificate) == (True, 21, False)
    assert result.env_file.stat().st_mode & 0o777 == 0o600
    settings = load_settings(project, "prod", environ={})
    assert settings.server_names == ("cotai.example.org", "api.example.org")
    assert settings.variables.COTAI_SIZE == "small"
    assert all(settings.variables.plain()[name] for name in PRODUCTION_SECRETS)
    assert re.findall(r"(?m)^  (\d\. \w+)", said) == ["1. DNS", "2. Firewall", "3. inv", "4. inv", "5. inv", "6. Back"]
    assert "no certificate yet: none of the images" in said
    assert not [name for name in PRODUCTION_SECRETS if settings.variables.plain()[name] in said]


def test_a_person_is_asked(project: Path) -> None:
    """For what no default can know, and not for what was given."""
    run(project, "ACME_EMAIL=ops@example.org", console=Terminal(), answers=["cotai.example.org"])
    values = read_env_file(project / "env/.env.production", "x").values
    assert (values["SERVER_NAME"], values["ACME_EMAIL"]) == ("cotai.example.org", "ops@example.org")


def test_a_second_run_changes_nothing(project: Path) -> None:
    """It says so, and repeats what is left to do."""
    run(project, "SERVER_NAME=cotai.example.org")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    result, said = run(project)
    assert result
    assert (result.created, result.secrets) == (False, ())
    assert "env/.env.production is there already, and stays as it is" in said
    assert "nothing to do: every secret is in" in said
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    with pytest.raises(UsageError, match="is there already"):
        run(project, "COTAI_SIZE=large")


def test_a_certificate_where_the_images_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is one step less to do."""
    monkeypatch.setattr(security, "install_self_signed", lambda **_: None, raising=False)
    result, said = run(project, "SERVER_NAME=cotai.example.org")
    assert result
    assert result.certificate
    assert "--self-signed" not in said


def test_nothing_is_written_of_what_is_wrong(project: Path) -> None:
    """All findings at once, with the line that they would have had."""
    with pytest.raises(SettingsError, match="cannot be set up like that") as caught:
        run(project, "COTAI_SIZE=huge", "HTTP_PORT=443")
    assert sorted(one.where.partition(" ")[2] for one in caught.value.findings) == [
        "COTAI_SIZE",
        "HTTPS_PORT",
        "SERVER_NAME",
    ]
    assert [path.name for path in (project / "env").iterdir()] == [".env.production.example"]


@pytest.mark.parametrize(
    ("given", "fault", "cure"),
    [
        ("SERVER_NAMES=x", "--set SERVER_NAMES: unknown variable", "Did you mean SERVER_NAME?"),
        ("SERVER_NAME", "--set SERVER_NAME: not NAME=VALUE", "For example --set SERVER_NAME=cotai.example.org"),
        ("ADMIN_PASSWORD=canary", "a secret has no place in a command line", "It is made by itself."),
    ],
)
def test_a_wrong_flag_is_refused(project: Path, given: str, fault: str, cure: str) -> None:
    """With the nearest name; a password given by mistake is not repeated."""
    with pytest.raises(UsageError, match=fault) as caught:
        run(project, given)
    assert caught.value.cure == cure
    assert "canary" not in str(caught.value)


def test_development_needs_none(tmp_path: Path) -> None:
    """It works as it is; another name is nothing at all."""
    console = RecordingConsole()
    options = {"directory": tmp_path, "environ": {}, "project": "cotai", "engine": FakeEngine(), "console": console}
    assert initialise("dev", **options) is None  # type: ignore[arg-type]
    assert console.text().startswith("✓ nothing to do: development works as it is")
    with pytest.raises(UsageError, match="no such environment: 'production'"):
        initialise("production", **options)  # type: ignore[arg-type]


def test_values_take_the_place_of_the_examples() -> None:
    """Quoted where they need it; a variable without a line is added."""
    assert filled("A=1\nAB=2\n", {"A": "x y", "C": "3"}) == "A='x y'\nAB=2\nC=3\n"
