"""Which store a person means, and which login goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import SecretStr

from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.backup.store.open import bucket_of, open_store
from cotai_tasks.backup.store.s3 import Bucket
from cotai_tasks.errors import StoreError, UsageError
from cotai_tasks.settings import Settings
from cotai_tasks.variables import Variables

if TYPE_CHECKING:
    from pathlib import Path


def settings(directory: Path, environment: Literal["dev", "prod"] = "prod", **variables: Any) -> Settings:  # noqa: ANN401
    return Settings(
        environment=environment,
        project="cotai",
        directory=directory,
        home=directory,
        variables=Variables(**variables),
        upstream_images={},
        offline_images={},
    )


def write_login(directory: Path, **files: str) -> None:
    folder = directory / "env/secrets/backup"
    folder.mkdir(parents=True)
    for name, value in files.items():
        (folder / name).write_text(value)


def test_a_folder_is_one_of_the_project(tmp_path: Path) -> None:
    """Nothing given means BACKUP_STORE; a relative path is the project's, wherever the command is run."""
    for url, folder in (("", "backups"), ("elsewhere", "elsewhere"), (f"{tmp_path}/x", "x")):
        store = open_store(url, settings(tmp_path))
        assert isinstance(store, DirectoryStore)
        store.check()
        assert (tmp_path / folder).is_dir()
        assert store.url == (url or "backups")


@pytest.mark.parametrize(
    ("url", "shown"),
    [("s3://bucket", "s3://bucket"), ("s3://bucket/", "s3://bucket"), ("s3://bucket/a/b/", "s3://bucket/a/b")],
)
def test_s3_is_a_bucket_and_perhaps_a_prefix(tmp_path: Path, url: str, shown: str) -> None:
    """A slash at the end changes nothing; making the store asks nobody anything."""
    assert open_store(url, settings(tmp_path)).url == shown


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "s3://Bucket/x", "s3://bucket/a b", "file:///backups"])
def test_any_other_url_is_a_mistake(tmp_path: Path, url: str) -> None:
    """What is neither a folder nor a bucket is named with what would be."""
    with pytest.raises(UsageError, match="is no store") as caught:
        open_store(url, settings(tmp_path))
    assert caught.value.cure == "Name a folder, or s3://BUCKET/PREFIX."


def test_every_variable_reaches_the_bucket(tmp_path: Path) -> None:
    """None of the BACKUP_S3_ settings is without effect."""
    write_login(tmp_path, S3_ACCESS_KEY="me\n", S3_SECRET_KEY="hush\n")
    found = bucket_of(
        settings(
            tmp_path,
            BACKUP_S3_ENDPOINT="https://s3.example.org",
            BACKUP_S3_REGION="eu-1",
            BACKUP_S3_PATH_STYLE=True,
            BACKUP_S3_STORAGE_CLASS="STANDARD_IA",
            BACKUP_S3_LOCK_DAYS=30,
            BACKUP_S3_LOCK_MODE="COMPLIANCE",
            BACKUP_S3_ENCRYPTION="aws:kms",
            BACKUP_S3_KMS_KEY="key",
            BACKUP_S3_CHECKSUMS="when_required",
        ),
        "bucket",
        "a/b",
    )
    assert found == Bucket(
        "bucket",
        "a/b",
        endpoint="https://s3.example.org",
        region="eu-1",
        path_style=True,
        access_key="me",
        secret_key="hush",
        storage_class="STANDARD_IA",
        lock_days=30,
        lock_mode="COMPLIANCE",
        encryption="aws:kms",
        kms_key="key",
        checksums="when_required",
    )
    assert "hush" not in repr(found)


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:8333", "http://127.0.0.1:8333/"])
def test_development_has_an_endpoint_of_its_own(tmp_path: Path, endpoint: str) -> None:
    """Its login stands in the env file, and goes to that endpoint."""
    own = {"S3_ACCESS_KEY": "cotai", "S3_SECRET_KEY": SecretStr("own"), "BACKUP_S3_ENDPOINT": endpoint}
    found = bucket_of(settings(tmp_path, "dev", **own), "bucket", "")
    assert found == Bucket("bucket", endpoint="http://127.0.0.1:8333", access_key="cotai", secret_key="own")


def test_developments_login_goes_nowhere_else(tmp_path: Path) -> None:
    """Another endpoint, a login of the host's own, or production: the env file's key stays at home."""
    own = {"S3_ACCESS_KEY": "cotai", "S3_SECRET_KEY": SecretStr("own")}
    other = bucket_of(settings(tmp_path, "dev", BACKUP_S3_ENDPOINT="https://s3.example.org", **own), "bucket", "")
    assert (other.endpoint, other.access_key, other.secret_key) == ("https://s3.example.org", "", "")
    assert bucket_of(settings(tmp_path, "prod", **own), "bucket", "") == Bucket("bucket")
    write_login(tmp_path, S3_ACCESS_KEY="me", S3_SECRET_KEY="hush")
    found = bucket_of(settings(tmp_path, "dev", **own), "bucket", "")
    assert found == Bucket("bucket", access_key="me", secret_key="hush")


def test_half_a_login_is_a_fault(tmp_path: Path) -> None:
    """One file without the other would silently use somebody else's key."""
    write_login(tmp_path, S3_ACCESS_KEY="me")
    with pytest.raises(StoreError, match="holds half a login"):
        open_store("s3://bucket", settings(tmp_path))


def test_a_login_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file of somebody else's, or no file at all in that place, is no reason to go without."""
    write_login(tmp_path, S3_ACCESS_KEY="me")
    (tmp_path / "env/secrets/backup/S3_SECRET_KEY").mkdir()
    with pytest.raises(StoreError, match="S3_SECRET_KEY cannot be read: Is a directory"):
        open_store("s3://bucket", settings(tmp_path))
