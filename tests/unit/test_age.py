"""Recipients and identities: which texts and files are keys, and what is said of those that are not."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pyrage  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cotai_tasks.age import RECIPIENTS, key_id, make_identity, read_identities, read_recipients
from cotai_tasks.errors import IdentityError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

AGE = make_identity()
SSH = Ed25519PrivateKey.generate()
SSH_PUBLIC = SSH.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
SSH_FILE = SSH.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
)


def ask() -> str:
    """Make sure that nobody is asked."""
    raise AssertionError


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Give a project whose list names two recipients."""
    path = tmp_path / RECIPIENTS
    path.parent.mkdir()
    path.write_text(f"# operations\n{AGE.to_public()}\n\n  {SSH_PUBLIC} somebody@laptop\n")
    return tmp_path


def opened(directory: Path, *given: str) -> list[bool]:
    """Tell which of the two identities open what is encrypted for the recipients."""
    secret = pyrage.encrypt(b"secret", [*read_recipients(given, directory).values()])
    found = []
    for identity in (AGE, pyrage.ssh.Identity.from_buffer(SSH_FILE)):
        try:
            found.append(pyrage.decrypt(secret, [identity]) == b"secret")
        except pyrage.DecryptError:
            found.append(False)
    return found


def test_the_projects_list_is_read_where_nobody_is_named(listed: Path) -> None:
    """Without remarks and empty lines; both kinds of keys."""
    assert list(read_recipients((), listed)) == [str(AGE.to_public()), SSH_PUBLIC]
    assert opened(listed) == [True, True]


def test_who_is_named_stands_for_the_list(listed: Path) -> None:
    """An age key, an SSH key with its remark; the same twice is one."""
    assert opened(listed, str(AGE.to_public())) == [True, False]
    assert opened(listed, f"{SSH_PUBLIC} me@host") == [False, True]
    assert list(read_recipients([SSH_PUBLIC, f"{SSH_PUBLIC} me@host"], listed)) == [SSH_PUBLIC]


def test_without_a_recipient_nothing_is_encrypted(tmp_path: Path) -> None:
    """A missing list, and one of remarks alone: the error says how to name one."""
    for text in (None, "# nobody yet\n"):
        if text:
            (tmp_path / "env").mkdir()
            (tmp_path / RECIPIENTS).write_text(text)
        with pytest.raises(IdentityError, match="no recipient") as caught:
            read_recipients((), tmp_path)
        assert caught.value.cure.endswith(f"or list them in {RECIPIENTS}.")


def test_a_text_that_is_no_key_is_refused(listed: Path) -> None:
    """It says where that stands."""
    with pytest.raises(UsageError, match=r"--recipient: age1nonsense is no public key"):
        read_recipients(["age1nonsense"], listed)
    (listed / RECIPIENTS).write_text("ssh-ed25519 nonsense\n")
    with pytest.raises(UsageError, match=r"env/recipients\.txt: ssh-ed25519 nonsense is no public key"):
        read_recipients((), listed)


def test_a_private_key_is_never_shown(listed: Path) -> None:
    """Whoever mistakes it for the public one finds it in no message."""
    with pytest.raises(UsageError) as caught:
        read_recipients([str(AGE)], listed)
    assert str(AGE) not in f"{caught.value} {caught.value.cure}"


def test_a_key_is_known_by_its_id() -> None:
    """16 digits of its hash, whatever remark follows it."""
    text = str(AGE.to_public())
    assert key_id(text) == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert key_id(f"{SSH_PUBLIC} me@host") == key_id(SSH_PUBLIC)


def test_identities_are_read_from_files(tmp_path: Path) -> None:
    """Those of age-keygen, several in one file, and those of SSH."""
    other = make_identity()
    path = tmp_path / "key"
    path.write_text(f"# created: today\n{AGE}\n# another\n{other}\n")
    secret = pyrage.encrypt(b"secret", [other.to_public()])
    identities = read_identities(path, ask)
    assert (len(identities), pyrage.decrypt(secret, identities)) == (2, b"secret")
    path.write_bytes(SSH_FILE)
    secret = pyrage.encrypt(b"secret", [pyrage.ssh.Recipient.from_str(SSH_PUBLIC)])
    assert pyrage.decrypt(secret, read_identities(str(path), ask)) == b"secret"


def test_a_passphrase_opens_an_identity(tmp_path: Path) -> None:
    """As `age --passphrase` writes it, in text and in binary; another passphrase does not."""
    path = tmp_path / "key"
    text = pyrage.passphrase.encrypt(f"{AGE}\n".encode(), "correct horse", armored=True)
    secret = pyrage.encrypt(b"secret", [AGE.to_public()])
    for wrapped in (text, base64.b64decode(b"".join(text.splitlines()[1:-1]))):
        path.write_bytes(wrapped)
        assert pyrage.decrypt(secret, read_identities(path, lambda: "correct horse")) == b"secret"
    with pytest.raises(IdentityError, match="another passphrase opens it, or it is damaged"):
        read_identities(path, lambda: "battery staple")


def test_a_file_without_an_identity_is_named(tmp_path: Path) -> None:
    """One that is not there, that is a folder, that holds something else, that SSH's own passphrase protects."""
    with pytest.raises(IdentityError, match="none: No such file"):
        read_identities(tmp_path / "none", ask)
    with pytest.raises(IdentityError, match="Is a directory"):
        read_identities(tmp_path, ask)
    path = tmp_path / "key"
    for text in ("nonsense", f"{AGE}X"):
        path.write_text(text)
        with pytest.raises(IdentityError, match="not a private key of age or SSH") as caught:
            read_identities(path, ask)
        assert text not in str(caught.value)


def test_an_ssh_key_with_a_passphrase_is_explained(tmp_path: Path) -> None:
    """SSH's own wrapping is not read: the error says how to take it off."""
    path = tmp_path / "key"
    fields = (b"aes256-ctr", b"bcrypt", _field(bytes(16)) + (16).to_bytes(4, "big"))
    public = _field(b"ssh-ed25519") + _field(SSH.public_key().public_bytes_raw())
    content = b"openssh-key-v1\0" + b"".join(map(_field, fields)) + (1).to_bytes(4, "big") + _field(public)
    kind = "OPENSSH PRIVATE KEY"
    path.write_text(
        f"-----BEGIN {kind}-----\n{base64.b64encode(content + _field(bytes(144))).decode()}\n-----END {kind}-----\n"
    )
    with pytest.raises(IdentityError, match="an SSH key that is protected by a passphrase") as caught:
        read_identities(path, ask)
    assert "ssh-keygen -p" in caught.value.cure


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
