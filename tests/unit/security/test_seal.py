"""`security.seal` and `security.unseal`: one encrypted file, and everything back from it."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pyrage  # type: ignore[import-untyped]
import pytest

from cotai_tasks.errors import IdentityError, RefusedError, SettingsError, UsageError
from cotai_tasks.security.seal import SEALED, seal, unpack, unseal
from cotai_tasks.security.store import Store, expected_files
from cotai_tasks.testing import RecordingConsole
from tests.unit.security.production import filled_settings

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-of-redis-0123456789"


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """Give a key as age-keygen writes it, and its recipient in the project's list."""
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "env").mkdir()
    (tmp_path / "env/.env.production").write_text("SERVER_NAME=cotai.example.org\n")
    (tmp_path / "env/recipients.txt").write_text(f"# operations\n{key.to_public()}\n")
    path = tmp_path / "key.txt"
    path.write_text(f"# created: today\n{key}\n")
    Store(tmp_path / "env/secrets").write("REDIS_PASSWORD", CANARY.encode())
    return path


def sealed(directory: Path, *recipients: str) -> str:
    console = RecordingConsole()
    seal(recipients=recipients, settings=filled_settings(directory), console=console)
    return console.text()


def restored(directory: Path, identity: Path, *, yes: bool = False, secrets: str = "") -> tuple[tuple[str, ...], str]:
    console = RecordingConsole()
    result = unseal(identity=str(identity), yes=yes, secrets=secrets, directory=directory, console=console)
    return result.restored, console.text()


def test_what_was_sealed_comes_back(tmp_path: Path, identity: Path) -> None:
    """Every file with its content, private again; nothing of it is readable in the sealed file."""
    assert sealed(tmp_path) == f"✓ sealed for 1 recipient: git add {SEALED}, then commit it\n"
    assert CANARY.encode() not in (tmp_path / SEALED).read_bytes()
    before = {path: path.read_bytes() for path in Store(tmp_path / "env/secrets").files().values()}
    for path in [*before, tmp_path / "env/.env.production"]:
        path.unlink()
    with pytest.raises(RefusedError, match="Write 22 files as they were sealed"):
        restored(tmp_path, identity)
    assert not (tmp_path / "env/secrets/ADMIN_PASSWORD").exists()
    names, said = restored(tmp_path, identity, yes=True)
    assert f"would make {tmp_path}/env/secrets/ADMIN_PASSWORD\n" in said
    assert len(names) == len(expected_files()) + 1
    state = tmp_path / "env/secrets/sealed.json"
    assert {path: path.read_bytes() for path in before if path != state} == {
        path: content for path, content in before.items() if path != state
    }
    assert {path.stat().st_mode & 0o777 for path in before if path != state} == {0o600}
    assert (tmp_path / "env/.env.production").stat().st_mode & 0o777 == 0o600
    assert "nothing to do: 22 files are as they were sealed" in restored(tmp_path, identity)[1]


def test_sealing_again_changes_nothing(tmp_path: Path, identity: Path) -> None:
    """Encryption is another each time: the file is left alone while it holds the same for the same people."""
    sealed(tmp_path)
    before = (tmp_path / SEALED).read_bytes()
    assert sealed(tmp_path).startswith("✓ nothing to do")
    assert (tmp_path / SEALED).read_bytes() == before
    Store(tmp_path / "env/secrets").write("ADMIN_PASSWORD", b"another-password-of-admin")
    assert sealed(tmp_path).startswith("✓ sealed for 1")
    assert identity.exists()


def test_the_private_key_is_asked_for(tmp_path: Path) -> None:
    """Forgetting the flag is no bug of ours."""
    with pytest.raises(UsageError, match="no private key is named"):
        unseal(identity="", directory=tmp_path, console=RecordingConsole())


def test_what_differs_is_not_replaced_without_a_question(tmp_path: Path, identity: Path) -> None:
    """It is named; with --yes it is as it was sealed."""
    sealed(tmp_path)
    store = Store(tmp_path / "env/secrets")
    store.write("REDIS_PASSWORD", b"a-later-password")
    with pytest.raises(RefusedError, match="Write 1 files as they were sealed"):
        restored(tmp_path, identity)
    assert store.text("REDIS_PASSWORD") == "a-later-password"
    names, said = restored(tmp_path, identity, yes=True)
    assert names == ("env/secrets/REDIS_PASSWORD",)
    assert store.text("REDIS_PASSWORD") == CANARY
    assert CANARY not in said


