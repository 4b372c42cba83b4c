"""Scanning files: each scanner on what it is for. One that looked at nothing has not passed."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.console import count
from cotai_tasks.security.scanning import nginx, tree
from cotai_tasks.security.scanning.flaws import Flaw, Looked, Report, Severity, Skipped, join
from cotai_tasks.security.scanning.read import (
    read_compose_lint,
    read_gitleaks,
    read_gixy,
    read_hadolint,
    read_jactionlint,
    read_pip_audit,
    read_schema,
    read_trivy,
    read_zizmor,
    trivy_files,
    without_planted,
)
from cotai_tasks.security.scanning.tools import MissingToolError, ScannerError, Tool, last_line, tool, uv

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from cotai_tasks.console import Console
    from cotai_tasks.security.scanning.flaws import Kind, Part
    from cotai_tasks.security.scanning.tree import Tree
    from cotai_tasks.settings import Settings

_SIDE_BY_SIDE = 3
"""Scanners at once: they wait for the disk and for Python to start as much as they compute."""


_PREFIX = re.compile(r"ERROR:[\w.]+:")
"""How pip-audit begins a line of its log."""

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What the answer of a scanner raises that says something else than we know."""


class NothingToScanError(Exception):
    """There is nothing that a scanner could look at, or nothing that it could know; the text says why."""


@dataclass(frozen=True)
class Found:
    """What a scanner found, and at how many things it looked."""

    flaws: list[Flaw]
    at: str
    missed: tuple[str, ...] = ()
    """What it could not look at, and why."""


@dataclass(frozen=True)
class Scanner:
    """One tool, for one kind of flaw in one part."""

    part: Part
    kind: Kind
    tool: str
    run: Callable[[Tool, Tree], Found]


def scan_files(parts: Collection[Part], *, settings: Settings, console: Console) -> Report:
    """Run every scanner that is for one of these parts of a project."""
    scanners = [one for one in SCANNERS if one.part in parts]
    if not scanners:
        return Report()
    with tree.plant(settings) as planted, console.progress("Scanning files", len(scanners)) as bar:

        def run(scanner: Scanner) -> Report:
            report = run_scanner(scanner, planted)
            bar.advance(bar.task_ids[0])
            return report

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return join(pool.map(run, scanners))


def run_scanner(scanner: Scanner, planted: Tree) -> Report:
    """Run one scanner. One that is not here is skipped; one that broke is a flaw of its own, and a critical one."""
    try:
        found_tool = tool(scanner.tool)
        found = scanner.run(found_tool, planted)
    except (MissingToolError, NothingToScanError) as error:
        return Report(skipped=(Skipped(scanner.part, scanner.kind, str(error)),))
    except (ScannerError, *UNREADABLE) as error:
        return Report(flaws=(broken(scanner.part, scanner.kind, scanner.tool, error),))
    skipped = tuple(Skipped(scanner.part, scanner.kind, why) for why in found.missed)
    return Report(tuple(found.flaws), (Looked(scanner.part, str(found_tool), found.at),), skipped)


def broken(part: Part, kind: Kind, name: str, error: Exception) -> Flaw:
    """Give a scanner that came to no good end as a flaw: what it should have found may all be there."""
    said = str(error) if isinstance(error, ScannerError) else f"its answer cannot be read ({error!r})"
    return Flaw(
        part,
        kind,
        name,
        "scanner-failed",
        Severity.CRITICAL,
        where=part,
        message=f"{said}; nobody knows what it would have found",
        cure="Mend what it names; a newer version on PATH is taken instead.",
    )


def _hadolint(scanner: Tool, planted: Tree) -> Found:
    files = _some(planted.dockerfiles, "there is no Dockerfile")
    flaws = []
    for config, some in planted.by_nearest(".hadolint.yaml", files).items():
        flags = ["--config", config] if config else []
        flaws += read_hadolint(_run(scanner, ["--no-fail", "--format", "json", *flags, *some], planted.folder))
    return Found(flaws, count(len(files), "file"))


def _trivy_config(scanner: Tool, planted: Tree) -> Found:
    files = _some(planted.dockerfiles, "there is no Dockerfile")
    flags = ["config", "--quiet", "--skip-check-update", "--misconfig-scanners", "dockerfile", "--format", "json"]
    text = _run(scanner, [*flags, "."], planted.folder)
    if missed := [file for file in files if file not in trivy_files(text)]:
        raise ScannerError(f"{scanner} did not read {', '.join(missed)}")
    return Found(read_trivy(text, "dockerfiles"), count(len(files), "file"))


def _compose_lint(scanner: Tool, planted: Tree) -> Found:
    files = _some(planted.compose_files, "there is no Compose file")
    flaws = []
    for config, some in planted.by_nearest(".compose-lint.yml", files).items():
        flags = ["--strict-config", "--config", config] if config else []
        flaws += read_compose_lint(_run(scanner, ["check", "--format", "json", *flags, *some], planted.folder, (0, 1)))
    return Found(flaws, count(len(files), "file"))


def _compose_schema(scanner: Tool, planted: Tree) -> Found:
    return _schema(scanner, planted, "compose", _some(planted.compose_files, "there is no Compose file"))


def _workflow_schema(scanner: Tool, planted: Tree) -> Found:
    return _schema(scanner, planted, "workflows", _workflow_files(planted))


def _schema(scanner: Tool, planted: Tree, part: Part, files: list[str]) -> Found:
    schema = {"compose": "vendor.compose-spec", "workflows": "vendor.github-workflows"}[part]
    flags = ["--output-format", "json", "--builtin-schema", schema]
    return Found(read_schema(_run(scanner, [*flags, *files], planted.folder, (0, 1)), part), count(len(files), "file"))


