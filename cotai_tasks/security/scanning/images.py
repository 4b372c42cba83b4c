"""Scanning images: each is saved through the engine, near or far, and Trivy reads the file."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cotai_tasks.console import count
from cotai_tasks.errors import UsageError, nearest
from cotai_tasks.security.scanning.database import fresh_database
from cotai_tasks.security.scanning.files import UNREADABLE, broken
from cotai_tasks.security.scanning.flaws import Looked, Report, Skipped, join
from cotai_tasks.security.scanning.read import read_trivy
from cotai_tasks.security.scanning.tools import MissingToolError, ScannerError, tool
from cotai_tasks.stack import UNAVAILABLE, open_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.security.scanning.flaws import Flaw, Kind
    from cotai_tasks.security.scanning.tools import Tool
    from cotai_tasks.settings import Settings

_WITHOUT_JAVA = [part for kind in ("jar", "war", "ear", "par") for part in ("--skip-files", f"**/*.{kind}")]
"""Archives of Java are known by their sums, from a database of its own that Trivy fetches when it meets one."""

_KINDS: tuple[Kind, ...] = ("vulnerability", "secret", "misconfiguration")


def stack_images(settings: Settings, engine: Engine, *, only: str = "", every: bool = False) -> list[str]:
    """Name the images of a stack: our own, or every one, or the one that is asked for.

    `only` is an image, or the name of the service that uses it.
    """
    services = open_stack(settings, engine).services
    images = {name: one.image for name, one in services.items() if one.image != UNAVAILABLE}
    if only:
        if only not in images and only not in images.values():
            raise UsageError(f"{only}: no image or service of {settings.stack_name}", cure=nearest(only, images))
        return [images.get(only, only)]
    own = f"{settings.variables.COTAI_REPOSITORY}/"
    return sorted({one for one in images.values() if every or one.startswith(own)})


def scan_images(images: Sequence[str], *, engine: Engine | None, console: Console, now: datetime) -> Report:
    """Look for vulnerabilities, secrets and misconfiguration in images; one that is not there is skipped."""
    if not engine:
        return _skip_all("there is no engine")
    if not images:
        return _skip_all("the stack has no image of our own")
    try:
        trivy = tool("trivy")
    except MissingToolError as error:
        return _skip_all(str(error))
    present = engine.images(*images)
    missing = [one for one in images if one not in present]
    absent = _skip_all(f"not built: {', '.join(missing)}; inv build.all") if missing else Report()
    if not present:
        return absent
    stale = fresh_database(trivy, now)
    scanners = ("secret", "misconfig") if stale else ("vuln", "secret", "misconfig")
    skipped = (Skipped("images", "vulnerability", stale),) if stale else ()
    reports = [absent]
    for image in present:
        with console.step(f"scanning {image}"):
            reports.append(_scan(image, trivy, scanners, engine))
    looked = (Looked("images", str(trivy), count(len(present), "image")),)
    return join([*reports, Report(looked=looked, skipped=skipped)])


@contextmanager
def saved(image: str, engine: Engine) -> Iterator[Path]:
    """Save an image into a folder that goes with the block, in a file with the image's name: Trivy calls it so."""
    with TemporaryDirectory(prefix="cotai-image-") as folder:
        path = Path(folder) / image
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file, engine.pipe("image", "save", image, what=f"saving {image}") as running:
            for block in iter(running.read, b""):
                file.write(block)
            file.write(running.finish())
        yield Path(folder)


def _scan(image: str, trivy: Tool, scanners: Sequence[str], engine: Engine) -> Report:
    flags = ["--quiet", "--format", "json", "--skip-check-update", "--skip-db-update"]
    looks = ["--scanners", ",".join(scanners), "--image-config-scanners", "misconfig,secret"]
    with saved(image, engine) as folder:
        try:
            text, left_out = look_into(image, [*looks, *flags], trivy, folder)
            skipped = (Skipped("images", "vulnerability", f"{image}: {left_out}"),) if left_out else ()
            return Report(flaws=tuple(read_image(text)), skipped=skipped)
        except (ScannerError, *UNREADABLE) as error:
            return Report(flaws=(broken("images", "vulnerability", "trivy", error),))


def look_into(image: str, flags: Sequence[str], trivy: Tool, folder: Path) -> tuple[str, str]:
    """Let Trivy read a saved image; give what it tells, and what it had to leave out, which may be nothing."""
    arguments = ["image", "--input", image, *flags]
    try:
        return trivy.run(arguments, directory=folder), ""
    except ScannerError as error:
        try:
            text = trivy.run([*arguments, *_WITHOUT_JAVA], directory=folder)
        except ScannerError:
            raise error from None
        return text, f"its .jar files are left out, their database cannot be fetched: {str(error).rpartition(': ')[2]}"


def read_image(text: str) -> list[Flaw]:
    """Read what Trivy tells of one image; raise `ScannerError` where it read none."""
    if not (json.loads(text).get("Metadata") or {}).get("ImageID"):
        raise ScannerError("trivy found no image in what the engine saved")
    return read_trivy(text, "images")


def _skip_all(reason: str) -> Report:
    return Report(skipped=tuple(Skipped("images", kind, reason) for kind in _KINDS))
