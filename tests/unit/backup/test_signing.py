"""Who made a backup: keys that are made once, manifests that nobody else can write."""

from __future__ import annotations

import base64
import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cotai_tasks.backup.manifest import FORMAT
from cotai_tasks.backup.signing import (
    SIGNING_KEY,
    TRUSTED,
    fingerprint,
    open_manifest,
    seal_manifest,
    signing_key,
    trusted_signers,
)
from cotai_tasks.errors import IntegrityError, SettingsError, UsageError
from tests.unit.backup.catalogues import NOW, backup_id, manifest, stream

if TYPE_CHECKING:
    from pathlib import Path

KEY = Ed25519PrivateKey.generate()
SIGNER = fingerprint(KEY)
OTHER = fingerprint(Ed25519PrivateKey.generate())
ID = backup_id(NOW)
MADE = manifest(ID, stream(ID, "postgres-cotai", b"rows", facts={"tables": {"öffentlich\n": [1, 2.5, None]}}))


def resealed(**changes: Any) -> bytes:  # noqa: ANN401 - any field
    """Change fields of the envelope, leaving the others as they were."""
    return json.dumps(json.loads(seal_manifest(MADE, KEY)) | changes).encode()


def signed(text: str) -> bytes:
    """Sign a text that is no manifest of ours."""
    return resealed(manifest=text, signature=base64.b64encode(KEY.sign(text.encode())).decode())


def test_a_manifest_comes_back_as_it_was() -> None:
    """Facts of any kind included; the same manifest and key give the same bytes."""
    data = seal_manifest(MADE, KEY)
    assert open_manifest(data, {OTHER, SIGNER}) == MADE
    assert data == seal_manifest(MADE, KEY)
    assert json.loads(json.loads(data)["manifest"])["streams"][0]["facts"] == MADE.streams[0].facts


def test_an_altered_manifest_is_refused() -> None:
    """A byte of its text, its signature, or its key."""
    text = json.loads(seal_manifest(MADE, KEY))["manifest"]
    other = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    wrong = base64.b64encode(bytes(64)).decode()
    for changes in (
        {"manifest": text.replace("postgres-cotai", "postgres-other")},
        {"public_key": other},
        {"signature": wrong},
    ):
        with pytest.raises(IntegrityError, match="altered after it was signed"):
            open_manifest(resealed(**changes), {SIGNER})


@pytest.mark.parametrize(
    "data",
    [
        MADE.model_dump_json().encode(),
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        resealed(signature=""),
        resealed(signature=None),
        resealed(public_key="short"),
        resealed(manifest={}),
        seal_manifest(MADE, KEY)[:-10],
    ],
)
def test_a_manifest_without_a_signature_is_refused(data: bytes) -> None:
    """Whatever stands there instead."""
    with pytest.raises(IntegrityError, match=r"its manifest (is not signed|was altered)"):
        open_manifest(data, {SIGNER})


def test_a_signer_whom_nobody_knows_is_named() -> None:
    """With what to do if it is the right one: on a fresh host it is."""
    with pytest.raises(IntegrityError, match=re.escape(f"signed by {SIGNER}, which is not known here")) as caught:
        open_manifest(seal_manifest(MADE, KEY), {OTHER})
    assert f"--signer {SIGNER}" in caught.value.cure


def test_a_newer_format_is_refused() -> None:
    """Even where nothing else of it can be read."""
    with pytest.raises(IntegrityError, match=f"has format {FORMAT + 1}, and this version reads up to {FORMAT}"):
        open_manifest(signed(json.dumps({"format": FORMAT + 1, "volumes": "another world"})), {SIGNER})


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", "{", '{"format": "x"}', '{"format": 1}', '{"format": 1, "id": 7}']
)
def test_what_is_signed_and_no_manifest_is_refused(text: str) -> None:
    """As damage, which a list shows: any other error would end it, and hide all the others."""
    with pytest.raises(IntegrityError, match="signed and cannot be read"):
        open_manifest(signed(text), {SIGNER})


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """Readable by nobody else, nor is its folder; of many commands at once all go on with the same."""
    folder = tmp_path / "env/secrets/backup"
    with ThreadPoolExecutor(8) as pool:
        keys = {fingerprint(one) for one in pool.map(signing_key, [folder] * 8)}
    assert keys == {fingerprint(signing_key(folder))}
    assert [path.name for path in folder.iterdir()] == [SIGNING_KEY]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder / SIGNING_KEY, folder, folder.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_the_fingerprint_is_the_one_of_ssh() -> None:
    """`ssh-keygen -l` gave this one for the key."""
    line = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICdYeHlfv0WYmizYf0HKFRErD5UtXtb3AnHqi3SWauLK"
    key = serialization.load_ssh_public_key(line)
    assert fingerprint(key) == "SHA256:sVjVMOEEr9yWlAunVDsO/mQ4UsoO3YiLexkusebH/sM"  # type: ignore[arg-type]


def test_a_file_that_is_no_signing_key_is_named(tmp_path: Path) -> None:
    """It is not replaced: it may be the only one that backups were signed by."""
    path = tmp_path / SIGNING_KEY
    path.write_text("nonsense")
    with pytest.raises(SettingsError, match=r"signing\.key: not a private key"):
        signing_key(tmp_path)
    formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(X25519PrivateKey.generate().private_bytes(*formats))
    with pytest.raises(SettingsError, match="not an Ed25519 key"):
        signing_key(tmp_path)


def test_this_host_and_those_it_names_are_trusted(tmp_path: Path) -> None:
    """Its own key, the file's lines without their remarks, and the one of the command line."""
    (tmp_path / TRUSTED).write_text(f"# the old host\n{OTHER} cotai-old\nnonsense\n\n")
    own = fingerprint(signing_key(tmp_path))
    assert trusted_signers(tmp_path, "") == {own, OTHER}
    assert trusted_signers(tmp_path, SIGNER) == {own, OTHER, SIGNER}
    with pytest.raises(UsageError, match="--signer nonsense is no fingerprint"):
        trusted_signers(tmp_path, "nonsense")


def test_reading_makes_no_key(tmp_path: Path) -> None:
    """A host that only restores has none."""
    assert trusted_signers(tmp_path / "none", SIGNER) == {SIGNER}
    assert list(tmp_path.iterdir()) == []
