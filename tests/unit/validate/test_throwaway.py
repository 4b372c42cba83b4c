"""The environment of a throwaway stack: nobody's people, ports, data or secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from cotai_tasks.settings import load_settings
from cotai_tasks.validate.throwaway import RECEIVER, TAG, environment, free_ports
from cotai_tasks.variables import Variables

ROOT = Path(__file__).parents[3]
EXAMPLE = "env/.env.production.example"


@pytest.mark.parametrize(("env", "file"), [("dev", ""), ("prod", EXAMPLE)])
def test_a_throwaway_stack_is_nobody_elses(env: str, file: str, tmp_path: Path) -> None:
    """Its own project, images, ports, secrets and backups; the user's webhooks and secrets are not taken over."""
    outside = {
        "SERVER_NAME": "cotai.example.org",
        "PATH": "/usr/bin",
        "BACKUP_WEBHOOK_URL": "https://hooks.example.org/pager",
        "DEPLOY_WEBHOOK_URL": "https://hooks.example.org/pager",
        "ALERT_WEBHOOK_URL": "https://hooks.example.org/pager",
        "BACKUP_STORE": "s3://production/backups",
    }
    base = load_settings(ROOT, env, environ=outside, env_file=file)
    secret = {"POSTGRES_PASSWORD": "correct-horse-battery"}
    own = environment(base, project="cotai-test-0a1b2c", folder=tmp_path, environ=outside | secret)
    made = load_settings(ROOT, env, environ=own, project="cotai-test-0a1b2c", env_file=own["INVOKE_COTAI_ENV_FILE"])
    variables = made.variables
    assert made.stack_name == f"cotai-test-0a1b2c-{env}"
    assert (variables.COTAI_TAG, variables.BIND_ADDRESS) == (TAG, "127.0.0.1")
    assert str(tmp_path / "backups") == variables.BACKUP_STORE
    assert made.secrets_folder == tmp_path / "secrets"
    assert (variables.BACKUP_WEBHOOK_URL, variables.DEPLOY_WEBHOOK_URL) == ("", "")
    assert "correct-horse-battery" not in str(own)
    assert own["PATH"] == "/usr/bin"
    if env == "prod":
        assert made.server_names == ("localhost",)
        assert RECEIVER in variables.ALERT_WEBHOOK_URL


def test_every_port_is_another() -> None:
    """One for each variable, none twice."""
    ports = free_ports()
    assert ports.keys() == {name for name in Variables.model_fields if name.endswith("_PORT")}
    assert len({*ports.values()}) == len(ports)


def test_a_host_without_an_env_file_takes_the_example(tmp_path: Path) -> None:
    """Production may be validated before anybody has set it up."""
    base = load_settings(ROOT, "prod", environ={"SERVER_NAME": "unknown"}, env_file=EXAMPLE)
    bare = base.model_copy(update={"env_file": tmp_path / "there-is-none"})
    own = environment(bare, project="cotai-test-0a1b2c", folder=tmp_path, environ={})
    assert Path(own["INVOKE_COTAI_ENV_FILE"]).read_text() == (ROOT / EXAMPLE).read_text()
