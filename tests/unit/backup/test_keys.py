"""Which identity opens a backup, found out before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks.age import key_id, make_identity
from cotai_tasks.backup.keys import open_identities
from cotai_tasks.errors import IdentityError
from cotai_tasks.testing import RecordingConsole
from tests.unit.backup.catalogues import manifest
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.age import Identity

BACKUP = "20261123T073840Z-7c8255"


def opened(folder: Path, *held: Identity, recipients: tuple[str, ...]) -> list[str]:
    """Open a backup for these recipients with a file of these identities."""
    (folder / "keys.txt").write_text("".join(f"{one}\n" for one in held))
    meant = manifest(BACKUP, encrypted=True, recipients=recipients)
    given = settings().model_copy(update={"directory": folder})
    found = open_identities(meant, "keys.txt", settings=given, console=RecordingConsole())
    return [str(one) for one in found]


def test_an_identity_that_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    """The manifest says for whom the backup is; one of several that fits is enough."""
    mine, other = make_identity(), make_identity()
    recipients = (key_id(str(mine.to_public())),)
    assert opened(tmp_path, other, mine, recipients=recipients) == [str(other), str(mine)]
    with pytest.raises(IdentityError, match=f"backup {BACKUP} was not encrypted for the identity keys.txt"):
        opened(tmp_path, other, recipients=recipients)


def test_no_identity_is_needed_for_a_plain_backup_and_one_for_any_other() -> None:
    """Where it is missing, it is said how it is named."""
    console = RecordingConsole()
    assert open_identities(manifest(BACKUP), "", settings=settings(), console=console) == []
    with pytest.raises(IdentityError, match="no identity is named"):
        open_identities(manifest(BACKUP, encrypted=True), "", settings=settings(), console=console)
