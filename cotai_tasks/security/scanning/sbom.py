"""`security.sbom`: what each image is made of, for whoever must know it tomorrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine

Format = Literal["cyclonedx", "spdx"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Bill:
    """The bill of materials of one image, in a file."""

    image: str
    format: Format
    path: Path
    components: int


def sbom(
    images: Sequence[str], *, formats: Sequence[Format] = FORMATS, folder: Path, engine: Engine, console: Console
) -> tuple[Bill, ...]:
    """Write a bill of materials for each image and format into a folder.

    Raises `MissingToolError` where Trivy is not to be had, `EngineError` for an image that is not there.
    """
    raise NotImplementedError
