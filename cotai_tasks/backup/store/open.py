"""Which store a person means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cotai_tasks.backup.store.directory import DirectoryStore
from cotai_tasks.errors import StoreError, UsageError

if TYPE_CHECKING:
    from cotai_tasks.backup.store.base import Store
    from cotai_tasks.backup.store.s3 import Bucket
    from cotai_tasks.settings import Settings

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]+)(?:/(?P<prefix>[\w./-]*))?", re.ASCII)


def open_store(url: str, settings: Settings) -> Store:
    """Give the store that a URL names, that of the settings where it is empty; nothing is asked of it yet.

    A folder is one of the project's. Raises `UsageError` for what is neither a folder nor `s3://BUCKET/PREFIX`, and
    `StoreError` where its login cannot be read.
    """
    url = url or settings.variables.BACKUP_STORE
    if "://" not in url:
        return DirectoryStore(settings.directory / Path(url).expanduser(), url)
    found = _S3.fullmatch(url)
    if not found:
        raise UsageError(f"{url} is no store", cure="Name a folder, or s3://BUCKET/PREFIX.")
    from cotai_tasks.backup.store.s3 import S3Store  # boto3 takes a moment to import

    return S3Store(bucket_of(settings, found["bucket"], (found["prefix"] or "").strip("/")))


def bucket_of(settings: Settings, name: str, prefix: str) -> Bucket:
    """Say where a bucket is and how to log in.

    The endpoint is the settings'; development has one of its own, whose login is in its env file.
    """
    from cotai_tasks.backup.store.s3 import Bucket

    variables = settings.variables
    endpoint = variables.BACKUP_S3_ENDPOINT
    access_key, secret_key = _login(settings)
    own = f"http://{variables.BIND_ADDRESS}:{variables.S3_PORT}"
    if settings.environment == "dev" and endpoint.rstrip("/") in {"", own} and not access_key:
        endpoint, access_key, secret_key = own, variables.S3_ACCESS_KEY, variables.S3_SECRET_KEY.get_secret_value()
    return Bucket(
        name,
        prefix,
        endpoint=endpoint,
        region=variables.BACKUP_S3_REGION,
        path_style=variables.BACKUP_S3_PATH_STYLE,
        access_key=access_key,
        secret_key=secret_key,
        storage_class=variables.BACKUP_S3_STORAGE_CLASS,
        lock_days=variables.BACKUP_S3_LOCK_DAYS,
        lock_mode=variables.BACKUP_S3_LOCK_MODE,
        encryption=variables.BACKUP_S3_ENCRYPTION,
        kms_key=variables.BACKUP_S3_KMS_KEY,
        checksums=variables.BACKUP_S3_CHECKSUMS,
    )


def _login(settings: Settings) -> tuple[str, str]:
    """Read the host's own key for S3; two empty texts leave it to what AWS' own tools would find."""
    folder = settings.secrets_folder / "backup"
    access_key, secret_key = (_secret(folder / name) for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"))
    if bool(access_key) != bool(secret_key):
        raise StoreError(f"{folder} holds half a login", cure="Both S3_ACCESS_KEY and S3_SECRET_KEY, or neither.")
    return access_key, secret_key


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip() if path.exists() else ""
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", cure="Run this as its owner.") from error
