"""The store: complete, private, never overwritten."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from cotai_tasks.errors import SettingsError
from cotai_tasks.security.store import SERVERS, Store, expected_files, file_findings, fill, folder_findings
from cotai_tasks.variables import PRODUCTION_SECRETS
from tests.unit.security.production import NOW

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "env/secrets")


def test_everything_is_made_once(store: Store) -> None:
    """The first time all of it, the second time nothing; not one file changes."""
    assert sorted(fill(store, now=NOW)) == sorted(expected_files())
    before = {name: path.read_bytes() for name, path in store.files().items()}
    assert sorted(before) == sorted(expected_files())
    assert fill(store, now=NOW) == ()
    assert {name: path.read_bytes() for name, path in store.files().items()} == before


def test_nobody_else_can_read_them(store: Store) -> None:
    """Folders 0700, files 0600, and nothing is left beside them."""
    fill(store, now=NOW)
    paths = [store.folder, *store.folder.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}
    assert len(paths) == len(expected_files()) + 2


def test_passwords_are_random_and_fit_into_urls(store: Store) -> None:
    """43 characters of an alphabet that no URL escapes, each another."""
    fill(store, now=NOW)
    values = [store.text(name) for name in PRODUCTION_SECRETS]
    assert all(re.fullmatch(r"[\w-]{43}", value, re.ASCII) for value in values)
    assert len(set(values)) == len(values)


def test_what_is_there_stays(store: Store) -> None:
    """A password of one's own is kept; an empty file is no password."""
    store.write("REDIS_PASSWORD", b"my-own-password-of-redis")
    store.write("ADMIN_PASSWORD", b"")
    made = fill(store, now=NOW)
    assert store.text("REDIS_PASSWORD") == "my-own-password-of-redis"
    assert "REDIS_PASSWORD" not in made
    assert len(store.text("ADMIN_PASSWORD")) == 43
    assert not store.add("ADMIN_PASSWORD", b"another")


def test_certificates_are_signed_for_their_servers(store: Store) -> None:
    """Each by the store's own authority, for the name that clients use and for loopback."""
    fill(store, now=NOW)
    authority = x509.load_pem_x509_certificate(store.read("internal-ca.pem") or b"")
    for server in SERVERS:
        certificate = x509.load_pem_x509_certificate(store.read(f"tls/{server}.crt") or b"")
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [server, "localhost"]


def test_an_interrupted_certificate_is_made_anew(store: Store) -> None:
    """A key without its certificate is a beginning; a lost authority takes what it signed with it."""
    fill(store, now=NOW)
    (store.folder / "tls/redis.crt").unlink()
    assert sorted(fill(store, now=NOW)) == ["tls/redis.crt", "tls/redis.key"]
    (store.folder / "internal-ca.pem").unlink()
    assert len(fill(store, now=NOW)) == 11


def test_an_unfit_folder_is_refused(tmp_path: Path, store: Store) -> None:
    """One that others can read, a link, a file: each named with its cure."""
    store.folder.mkdir(parents=True, mode=0o755)
    assert [(one.fault, one.cure) for one in folder_findings(store.folder)] == [
        ("other users of this host can read it", f"chmod 700 {store.folder}")
    ]
    with pytest.raises(SettingsError, match="cannot hold secrets as it is"):
        fill(store, now=NOW)
    link = tmp_path / "link"
    link.symlink_to(store.folder)
    assert [one.fault for one in folder_findings(link)] == ["a symbolic link"]
    (tmp_path / "file").touch()
    assert [one.fault for one in folder_findings(tmp_path / "file")] == ["not a folder"]
    assert folder_findings(tmp_path / "new") == []


def test_open_files_and_links_are_found(store: Store) -> None:
    """A file that others can read, and one that is somewhere else in truth."""
    fill(store, now=NOW)
    (store.folder / "ADMIN_PASSWORD").chmod(0o644)
    (store.folder / "MONGODB_KEY").unlink()
    (store.folder / "MONGODB_KEY").symlink_to("/dev/null")
    assert [(one.where.rpartition("/")[2], one.fault) for one in file_findings(store)] == [
        ("ADMIN_PASSWORD", "other users of this host can read it"),
        ("MONGODB_KEY", "a symbolic link"),
    ]
