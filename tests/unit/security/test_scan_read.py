"""Reading scanners: each one's words become one and the same kind of flaw."""

from __future__ import annotations

import pytest

from cotai_tasks.errors import UsageError
from cotai_tasks.security.scanning.flaws import Flaw, Report, Severity, join, read_severity, worst_first
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
from tests.unit.security import outputs

RENEW = "Make it invalid where it is used, then take it out"


def test_hadolint() -> None:
    """Levels become severities; each rule has its page."""
    wiki = "https://github.com/hadolint/hadolint/wiki"
    assert read_hadolint(outputs.HADOLINT) == [
        dockerfile("DL3002", Severity.MEDIUM, 3, "Last USER should not be root", f"{wiki}/DL3002"),
        dockerfile("SC2086", Severity.LOW, 5, "Double quote it", "https://www.shellcheck.net/wiki/SC2086"),
        dockerfile("DL3020", Severity.HIGH, 2, "Use COPY", f"{wiki}/DL3020"),
    ]


def dockerfile(rule: str, severity: Severity, line: int, message: str, link: str) -> Flaw:
    part, kind = "dockerfiles", "misconfiguration"
    return Flaw(part, kind, "hadolint", rule, severity, "Dockerfile", message, line, link=link)  # type: ignore[arg-type]


def test_compose_lint() -> None:
    """What its own configuration excuses is left out; of the fix the first line is kept."""
    assert read_compose_lint(outputs.COMPOSE_LINT) == [
        Flaw(
            part="compose",
            kind="misconfiguration",
            tool="compose-lint",
            rule="CL-0002",
            severity=Severity.CRITICAL,
            where="compose.yaml",
            line=4,
            message="web: Service is privileged.",
            cure="Remove privileged.",
            link="https://example.org/rule",
        )
    ]


def test_a_schema() -> None:
    """A file that does not follow it is a flaw, and so is one that cannot be read."""
    found = read_schema(outputs.SCHEMA, "compose")
    assert [(one.part, one.severity, one.where, one.message) for one in found] == [
        ("compose", Severity.HIGH, "compose.yaml", "$.services.a: 'imag' was unexpected"),
        ("compose", Severity.HIGH, "broken.yaml", "Failed to parse broken.yaml"),
    ]


def test_workflows() -> None:
    """Zizmor's primary place counts, and its rows begin at 0; what is ignored there is left out."""
    assert [(one.rule, one.severity, one.place, one.message) for one in read_zizmor(outputs.ZIZMOR)] == [
        (
            "template-injection",
            Severity.HIGH,
            ".github/workflows/ci.yml:7",
            "code injection via template expansion: may expand into attacker-controllable code",
        )
    ]
    assert [(one.rule, one.severity, one.place) for one in read_jactionlint(outputs.JACTIONLINT)] == [
        ("expression", Severity.MEDIUM, ".github/workflows/ci.yml:8")
    ]


def test_nginx() -> None:
    """A line of the dump is told as a line of our own file."""
    begins = "# configuration file /etc/nginx"
    dump = f"{begins}/nginx.conf:\nhttp {{}}\n\n{begins}/snippets/proxy.conf:\na;\nb;\n"
    (found,) = read_gixy(outputs.GIXY, dump, {"/etc/nginx/snippets/proxy.conf": "nginx/snippets/proxy.conf"})
    assert (found.rule, found.severity, found.place, found.cure) == (
        "http_splitting",
        Severity.HIGH,
        "nginx/snippets/proxy.conf:2",
        "Use $request_uri",
    )


def test_secrets() -> None:
    """The secret itself is nowhere in what is taken over."""
    (found,) = read_gitleaks(outputs.GITLEAKS)
    assert (found.kind, found.rule, found.severity, found.place) == (
        "secret",
        "aws-access-token",
        Severity.HIGH,
        "config.py:1",
    )
    assert "REDACTED" not in str(found)


def test_dependencies() -> None:
    """A version that mends it is the cure; what nobody has mended has none."""
    assert [(one.rule, one.where, one.message, one.cure) for one in read_pip_audit(outputs.PIP_AUDIT, "r.txt")] == [
        ("PYSEC-2014-8", "r.txt", "jinja2 2.4.1: Temporary files.", "jinja2 2.7.2"),
        ("PYSEC-2030-1", "r.txt", "jinja2 2.4.1: Nobody has mended it.", ""),
    ]


def test_trivy_on_files() -> None:
    """Faults have their line; clean files are known to have been read too."""
    (found,) = read_trivy(outputs.TRIVY_CONFIG, "dockerfiles")
    assert (found.rule, found.severity, found.place) == ("DS-0002", Severity.HIGH, "docker/Dockerfile:7")
    assert trivy_files(outputs.TRIVY_CONFIG) == {"docker/Dockerfile", "nginx/Dockerfile"}
    assert trivy_files('{"Results": null}') == set()


@pytest.mark.parametrize("name", ["DS002", "DS-0002", "AVD-DS-0002"])
def test_trivys_rules_keep_their_names(name: str) -> None:
    """A list of exceptions outlives the version that it was written with."""
    (found,) = read_trivy(outputs.TRIVY_CONFIG.replace('"DS002"', f'"{name}"'), "dockerfiles")
    assert found.rule == "DS-0002"


def test_trivy_on_an_image() -> None:
    """Packages, the image's own configuration, and files in it; an unrated hole is no small one."""
    told = [
        (one.kind, one.rule, one.severity, one.place, one.message, one.cure)
        for one in read_trivy(outputs.TRIVY_IMAGE, "images")
    ]
    image = "cotai/production:1"
    assert told == [
        ("vulnerability", "CVE-2026-1", Severity.CRITICAL, f"{image}: libssl3 3.5.0", "A hole", "libssl3 3.5.1"),
        ("vulnerability", "CVE-2026-2", Severity.MEDIUM, f"{image}: perl-base 5.40", "Another", ""),
        ("misconfiguration", "DS-0026", Severity.LOW, image, "No HEALTHCHECK defined", "Add HEALTHCHECK"),
        (
            "secret",
            "private-key",
            Severity.HIGH,
            f"{image}: /app/server.key:1",
            "Asymmetric Private Key",
            f"{RENEW}, of every layer too.",
        ),
    ]


def test_what_was_planted_is_taken_out() -> None:
    """And whoever did not find it is told from those that did."""
    found = read_gitleaks(outputs.GITLEAKS)
    assert without_planted(found, "config.py") == ([], True)
    assert without_planted(found, "planted.py") == (found, False)


def test_the_worst_comes_first_and_once() -> None:
    """Reports are joined in one order, whoever was quicker."""
    small, large = read_hadolint(outputs.HADOLINT)[1:]
    joined = join([Report((small,)), Report((large,)), Report((small,))])
    assert joined.flaws == (large, small) == worst_first([small, large])
    assert joined.worse_than(Severity.HIGH) == (large,)


def test_severities_as_they_are_typed() -> None:
    """In any case; a wrong one is told the nearest."""
    assert read_severity("High") is Severity.HIGH
    with pytest.raises(UsageError) as caught:
        read_severity("hihg")
    assert caught.value.cure == "Did you mean HIGH?"
