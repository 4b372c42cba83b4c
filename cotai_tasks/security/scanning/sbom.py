"""`security.sbom`: what each image is made of, for whoever must know it tomorrow."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from cotai_tasks.errors import EngineError, UsageError, nearest
from cotai_tasks.security.scanning.files import UNREADABLE
from cotai_tasks.security.scanning.images import look_into, saved
from cotai_tasks.security.scanning.tools import ScannerError, tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.security.scanning.tools import Tool

Format = Literal["cyclonedx", "spdx"]
FORMATS: tuple[Format, ...] = get_args(Format)
_TRIVY_NAMES: dict[Format, str] = {"cyclonedx": "cyclonedx", "spdx": "spdx-json"}
_ENDINGS: dict[Format, str] = {"cyclonedx": "cdx.json", "spdx": "spdx.json"}
"""As the two projects recommend them; tools tell them apart by it."""


@dataclass(frozen=True)
class Bill:
    """The bill of materials of one image, in a file."""

    image: str
    format: Format
    path: Path
    components: int
    left_out: str = ""
    """What it does not name although it is there, and why."""


def sbom(
    images: Sequence[str], *, formats: Sequence[Format] = FORMATS, folder: Path, engine: Engine, console: Console
) -> tuple[Bill, ...]:
    """Write a bill of materials for each image and format into a folder.

    Raises `MissingToolError` where Trivy is not to be had, `EngineError` for an image that is not there.
    """
    trivy = tool("trivy")
    absent = sorted(set(images) - engine.images(*images).keys())
    if absent or not images:
        raise EngineError(f"no image to describe: {', '.join(absent) or 'none is named'}", cure="inv build.all")
    folder.mkdir(parents=True, exist_ok=True)
    bills = []
    for image in images:
        with console.step(f"describing {image}"), saved(image, engine) as place:
            bills += [_write(image, one, trivy, place, folder) for one in formats]
    return tuple(bills)


def read_formats(names: Sequence[str]) -> list[Format]:
    """Read the formats as they are typed; none means all. Raises `UsageError` for one that does not exist."""
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--format {name}: no such format", cure=nearest(name, FORMATS))
    return [one for one in FORMATS if one in names or not names]


def components(told: Mapping[str, Any]) -> int:
    """Count the parts that a bill of either format names; the image itself is none."""
    return len(told["components"] if "components" in told else told["packages"][1:])


def _write(image: str, form: Format, trivy: Tool, place: Path, folder: Path) -> Bill:
    flags = ["--quiet", "--format", _TRIVY_NAMES[form]]
    try:
        text, left_out = look_into(image, flags, trivy, place)
        count = components(json.loads(text))
    except (ScannerError, *UNREADABLE) as error:
        raise EngineError(f"{image}: no bill of materials", evidence=str(error)) from error
    if not count:
        raise EngineError(f"{image}: the bill of materials is empty", cure="Trivy could not read the image.")
    path = folder / f"{image.replace('/', '-').replace(':', '-')}.{_ENDINGS[form]}"
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return Bill(image, form, path, count, left_out)


def show_bills(bills: Sequence[Bill], *, as_json: bool, console: Console) -> None:
    """Tell which bills were written, and how many parts each names."""
    if as_json:
        console.json([asdict(one) for one in bills])
        return
    rows = [(one.image, one.format, str(one.components), str(one.path)) for one in bills]
    console.table(("image", "format", "parts", "file"), rows)
    for text in dict.fromkeys(f"{one.image}: {one.left_out}" for one in bills if one.left_out):
        console.warn(text)
