"""`backup.keygen`: a new key pair, and what to do with its halves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyrage  # type: ignore[import-untyped]
import pytest

from cotai_tasks.age import key_id, read_identities, read_recipients
from cotai_tasks.backup.keygen import Key, keygen
from cotai_tasks.backup.signing import fingerprint, signing_key
from cotai_tasks.errors import RefusedError, UsageError
from cotai_tasks.testing import RecordingConsole
from tests.unit.deploy.stacks import settings as plain_settings

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.settings import Settings


class Typing(RecordingConsole):
    """A console at which somebody types these passphrases."""

    def __init__(self, *typed: str) -> None:
        super().__init__()
        self._typed = [*typed]

    def password(self, question: str) -> str:  # noqa: ARG002
        return self._typed.pop(0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return plain_settings().model_copy(update={"directory": tmp_path})


def test_the_key_opens_what_is_encrypted_for_it(tmp_path: Path, settings: Settings) -> None:
    """Its file is as of age-keygen, for its owner alone; what is to be kept is said, the key itself is not."""
    console, path = RecordingConsole(), tmp_path / "recovery.key"
    key = keygen(output=str(path), passphrase=False, settings=settings, console=console)
    assert key == Key(
        path, key.recipient, key_id(key.recipient), fingerprint(signing_key(tmp_path / "env/secrets/backup"))
    )
    assert path.stat().st_mode & 0o777 == 0o600
    secret = pyrage.encrypt(b"rows", [*read_recipients([key.recipient], tmp_path).values()])
    assert pyrage.decrypt(secret, read_identities(path, str)) == b"rows"
    lines = path.read_text().splitlines()
    assert (lines[0][:11], lines[1]) == ("# created: ", f"# public key: {key.recipient}")
    said = console.text()
    assert f"echo {key.recipient} >> {tmp_path}/env/recipients.txt\n" in said
    assert all(text in said for text in (str(path), key.id, key.signer))
    assert lines[2] not in said


def test_a_passphrase_wraps_it(tmp_path: Path, settings: Settings) -> None:
    """It is text that `age` asks the passphrase for; nothing of the key is readable."""
    path = tmp_path / "recovery.key"
    key = keygen(output=str(path), passphrase=True, settings=settings, console=Typing("correct horse", "correct horse"))
    assert path.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----\n")
    (identity,) = read_identities(path, lambda: "correct horse")
    assert str(identity.to_public()) == key.recipient


@pytest.mark.parametrize(
    ("typed", "fault"), [(("", ""), "an empty passphrase"), (("one", "two"), "passphrases differ")]
)
def test_a_mistyped_passphrase_makes_nothing(
    typed: tuple[str, str], fault: str, tmp_path: Path, settings: Settings
) -> None:
    """Otherwise nobody could ever open it."""
    with pytest.raises(UsageError, match=fault):
        keygen(output=str(tmp_path / "key"), passphrase=True, settings=settings, console=Typing(*typed))
    assert not (tmp_path / "key").exists()


def test_nobody_types_without_a_terminal(tmp_path: Path, settings: Settings) -> None:
    """A script that asks for a passphrase is refused, and makes nothing."""
    with pytest.raises(RefusedError, match="Nobody is here to answer"):
        keygen(output=str(tmp_path / "key"), passphrase=True, settings=settings, console=RecordingConsole())
    assert not (tmp_path / "key").exists()


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path, settings: Settings) -> None:
    """It may be the only key to every backup; nor is a folder made that nobody asked for."""
    path = tmp_path / "recovery.key"
    path.write_text("an older key")
    with pytest.raises(UsageError, match="File exists"):
        keygen(output=str(path), passphrase=False, settings=settings, console=RecordingConsole())
    assert path.read_text() == "an older key"
    with pytest.raises(UsageError, match="No such file or directory"):
        keygen(
            output=str(tmp_path / "usb/recovery.key"), passphrase=False, settings=settings, console=RecordingConsole()
        )


def test_it_goes_into_the_home_folder(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no other file is named: in the project it might be committed."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    key = keygen(output="", passphrase=False, settings=settings, console=RecordingConsole())
    assert key.path == tmp_path / "home/cotai-dev-backup.key"
    assert key.path.is_file()
