"""Every error that a person may meet: one line, what to do about it, and a stable exit code."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and how to mend it."""

    where: str
    fault: str
    cure: str

    def __str__(self) -> str:
        """Give the finding as the one line that people read."""
        return f"{self.where}: {self.fault}. {self.cure}"


class CotaiError(Exception):
    """Something went wrong that is not a bug of ours.

    Its text says what and where, `cure` what to do, `findings` lists every fault when there are several, and
    `evidence` holds the last words of whatever failed (a log, a build step).
    """

    code: ClassVar[int] = 1

    def __init__(self, message: str, *, cure: str = "", findings: Sequence[Finding] = (), evidence: str = "") -> None:
        super().__init__(message)
        self.cure = cure
        self.findings = tuple(findings)
        self.evidence = evidence


class UsageError(CotaiError):
    """A name or a value on the command line that means nothing here."""

    code = 2


class SettingsError(CotaiError):
    """The environment file, `invoke.yaml` or a variable holds something wrong."""

    code = 3


class EngineError(CotaiError):
    """No Docker Engine answers, it is too old, or it refused a command."""

    code = 4


class BuildError(CotaiError):
    """An image could not be built."""

    code = 5


class UnhealthyError(CotaiError):
    """A service did not become healthy."""

    code = 6


class LockedError(CotaiError):
    """Somebody else is changing the same stack."""

    code = 7


class PreflightError(CotaiError):
    """The host is not fit for what was asked: ports, disk, missing images."""

    code = 8


class RegistryError(CotaiError):
    """An image registry could not be reached, or refused."""

    code = 9


class RefusedError(CotaiError):
    """A destructive command was not confirmed."""

    code = 10


class DatabaseError(CotaiError):
    """A database command failed, or its server does not answer."""

    code = 11


class CertificateError(CotaiError):
    """A certificate is wrong, expired, or could not be had."""

    code = 12


class BackupError(CotaiError):
    """A backup or a restore failed on its way: nothing was recorded, or the old data is as it was."""

    code = 13


class StoreError(CotaiError):
    """The place of the backups does not answer, or refused."""

    code = 14


class IntegrityError(CotaiError):
    """A backup is damaged, altered, not signed by whom it should be, or holds other data than it says."""

    code = 15


class IdentityError(CotaiError):
    """There is no recipient to encrypt for, or no identity that opens a backup."""

    code = 16


class StaleError(CotaiError):
    """There is no backup as young as it should be."""

    code = 17


class FindingsError(CotaiError):
    """A scan or an audit found what should not stay as it is."""

    code = 18


class VerdictError(CotaiError):
    """A stack is not what it claims to be: a blocker or a major check failed."""

    code = 19


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list them all: the cure of an unknown name."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names)}."
