"""Finding scanners: the user's own, those of this environment, or pinned ones in an environment of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class MissingToolError(Exception):
    """A scanner is not to be had here; the text says why. Whoever needs it skips what it would have looked at."""


@dataclass(frozen=True)
class Tool:
    """A scanner that can be run."""

    name: str
    path: Path
    version: str
    source: str
    """`PATH`, `this environment` or `pinned`."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def tool(name: str) -> Tool:
    """Find a scanner, and install it where that is needed and possible; raise `MissingToolError` where it is not."""
    raise NotImplementedError
