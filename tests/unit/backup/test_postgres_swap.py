"""Which database is which, by its name alone, and how they change places."""

from __future__ import annotations

import pytest

from cotai_tasks.backup.components.postgres_swap import Beside, beside, name_beside, placing, rename_script, returning
from cotai_tasks.errors import BackupError

ID = "20261123T073840Z-0a1b2c"
OTHER = "20261124T073840Z-0a1b2c"
STAGED = "cotai__restore_20261123T073840Z_0a1b2c"
BEFORE = "cotai__before_20261123T073840Z_0a1b2c"


def test_a_name_is_read_as_it_was_made() -> None:
    """Of one backup or of all; what only looks like one is somebody's own database."""
    names = [
        "cotai",
        STAGED,
        "a__before_20261124T073840Z_0a1b2c",
        "x__restore_now",
        "__restore_20261123T073840Z_0a1b2c",
    ]
    assert name_beside("cotai", "restore", ID) == STAGED
    ours, theirs = Beside(STAGED, "cotai", "restore", ID), Beside(names[2], "a", "before", OTHER)
    assert beside(names) == [ours, theirs]
    assert beside(names, ID) == [ours]


def test_a_name_that_would_be_cut_off_is_refused() -> None:
    """PostgreSQL keeps 63 bytes, not characters."""
    assert len(name_beside("n" * 30, "restore", ID)) == 63
    with pytest.raises(BackupError, match="too long"):
        name_beside("n" * 28 + "ü" * 2, "restore", ID)


def test_placing_and_returning_undo_one_another() -> None:
    """What was staged is live, what was live is kept; and back again, with the restored data beside."""
    names = {"cotai", STAGED}
    assert placing(names, ID) == [("cotai", BEFORE), (STAGED, "cotai")]
    assert placing(names, OTHER) == []
    assert returning(names, ID) == []
    assert returning({"cotai", BEFORE}, ID) == [("cotai", STAGED), (BEFORE, "cotai")]
    assert returning({BEFORE}, ID) == [(BEFORE, "cotai")]


def test_the_script_renames_all_or_none_and_always_lets_everybody_in() -> None:
    """Nobody connects meanwhile, nobody is waited for for ever, odd names are quoted."""
    lines = rename_script([('o"d', "it's"), (STAGED, 'o"d')]).splitlines()
    known = f"""datname IN ('{STAGED}', 'it''s', 'o"d')"""
    assert [line.split(";")[0] for line in lines] == [
        "SELECT pg_advisory_lock(427071660393)",
        'ALTER DATABASE "o""d" ALLOW_CONNECTIONS false',
        f'ALTER DATABASE "{STAGED}" ALLOW_CONNECTIONS false',
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {known}",
        f"SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE {known}",
        "BEGIN",
        'ALTER DATABASE "o""d" RENAME TO "it\'s"',
        f'ALTER DATABASE "{STAGED}" RENAME TO "o""d"',
        "COMMIT",
        "SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database",
        f"    WHERE {known} AND NOT datallowconn \\gexec",
    ]


def test_opening_alone_sends_nobody_away() -> None:
    """After a kill before the swap there is nothing to rename, and nobody to terminate."""
    script = rename_script([], also_open=["cotai"])
    assert "terminate" not in script
    assert "datname IN ('cotai')" in script
