"""`security.tls`: how good the TLS is that users are offered, against Mozilla's profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings

Profile = Literal["intermediate", "modern"]
Mark = Literal["A+", "A", "B", "C", "D", "F"]


@dataclass(frozen=True)
class Grade:
    """What sslyze saw of a server, and the mark for it."""

    name: str
    """The name that the server was asked for."""
    address: str
    """Where it was asked: `127.0.0.1:443`."""
    profile: Profile
    compliant: bool
    """Whether nothing differs from Mozilla's profile."""
    mark: Mark
    faults: tuple[str, ...]
    """Why it is no A+, the worst first."""
    tool: str
    protocols: tuple[str, ...] = ()


def grade_tls(*, settings: Settings, engine: Engine, host: str = "", profile: Profile = "intermediate") -> Grade:
    """Look at the TLS of production's Nginx on this host, or at another `host` (NAME or NAME:PORT).

    Raises `MissingToolError` where sslyze is not to be had, `EngineError` where nothing answers.
    """
    raise NotImplementedError
