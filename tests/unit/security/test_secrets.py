"""`security.secrets`: what is made, what is wrong, and never a value."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.errors import SettingsError, UsageError
from cotai_tasks.security.certificates import INTERNAL_DAYS, Authority, issue, make_authority
from cotai_tasks.security.secrets import (
    check_secrets,
    make_secrets,
    require_one_way,
    secret_folders,
    secret_warnings,
    show_findings,
    show_result,
)
from cotai_tasks.security.store import Store, expected_files
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.variables import PRODUCTION_SECRETS
from tests.unit.deploy.stacks import settings as development
from tests.unit.security.production import IMAGES, NOW, filled_settings, settings

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_ones_are_made_and_named(tmp_path: Path) -> None:
    """The first run names every file; the second has nothing to do; no value is shown."""
    console = RecordingConsole()
    result = make_secrets(now=NOW, settings=settings(tmp_path), console=console)
    assert sorted(result.made) == sorted(expected_files())
    assert "! " not in console.text()
    assert f"21 secrets are new in {tmp_path}/env/secrets (mode 0600)" in console.text()
    second = make_secrets(now=NOW, settings=settings(tmp_path), console=console)
    assert (second.made, len(second.kept)) == ((), 21)
    assert "nothing to do: every secret is in" in console.text()
    show_result(second, as_json=True, console=console)
    values = [settings(tmp_path).variables.plain()[name] for name in PRODUCTION_SECRETS]
    assert [value for value in values if value in console.text()] == []


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    """It names what would be made."""
    console = RecordingConsole()
    make_secrets(dry_run=True, settings=settings(tmp_path), console=console)
    assert console.text().startswith("would make POSTGRES_PASSWORD, POSTGRES_SUPERUSER_PASSWORD, ")
    assert not (tmp_path / "env/secrets").exists()


def test_a_complete_store_has_no_findings(tmp_path: Path) -> None:
    """And the check says so."""
    console = RecordingConsole()
    found = check_secrets(filled_settings(tmp_path), NOW)
    show_findings(found, as_json=False, settings=settings(tmp_path), console=console)
    assert console.text() == f"✓ 21 secrets in {tmp_path}/env/secrets: all well\n"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Missing, too short, a placeholder, the same twice, open to others, no file, signed by somebody else."""
    filled_settings(tmp_path)
    store = Store(tmp_path / "env/secrets")
    store.write("REDIS_PASSWORD", b"short")
    store.write("ADMIN_PASSWORD", b"change-me-before-friday")
    store.write("MONGODB_PASSWORD", store.read("POSTGRES_PASSWORD") or b"")
    store.remove("MONITOR_PASSWORD")
    (store.folder / "REDIS_CACHE_PASSWORD").chmod(0o640)
    store.remove("MONGODB_KEY")
    (store.folder / "MONGODB_KEY").mkdir()
    store.write("tls/redis.crt", make_authority("somebody", now=NOW).certificate_pem)
    found = check_secrets(settings(tmp_path), NOW)
    assert sorted((one.where.removeprefix(f"{store.folder}/"), one.fault) for one in found) == [
        ("ADMIN_PASSWORD", "a placeholder, not a secret"),
        ("MONGODB_KEY", "cannot be read"),
        ("MONGODB_PASSWORD", "the same as POSTGRES_PASSWORD"),
        ("MONITOR_PASSWORD", "missing"),
        ("REDIS_CACHE_PASSWORD", "other users of this host can read it"),
        ("REDIS_PASSWORD", "shorter than 16 characters"),
        ("tls/redis.crt", "no certificate that internal-ca signed"),
    ]
    console = RecordingConsole()
    with pytest.raises(SettingsError, match="the secrets have 7 faults") as caught:
        show_findings(found, as_json=True, settings=settings(tmp_path), console=console)
    assert len(json.loads(console.text())["findings"]) == len(caught.value.findings) == 7
    assert store.text("POSTGRES_PASSWORD") not in console.text()


@pytest.mark.parametrize(
    ("days", "faults", "warnings"),
    [(INTERNAL_DAYS + 1, 1, 0), (INTERNAL_DAYS - 10, 0, 1), (0, 0, 0)],
)
def test_an_authority_that_ends_is_found(tmp_path: Path, days: int, faults: int, warnings: int) -> None:
    """Twenty days before is a warning, that stops nothing; its end is a fault, and what it signed ends with it."""
    given, now = filled_settings(tmp_path), NOW + timedelta(days=days)
    found = check_secrets(given, now), secret_warnings(given, now)
    assert tuple(map(len, found)) == (faults, warnings)
    for one in (*found[0], *found[1]):
        assert one.where.endswith("/internal-ca.pem")
        assert one.fault == "valid until 2036-11-20 only"
        assert one.cure.startswith("Remove internal-ca.pem: inv security.secrets makes it and all that it signed anew.")


@pytest.mark.parametrize(("days", "faults", "warnings"), [(31, 1, 0), (15, 0, 1), (5, 0, 0)])
def test_a_certificate_that_ends_is_found(tmp_path: Path, days: int, faults: int, warnings: int) -> None:
    """The same for one server's own."""
    given, store = filled_settings(tmp_path), Store(tmp_path / "env/secrets")
    authority = Authority(store.read("internal-ca.pem") or b"", store.read("internal-ca.key") or b"")
    store.write("tls/redis.crt", issue(authority, ["redis"], days=30, now=NOW).chain_pem)
    now = NOW + timedelta(days=days)
    found = check_secrets(given, now), secret_warnings(given, now)
    assert tuple(map(len, found)) == (faults, warnings)
    assert all(one.where.endswith("/tls/redis.crt") for one in (*found[0], *found[1]))


def test_an_open_folder_is_the_first_finding(tmp_path: Path) -> None:
    """What lies in it counts as read by others."""
    filled_settings(tmp_path)
    (tmp_path / "env/secrets").chmod(0o755)
    assert [one.fault for one in check_secrets(settings(tmp_path))] == ["other users of this host can read it"]


def test_a_secret_of_the_environment_needs_no_file(tmp_path: Path) -> None:
    """A CI runner has it in a variable."""
    given = filled_settings(tmp_path)
    Store(tmp_path / "env/secrets").remove("ADMIN_PASSWORD")
    assert check_secrets(given, NOW) == []
    assert secret_folders(given, IMAGES)["secrets/grafana"]["ADMIN_PASSWORD"].uid == 472


def test_folders_are_not_made_of_half_the_secrets(tmp_path: Path) -> None:
    """Every missing one is named."""
    filled_settings(tmp_path)
    store = Store(tmp_path / "env/secrets")
    for name in ("ADMIN_PASSWORD", "tls/redis.key"):
        store.remove(name)
    with pytest.raises(SettingsError, match="not complete") as caught:
        secret_folders(settings(tmp_path), IMAGES)
    assert [one.where.rpartition("secrets/")[2] for one in caught.value.findings] == ["ADMIN_PASSWORD", "tls/redis.key"]


def test_development_has_none(tmp_path: Path) -> None:
    """Its passwords are public, and stand in its env file."""
    with pytest.raises(UsageError, match="development has no secret files") as caught:
        make_secrets(settings=development(), console=RecordingConsole())
    assert caught.value.cure == "Its passwords stand in env/.env.development."
    with pytest.raises(UsageError, match="exclude one another"):
        require_one_way(settings(tmp_path), check=True, rotate="REDIS_PASSWORD", finish="")
