"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import read_settings, variable

URLS = {
    "DATABASE_URL": "postgresql://cotai:secret@postgres:5432/cotai",
    "MONGODB_URL": "mongodb://cotai:secret@mongodb:27017/cotai",
    "CELERY_BROKER_URL": "redis://:secret@redis:6379/0",
    "CELERY_RESULT_BACKEND": "redis://:secret@redis:6379/1",
    "CACHE_URL": "redis://:secret@redis-cache:6379/0",
}


def test_empty_variables_count_as_unset() -> None:
    """Compose passes unset variables as empty ones: the defaults hold."""
    read = read_settings(URLS | {"LLM_MODEL": "", "DB_POOL_SIZE": "3"})
    assert (read.llm_model, read.db_pool_size, read.cotai_version) == ("smollm2:135m", 3, "dev")


def test_every_fault_is_named_at_once_without_a_value() -> None:
    """One start shows all that is wrong, and no password."""
    with pytest.raises(ValidationError) as wrong:
        read_settings({"DATABASE_URL": "cotai:secret@postgres", "DB_POOL_SIZE": "many"})
    faulty = {str(error["loc"][0]) for error in wrong.value.errors()}
    assert faulty == {*map(str.lower, URLS), "db_pool_size"}
    assert "secret" not in str(wrong.value)


def test_settings_do_not_tell_secrets() -> None:
    """Settings in a log or a traceback show no URL with a password."""
    assert "secret" not in repr(read_settings(URLS))


def test_secret_comes_from_a_file(tmp_path: Path) -> None:
    """`NAME_FILE` names the file that holds the value, with or without a newline at its end."""
    secret = tmp_path / "database-url"
    secret.write_text("postgresql://cotai:from-file@postgres/cotai\n")
    assert variable("DATABASE_URL", {"DATABASE_URL_FILE": str(secret)}) == "postgresql://cotai:from-file@postgres/cotai"


def test_driver_is_psycopg_3() -> None:
    """A plain PostgreSQL URL gets the driver that is installed."""
    assert read_settings(URLS).sqlalchemy_url == "postgresql+psycopg://cotai:secret@postgres:5432/cotai"