def test_the_wrong_key_opens_nothing(tmp_path: Path, identity: Path) -> None:
    """Nor does a damaged file; neither says what is in it."""
    sealed(tmp_path)
    other = tmp_path / "other.txt"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(SettingsError, match="was not sealed for"):
        restored(tmp_path, other)
    raw = (tmp_path / SEALED).read_bytes()
    (tmp_path / SEALED).write_bytes(raw[:-20])
    with pytest.raises(SettingsError, match="or is damaged"):
        restored(tmp_path, identity)


@pytest.mark.parametrize("name", ["/etc/passwd", "env/secrets/../../.bashrc", "env/.env.development", "tasks.py"])
def test_a_path_that_leads_elsewhere_is_refused(name: str) -> None:
    """Whoever made the archive does not choose where files go."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(SettingsError, match="does not belong there"):
        unpack(paper.getvalue())


def test_a_link_is_refused() -> None:
    """A file through a link would be somewhere else."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as archive:
        member = tarfile.TarInfo("env/secrets/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member)
    with pytest.raises(SettingsError, match="does not belong there"):
        unpack(paper.getvalue())


def test_recipients_and_identities_are_checked(tmp_path: Path, identity: Path) -> None:
    """Before anything is written: none, a wrong one, a file that is no key or is not there."""
    with pytest.raises(UsageError, match="--recipient: age1nonsense is no public key"):
        sealed(tmp_path, "age1nonsense")
    (tmp_path / "env/recipients.txt").unlink()
    with pytest.raises(IdentityError, match="no recipient"):
        sealed(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        restored(tmp_path, identity)
    sealed(tmp_path, str(pyrage.x25519.Identity.generate().to_public()))
    for path, fault in ((tmp_path / "env/.env.production", "not a private key"), (tmp_path / "none", "No such file")):
        with pytest.raises(IdentityError, match=fault):
            restored(tmp_path, path)


@pytest.mark.parametrize("folder", ["{}/elsewhere", "../elsewhere", ".", ".git/hooks", "link/folder"])
def test_the_sealed_file_does_not_choose_a_place(tmp_path: Path, identity: Path, folder: str) -> None:
    """Whoever has a public key can make one: outside the project only a folder that this host names is written to."""
    project = tmp_path / "project"
    for one in (project, tmp_path / "elsewhere"):
        one.mkdir(mode=0o700)
    (tmp_path / "env").rename(project / "env")
    (project / "link").symlink_to(tmp_path / "elsewhere")
    (project / ".git").mkdir()
    env_file = project / "env/.env.production"
    env_file.write_text(f"SERVER_NAME=cotai.example.org\nCOTAI_SECRETS={folder.format(tmp_path)}\n")
    sealed(project)
    env_file.unlink()
    with pytest.raises(RefusedError, match="nothing on this host names that folder"):
        restored(project, identity, yes=True)
    assert (list((tmp_path / "elsewhere").iterdir()), env_file.exists()) == ([], False)


def test_a_folder_that_this_host_names_is_used(tmp_path: Path, identity: Path) -> None:
    """In its own env file, or in the environment of the command."""
    project, folder = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    (tmp_path / "env").rename(project / "env")
    env_file = project / "env/.env.production"
    env_file.write_text(f"SERVER_NAME=cotai.example.org\nCOTAI_SECRETS={folder}\n")
    sealed(project)
    assert f"{folder}/ADMIN_PASSWORD" in restored(project, identity, yes=True)[1]
    env_file.unlink()
    restored(project, identity, yes=True, secrets=str(folder))
    assert env_file.exists()


def test_the_env_file_in_use_is_sealed(tmp_path: Path, identity: Path) -> None:
    """INVOKE_COTAI_ENV_FILE names another than the usual one."""
    given = filled_settings(tmp_path).model_copy(update={"env_file": tmp_path / "other.env"})
    given.env_file.write_text("SERVER_NAME=other.example.org\n")
    seal(recipients=(), settings=given, console=RecordingConsole())
    restored(tmp_path, identity, yes=True)
    assert (tmp_path / "env/.env.production").read_text() == "SERVER_NAME=other.example.org\n"
