"""Reading what scanners print: plain functions from each one's JSON to flaws."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cotai_tasks.security.scanning.flaws import Flaw, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.security.scanning.flaws import Part

_HADOLINT = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "info": Severity.LOW, "style": Severity.INFO}
_JACTIONLINT = {"error": Severity.MEDIUM, "warn": Severity.LOW, "info": Severity.INFO}
"""Of a linter: what it calls an error is a mistake more often than a hole."""

_UNKNOWN = Severity.MEDIUM
"""What a scanner does not rate."""
_LONG, _LONGEST = 100, 200
"""Letters of a message: some scanners give reasons, others repeat whole scripts."""
_SENTENCE = re.compile(r"(?<=[a-z)'\"]\.) (?=[A-Z])")


def read_hadolint(text: str) -> list[Flaw]:
    """Read `hadolint --format json`."""
    return [
        Flaw(
            part="dockerfiles",
            kind="misconfiguration",
            tool="hadolint",
            rule=one["code"],
            severity=_HADOLINT.get(one["level"], _UNKNOWN),
            where=one["file"],
            line=int(one["line"]),
            message=_short(one["message"]),
            link=_hadolint_page(one["code"]),
        )
        for one in json.loads(text)
    ]


def _hadolint_page(rule: str) -> str:
    if rule.startswith("SC"):
        return f"https://www.shellcheck.net/wiki/{rule}"
    return f"https://github.com/hadolint/hadolint/wiki/{rule}"


def read_compose_lint(text: str) -> list[Flaw]:
    """Read `compose-lint check --format json`; what its own configuration excuses is left out."""
    return [
        Flaw(
            part="compose",
            kind="misconfiguration",
            tool="compose-lint",
            rule=one["rule_id"],
            severity=_severity(one["severity"]),
            where=one["file"],
            line=int(one.get("line") or 0),
            message=_short(f"{one['service']}: {one['message']}" if one.get("service") else one["message"]),
            cure=_short(one.get("fix", "").partition("\n")[0].rstrip(":")),
            link=next((link for link in one.get("references", ()) if link.startswith("http")), ""),
        )
        for one in json.loads(text)["findings"]
        if not one["suppressed"]
    ]


def read_schema(text: str, part: Part) -> list[Flaw]:
    """Read `check-jsonschema --output-format json`."""
    told = json.loads(text)
    return [
        Flaw(
            part=part,
            kind="misconfiguration",
            tool="check-jsonschema",
            rule="schema",
            severity=Severity.HIGH,
            where=one["filename"],
            message=_short(f"{one['path']}: {one['message']}" if "path" in one else one["message"]),
        )
        for one in [*told["errors"], *told.get("parse_errors", ())]
    ]


def read_zizmor(text: str) -> list[Flaw]:
    """Read `zizmor --format json`."""
    return [_zizmor(one) for one in json.loads(text) if not one["ignored"]]


def _zizmor(one: Mapping[str, Any]) -> Flaw:
    place = next((place for place in one["locations"] if place["symbolic"]["kind"] == "Primary"), one["locations"][0])
    return Flaw(
        part="workflows",
        kind="misconfiguration",
        tool="zizmor",
        rule=one["ident"],
        severity=_severity(one["determinations"]["severity"]),
        where=place["symbolic"]["key"]["Local"]["verbatim_path"].removeprefix("./"),
        line=int(place["concrete"]["location"]["start_point"]["row"]) + 1,
        message=_short(f"{one['desc']}: {place['symbolic']['annotation']}"),
        cure=next((_short(fix["title"]) for fix in one.get("fixes", ())), ""),
        link=one["url"],
    )


def read_jactionlint(text: str) -> list[Flaw]:
    """Read `jactionlint --format json`."""
    return [
        Flaw(
            part="workflows",
            kind="misconfiguration",
            tool="jactionlint",
            rule=one["id"],
            severity=_JACTIONLINT.get(one["severity"], _UNKNOWN),
            where=one["filepath"],
            line=int(one["line"]),
            message=_short(one["message"]),
            link=one.get("doc_url", ""),
        )
        for one in json.loads(text)
    ]


def read_gixy(text: str, dump: str, files: Mapping[str, str]) -> list[Flaw]:
    """Read `gixy --format json` of a dump; `files` says which file of ours stands where in it."""
    lines = dump.splitlines()
    found = []
    for one in json.loads(text):
        line = int(one.get("line") or 0)
        begins = next((at for at in range(line, 0, -1) if lines[at - 1].startswith("# configuration file ")), 0)
        where = one.get("file") or one["path"]
        found.append(
            Flaw(
                part="nginx",
                kind="misconfiguration",
                tool="gixy",
                rule=one["plugin"],
                severity=_severity(one["severity"]),
                where=files.get(where, where),
                line=line - begins if begins else 0,
                message=_short(one["reason"] or one["summary"]),
                cure=next((_short(fix["title"]) for fix in one.get("fixes", ())), ""),
                link=one.get("reference", ""),
            )
        )
    return found


def read_gitleaks(text: str) -> list[Flaw]:
    """Read `gitleaks --report-format json`; the secret itself is never taken over."""
    return [
        Flaw(
            part="repository",
            kind="secret",
            tool="gitleaks",
            rule=one["RuleID"],
            severity=Severity.HIGH,
            where=one["File"],
            line=int(one["StartLine"]),
            message=_short(one["Description"]),
            cure="Make it invalid where it is used, then take it out: git remembers it.",
        )
        for one in json.loads(text)
    ]


def read_pip_audit(text: str, where: str) -> list[Flaw]:
    """Read `pip-audit --format json` of one requirements file."""
    return [
        Flaw(
            part="dependencies",
            kind="vulnerability",
            tool="pip-audit",
            rule=fault["id"],
            severity=Severity.HIGH,  # the advisories that it reads have no rating
            where=where,
            message=_short(f"{package['name']} {package['version']}: {fault['description']}"),
            cure=f"{package['name']} {' or '.join(fault['fix_versions'])}" if fault["fix_versions"] else "",
            link=f"https://osv.dev/vulnerability/{fault['id']}",
        )
        for package in json.loads(text)["dependencies"]
        for fault in package.get("vulns", ())
    ]


def read_trivy(text: str, part: Part) -> list[Flaw]:
    """Read `trivy … --format json`: misconfiguration, secrets and vulnerabilities."""
    told = json.loads(text)
    image = told["ArtifactName"] if told.get("ArtifactType") == "container_image" else ""
    return [
        flaw
        for result in told.get("Results") or ()
        for flaw in (
            *(_trivy_fault(one, result, part, image) for one in result.get("Misconfigurations") or ()),
            *(_trivy_secret(one, result, part, image) for one in result.get("Secrets") or ()),
            *(_trivy_vulnerability(one, result, part, image) for one in result.get("Vulnerabilities") or ()),
        )
    ]


def _trivy_fault(one: Mapping[str, Any], result: Mapping[str, Any], part: Part, image: str) -> Flaw:
    message = one["Message"] if one["Message"] != one["Resolution"] else one["Title"]
    return Flaw(
        part=part,
        kind="misconfiguration",
        tool="trivy",
        rule=_trivy_rule(one["ID"]),
        severity=_severity(one["Severity"]),
        where=image or result["Target"],
        line=0 if image else int((one.get("CauseMetadata") or {}).get("StartLine") or 0),
        message=_short(message),
        cure=_short(one["Resolution"]),
        link=one.get("PrimaryURL", ""),
    )


def _trivy_rule(name: str) -> str:
    """Give the name that Trivy has now, DS-0002; it used to be DS002 and AVD-DS-0002, and lists outlive versions."""
    found = re.fullmatch(r"(?:AVD-)?([A-Z]+)-?(\d+)", name)
    return f"{found[1]}-{int(found[2]):04}" if found else name


def _trivy_secret(one: Mapping[str, Any], result: Mapping[str, Any], part: Part, image: str) -> Flaw:
    return Flaw(
        part=part,
        kind="secret",
        tool="trivy",
        rule=one["RuleID"],
        severity=_severity(one["Severity"]),
        where=f"{image}: {result['Target']}" if image else result["Target"],
        line=int(one["StartLine"]),
        message=_short(one["Title"]),
        cure="Make it invalid where it is used, then take it out, of every layer too.",
    )


def _trivy_vulnerability(one: Mapping[str, Any], result: Mapping[str, Any], part: Part, image: str) -> Flaw:
    package = f"{one['PkgName']} {one['InstalledVersion']}"
    return Flaw(
        part=part,
        kind="vulnerability",
        tool="trivy",
        rule=one["VulnerabilityID"],
        severity=_severity(one["Severity"]),
        where=f"{image}: {package}" if image else f"{result['Target']}: {package}",
        message=_short(one.get("Title") or one.get("Description") or "no description"),
        cure=f"{one['PkgName']} {one['FixedVersion']}" if one.get("FixedVersion") else "",
        link=one.get("PrimaryURL", ""),
    )


def trivy_files(text: str) -> set[str]:
    """Name the files that Trivy judged the configuration of, faulty or not."""
    results = json.loads(text).get("Results") or ()
    return {PurePath(one["Target"]).as_posix() for one in results if one["Class"] == "config"}


def without_planted(flaws: Sequence[Flaw], planted: str) -> tuple[list[Flaw], bool]:
    """Take the flaw that was planted out of those found, and tell whether it was among them."""
    others = [one for one in flaws if planted not in one.where]
    return others, len(others) < len(flaws)


def _severity(text: str) -> Severity:
    word = {"INFORMATIONAL": "INFO", "UNSPECIFIED": "INFO"}.get(text.upper(), text.upper())
    return Severity.__members__.get(word, _UNKNOWN)


def _short(text: str) -> str:
    """Give one line: the first sentence of a long text, and of a long sentence the beginning."""
    line = " ".join(text.split())
    if len(line) > _LONG:
        line = _SENTENCE.split(line, maxsplit=1)[0]
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
