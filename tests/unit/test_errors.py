"""Errors: what people read, and the exit codes that scripts rely on."""

from __future__ import annotations

import pytest

from cotai_tasks import errors
from cotai_tasks.errors import CotaiError, Finding, nearest


def test_every_error_has_its_own_exit_code() -> None:
    """A script can tell what went wrong by the exit code; these are published and never change."""
    assert {one.__name__: one.code for one in CotaiError.__subclasses__() if one.__module__ == errors.__name__} == {
        "UsageError": 2,
        "SettingsError": 3,
        "EngineError": 4,
        "BuildError": 5,
        "UnhealthyError": 6,
        "LockedError": 7,
        "PreflightError": 8,
        "RegistryError": 9,
        "RefusedError": 10,
        "DatabaseError": 11,
        "CertificateError": 12,
        "BackupError": 13,
        "StoreError": 14,
        "IntegrityError": 15,
        "IdentityError": 16,
        "StaleError": 17,
        "FindingsError": 18,
        "VerdictError": 19,
    }


def test_a_finding_is_one_line() -> None:
    """Where, what, and the cure."""
    assert str(Finding("env:3 PORT", "taken", "Choose another.")) == "env:3 PORT: taken. Choose another."


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("bakend", "Did you mean backend?"),
        ("redis-cach", "Did you mean redis-cache?"),
        ("xyz", "Known: backend, redis, redis-cache."),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, cure: str) -> None:
    """A mistyped name is answered with what was probably meant, or with all that there is."""
    assert nearest(name, {"redis-cache", "redis", "backend"}) == cure
