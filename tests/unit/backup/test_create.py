"""What kind of backup the flags ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup.create import Wish
from cotai_tasks.backup.manifest import DEFAULT_COMPONENTS
from cotai_tasks.errors import IdentityError, UsageError
from cotai_tasks.settings import load_settings
from tests.unit.backup.pipes import RECIPIENT

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.settings import Settings

NOTHING = {"encrypt": False, "plain": False, "only": "", "recipients": (), "tag": "", "store": "", "level": 3}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of a development stack."""
    return load_settings(tmp_path, "dev", environ={})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"encrypt": True, "plain": True}, "--encrypt and --plain exclude"),
        ({"recipients": [RECIPIENT], "plain": True}, "--recipient and --plain exclude"),
        ({"level": 20}, "--level 20"),
        ({"tag": "before the fair"}, "--tag before the fair"),
        ({"tag": "../x"}, "--tag ../x"),
        ({"only": "postgress"}, "postgress"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: Settings, flags: dict[str, object], said: str) -> None:
    """Before anything is opened."""
    with pytest.raises(UsageError, match=said):
        Wish.of(settings, **{**NOTHING, **flags})  # type: ignore[arg-type]


def test_who_asks_for_encryption_names_somebody(settings: Settings) -> None:
    """Never in plain by accident."""
    with pytest.raises(IdentityError):
        Wish.of(settings, **{**NOTHING, "encrypt": True})  # type: ignore[arg-type]


def test_only_a_whole_one_in_its_usual_store_counts(settings: Settings) -> None:
    """An alarm about the last backup must not be silenced by a part of one, or by one that lies elsewhere."""
    whole, part, elsewhere = (
        Wish.of(settings, **{**NOTHING, **flags})  # type: ignore[arg-type]
        for flags in ({"tag": "v1.2_rc-1"}, {"only": "redis"}, {"store": "/mnt/usb"})
    )
    assert whole.components == DEFAULT_COMPONENTS
    assert (whole.counts, part.counts, elsewhere.counts) == (True, False, False)
    assert (part.complete, elsewhere.complete) == (False, True)