def _zizmor(scanner: Tool, planted: Tree) -> Found:
    files = _some(planted.workflows, "there are no workflows")
    codes = (0, *range(11, 15))  # by the worst finding
    text = _run(scanner, ["--offline", "--strict-collection", "--format", "json", *files], planted.folder, codes)
    return Found(read_zizmor(text), count(len(files), "file"))


def _jactionlint(scanner: Tool, planted: Tree) -> Found:
    files = _some(planted.workflows, "there are no workflows")
    return Found(
        read_jactionlint(_run(scanner, ["--no-online", "--format", "json", *files], planted.folder, (0, 1))),
        count(len(files), "file"),
    )


def _workflow_files(planted: Tree) -> list[str]:
    files = [name for name in planted.workflows if "/workflows/" in name]
    return _some(files, "there are no workflows")


def _gixy(scanner: Tool, planted: Tree) -> Found:
    text, files = nginx.dump(planted.folder)
    dump = planted.folder / "nginx.dump.conf"
    dump.write_text(text, encoding="utf-8")
    told = _run(scanner, ["--format", "json", dump.name], planted.folder, (0, 1))
    flaws, seen = without_planted(read_gixy(told, text, files), nginx.PLANTED)
    if not seen:
        raise ScannerError(f"{scanner} cannot read nginx/: it found not even the fault that was planted in it")
    return Found(flaws, count(len(files), "file"))


def _pip_audit(scanner: Tool, planted: Tree) -> Found:
    flaws: list[Flaw] = []
    missed: list[str] = []
    for file in planted.dependencies:
        try:
            flaws += _audit_lock(scanner, planted.folder / file, file)
        except NothingToScanError as error:
            missed.append(str(error))
    if len(missed) == len(planted.dependencies):
        raise NothingToScanError("; ".join(missed))
    return Found(flaws, count(len(planted.dependencies) - len(missed), "lock file"), tuple(missed))


def _audit_lock(scanner: Tool, path: Path, name: str) -> list[Flaw]:
    if not path.is_file():
        raise NothingToScanError(f"{name}: no such file")
    if path.name == "pyproject.toml":
        raise NothingToScanError(f"{name} pins no versions: without requirements.txt or uv.lock nobody knows them")
    requirements = path
    if path.name == "uv.lock":
        requirements = path.with_name("uv.requirements.txt")
        flags = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--output-file", str(requirements)]
        uv("--directory", str(path.parent), *flags)
    hashed = "--hash=" in requirements.read_text(encoding="utf-8")
    flags = ["--require-hashes", "--disable-pip"] if hashed else []
    arguments = ["--strict", "--progress-spinner", "off", "--format", "json", *flags, "--requirement"]
    try:
        text = scanner.run([*arguments, str(requirements)], directory=path.parent, codes=(0, 1))
    except ScannerError as error:  # the list of known vulnerabilities does not answer, or knows a package not
        raise NothingToScanError(f"{name}: {_PREFIX.sub('', str(error))}") from error
    return read_pip_audit(text, name)


def _gitleaks(scanner: Tool, planted: Tree) -> Found:
    _committed(planted)
    flags = ["dir", "--no-banner", "--redact", "--exit-code", "0", "--report-format", "json", "--report-path", "-"]
    text = _run(scanner, [*flags, "."], planted.folder)
    return _with_planted_key(scanner, read_gitleaks(text), planted)


def _trivy_secrets(scanner: Tool, planted: Tree) -> Found:
    _committed(planted)
    text = _run(scanner, ["fs", "--quiet", "--scanners", "secret", "--format", "json", "."], planted.folder)
    return _with_planted_key(scanner, read_trivy(text, "repository"), planted)


def _with_planted_key(scanner: Tool, flaws: list[Flaw], planted: Tree) -> Found:
    others, seen = without_planted(flaws, tree.PLANTED)
    if not seen:
        raise ScannerError(f"{scanner} found not even the key that was planted for it: its configuration excludes it")
    return Found(others, count(len(planted.names), "file"))


def _committed(planted: Tree) -> None:
    if planted.outside:
        raise NothingToScanError(planted.outside)


def _some(files: list[str], otherwise: str) -> list[str]:
    if not files:
        raise NothingToScanError(otherwise)
    return files


def _run(scanner: Tool, arguments: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> str:
    text = scanner.run(arguments, directory=folder, codes=codes)
    if not text.strip():
        raise ScannerError(f"{scanner} answered nothing: {last_line(text)}")
    return text


SCANNERS = (
    Scanner("dockerfiles", "misconfiguration", "hadolint", _hadolint),
    Scanner("dockerfiles", "misconfiguration", "trivy", _trivy_config),
    Scanner("compose", "misconfiguration", "compose-lint", _compose_lint),
    Scanner("compose", "misconfiguration", "check-jsonschema", _compose_schema),
    Scanner("nginx", "misconfiguration", "gixy", _gixy),
    Scanner("workflows", "misconfiguration", "zizmor", _zizmor),
    Scanner("workflows", "misconfiguration", "jactionlint", _jactionlint),
    Scanner("workflows", "misconfiguration", "check-jsonschema", _workflow_schema),
    Scanner("dependencies", "vulnerability", "pip-audit", _pip_audit),
    Scanner("repository", "secret", "gitleaks", _gitleaks),
    Scanner("repository", "secret", "trivy", _trivy_secrets),
)
