"""A whole catalogue in a real bucket that keeps versions and locks: what the commands show of it, and cannot remove."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.catalogue import open_catalogue
from cotai_tasks.backup.check import check
from cotai_tasks.backup.copy import copy, download
from cotai_tasks.backup.prune import delete, prune
from cotai_tasks.backup.verify import verify
from cotai_tasks.errors import StoreError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.integration.s3.service import ACCESS_KEY, SECRET_KEY, Service
from tests.unit.backup.catalogues import make_whole, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.settings import Settings

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)
DUMPS = {"redis": b"data" * 9999}


@pytest.fixture
def own(s3: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give settings whose backups go there, locked for a day; the login is where AWS' own tools find it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return settings(
        tmp_path,
        BACKUP_STORE=f"s3://{s3.bucket(ObjectLockEnabledForBucket=True)}/nightly",
        BACKUP_S3_ENDPOINT=s3.endpoint,
        BACKUP_S3_REGION="eu-central-1",
        BACKUP_S3_PATH_STYLE=True,
        BACKUP_S3_STORAGE_CLASS="STANDARD_IA",
        BACKUP_S3_LOCK_DAYS=1,
        BACKUP_KEEP="last=1",
        BACKUP_MIN_KEEP=1,
    )


def test_a_locked_catalogue_from_the_first_backup_to_the_last(s3: Service, own: Settings, tmp_path: Path) -> None:
    """Made, fresh, verified, copied, fetched; what no rule keeps stays for as long as it is locked, and says so."""
    console = RecordingConsole()
    found = open_catalogue("", settings=own)
    older, newer = (make_whole(found, DUMPS, NOW - timedelta(days=age)) for age in (1, 0))
    newest = check(settings=own, console=console).newest
    assert newest
    assert newest.id == newer
    bucket = own.variables.BACKUP_STORE.split("/")[2]
    (stored,) = s3.client.list_objects_v2(Bucket=bucket, Prefix=f"nightly/cotai-dev/data/{newer}/")["Contents"]
    assert s3.client.head_object(Bucket=bucket, Key=stored["Key"])["StorageClass"] == "STANDARD_IA"
    assert verify(level="decrypt", settings=own, engine=FakeEngine(), console=console).ok
    thinned = prune(yes=True, settings=own, console=console)
    assert thinned.removed == ()
    assert "locked until" in console.text()
    with pytest.raises(StoreError, match="is locked until"):
        delete(older, yes=True, settings=own, console=console)
    assert found.ids() == [newer, older]
    second = f"s3://{s3.bucket(ObjectLockEnabledForBucket=True)}"
    assert copy("", second, settings=own, console=console).bytes > 0
    assert copy("", second, settings=own, console=console).bytes == 0
    assert check(store=second, settings=own, console=console).fresh
    download(older, str(tmp_path / "files"), settings=own, console=console)
    assert (tmp_path / "files/redis.1.zst").is_file()


def test_backups_that_a_thief_has_hidden_come_back(s3: Service, own: Settings) -> None:
    """A lock forbids to destroy, not to lay a marker over it: docs/backup.md says how the bucket's owner lifts them."""
    found = open_catalogue("", settings=own)
    backup = make_whole(found, DUMPS, NOW)
    bucket = own.variables.BACKUP_STORE.split("/")[2]
    for one in s3.client.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.client.delete_object(Bucket=bucket, Key=one["Key"])
    assert found.ids() == []
    for marker in s3.client.list_object_versions(Bucket=bucket)["DeleteMarkers"]:
        assert marker["IsLatest"]
        s3.client.delete_object(Bucket=bucket, Key=marker["Key"], VersionId=marker["VersionId"])
    assert found.ids() == [backup]
    assert verify(level="decrypt", settings=own, engine=FakeEngine(), console=RecordingConsole()).ok
