"""The list of what a scan may find: each entry with a reason, and a day from which on it counts again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cotai_tasks.errors import Finding, SettingsError
from cotai_tasks.security.scanning.flaws import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cotai_tasks.security.scanning.flaws import Flaw, Part, Report
    from cotai_tasks.settings import Settings

FILE = "security-ignore.yaml"
"""In the project's folder. The stack's own files have one too, in docker/."""

_FIELDS = {
    "id": "the scanner's id of the rule, DS-0002",
    "where": "a file or image, with * for any letters",
    "reason": "why it may stay",
    "expires": "a day, 2027-06-30",
}


class Exemption(BaseModel):
    """One entry of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: str = Field(min_length=1)
    where: str = "*"
    reason: str = Field(min_length=1)
    expires: date
    source: str
    """Where it stands: `security-ignore.yaml:3`."""

    def fits(self, flaw: Flaw) -> bool:
        """Tell whether it is about this flaw."""
        return self.id == flaw.rule and fnmatchcase(flaw.where, self.where)


def load_exemptions(settings: Settings) -> list[Exemption]:
    """Read the project's list and that of the stack's own files; `SettingsError` names every fault of them by line."""
    found: list[Exemption] = []
    findings: list[Finding] = []
    for path, name in ((settings.directory / FILE, FILE), (settings.home / "docker" / FILE, f"docker/{FILE}")):
        entries, faults = _read(path, name) if path.is_file() else ([], [])
        found += entries
        findings += faults
    if findings:
        raise SettingsError("the list of what a scan may find has faults", findings=findings)
    return found


def read_exemptions(text: str, name: str) -> tuple[list[Exemption], list[Finding]]:
    """Read a list, and what is wrong with it, by line."""
    try:
        root = yaml.compose(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return [], [Finding(f"{name}:{line}", f"no YAML: {error.problem}", "Mend that line.")]
    if root is None:
        return [], []
    if not isinstance(root, yaml.SequenceNode):
        return [], [Finding(f"{name}:1", "is no list", "Begin each entry with `- id:`.")]
    found: list[Exemption] = []
    findings: list[Finding] = []
    for node in root.value:
        where = f"{name}:{node.start_mark.line + 1}"
        entry = yaml.load(yaml.serialize(node), yaml.CSafeLoader)
        try:
            found.append(Exemption.model_validate((entry if isinstance(entry, dict) else {}) | {"source": where}))
        except ValidationError as error:
            findings += [_finding(where, fault) for fault in error.errors(include_url=False)]
    return found, findings


def exempt(report: Report, exemptions: Sequence[Exemption], today: date) -> Report:
    """Take out of a report what the list excuses today; what it excused until some day counts again, and says so."""
    counting, ignored = [], []
    for flaw in report.flaws:
        fitting = [one for one in exemptions if one.fits(flaw)]
        valid = next((one for one in fitting if one.expires >= today), None)
        if valid:
            ignored.append(replace(flaw, note=valid.reason))
        elif fitting:
            last = max(fitting, key=lambda one: one.expires)
            counting.append(replace(flaw, note=f"{last.source} excused it until {last.expires}"))
        else:
            counting.append(flaw)
    return replace(report, flaws=tuple(counting), ignored=tuple(ignored))


def unused(report: Report, exemptions: Iterable[Exemption], parts: Iterable[Part]) -> list[str]:
    """Warn of entries that nothing fits any more, where everything was looked at that they could be about."""
    if set(parts) != set(PARTS) or any(one.kind != "vulnerability" for one in report.skipped):
        return []
    blind = any(one.kind == "vulnerability" for one in report.skipped)
    return [
        f"{one.source}: nothing fits {one.id} at {one.where} any more. Take it out."
        for one in exemptions
        if not (blind and _is_vulnerability(one.id)) and not any(one.fits(flaw) for flaw in report.flaws)
    ]


def _is_vulnerability(rule: str) -> bool:
    return rule.startswith(("CVE-", "GHSA-", "PYSEC-", "DLA-", "DSA-", "TEMP-"))


def _read(path: Path, name: str) -> tuple[list[Exemption], list[Finding]]:
    return read_exemptions(path.read_text(encoding="utf-8"), name)


def _finding(where: str, fault: object) -> Finding:
    told = dict(fault)  # type: ignore[call-overload]
    field = str(told["loc"][0])
    if told["type"] == "extra_forbidden":
        return Finding(where, f"{field}: no such field", f"Known: {', '.join(_FIELDS)}.")
    what = "missing" if told["type"] in {"missing", "string_too_short"} else "not understood"
    return Finding(where, f"{field} is {what}", f"{field}: {_FIELDS[field]}.")
