"""How far a backup was proved good, when, and what came of it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cotai_tasks.backup.signing import seal, unseal
from cotai_tasks.errors import Finding, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cotai_tasks.backup.manifest import Manifest

Level = Literal["quick", "data", "decrypt", "restore"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the shallowest: sizes by listing, hashes of what is stored, hashes of what was dumped, loaded and compared.

Each proves all that those before it do.
"""


class Verification(BaseModel):
    """One look at one backup, as it is written down beside it."""

    model_config = ConfigDict(frozen=True)

    level: Level
    ok: bool
    at: datetime
    """When it ended."""
    seconds: float
    host: str
    findings: tuple[str, ...] = ()

    @classmethod
    def now(cls, level: Level, *, seconds: float, findings: Sequence[str] = ()) -> Self:
        """Tell what was found just now, on this host."""
        return cls(
            level=level,
            ok=not findings,
            at=datetime.now(UTC),
            seconds=seconds,
            host=socket.gethostname(),
            findings=tuple(findings),
        )

    @property
    def name(self) -> str:
        """The name of its record: two of one second do not meet."""
        return f"{self.at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"


class _Record(BaseModel):
    """What is signed of a verification: that of one backup must not pass for another's."""

    stack: str
    backup: str
    verification: Verification


def seal_verification(verification: Verification, stack: str, backup: str, key: Ed25519PrivateKey) -> bytes:
    """Give a verification as it is stored beside its backup."""
    return seal("verification", _Record(stack=stack, backup=backup, verification=verification).model_dump_json(), key)


def open_verification(data: bytes, stack: str, backup: str, trusted: Collection[str]) -> Verification:
    """Read one that is stored; raise `IntegrityError` unless a trusted signer wrote it of this backup."""
    try:
        found = _Record.model_validate_json(unseal("verification", data, trusted))
    except ValidationError as error:
        raise IntegrityError("its verification cannot be read") from error
    if (found.stack, found.backup) != (stack, backup):
        raise IntegrityError(f"its verification is that of {found.stack} {found.backup}")
    return found.verification


def last_by_level(found: Iterable[Verification]) -> dict[Level, Verification]:
    """Give the last verification of each level, the shallowest first; the names of their files are nobody's word."""
    newest = {one.level: one for one in sorted(found, key=lambda one: one.at)}
    return {level: newest[level] for level in LEVELS if level in newest}


def deepest(verified: dict[Level, Verification]) -> Verification | None:
    """Give the verification that proved most; None where none succeeded."""
    return next((one for one in reversed(verified.values()) if one.ok), None)


def failure(verified: dict[Level, Verification]) -> Verification | None:
    """Give the failed verification that stands: none has succeeded since that looked as closely."""
    for level, one in verified.items():
        deeper = (verified[other] for other in LEVELS[LEVELS.index(level) :] if other in verified)
        if not one.ok and not any(later.ok and later.at > one.at for later in deeper):
            return one
    return None


def compare_sizes(manifest: Manifest, sizes: Mapping[str, int]) -> list[Finding]:
    """Say which objects are not there in the size that the manifest says."""
    cure = "Use another backup: inv backup.list."
    return [
        Finding(one.key, "missing" if found is None else f"{found} bytes instead of {one.bytes}", cure)
        for stream in manifest.streams
        for one in stream.objects
        if (found := sizes.get(one.key)) != one.bytes
    ]


def find_fault(manifest: Manifest, sizes: Mapping[str, int], verified: dict[Level, Verification]) -> Finding | None:
    """Say why a backup would not restore: by the sizes in the store, or by a verification that failed."""
    if wrong := compare_sizes(manifest, sizes):
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        return Finding(manifest.id, f"{wrong[0].where}: {wrong[0].fault}{more}", wrong[0].cure)
    if failed := failure(verified):
        fault = f"verify --level {failed.level} failed on {failed.at:%Y-%m-%d}: {'; '.join(failed.findings)}"
        return Finding(manifest.id, fault, f"Look again: inv backup.verify --id {manifest.id} --level {failed.level}.")
    return None
