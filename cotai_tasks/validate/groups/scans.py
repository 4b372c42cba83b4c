"""What scanners find in files and images: the same as `inv security.scan`, held against a threshold each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks import security
from cotai_tasks.console import count
from cotai_tasks.validate.check import Outcome, Severity, SkipCheck, State, check, failed, judged, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cotai_tasks.security import Flaw, Part, Report
    from cotai_tasks.validate.subject import Subject

_SHOWN = 20
"""Flaws that are listed; `inv security.scan` has them all."""


def judge(report: Report, kind: str, counts: Callable[[Flaw], bool], cure: str) -> Outcome:
    """Judge the flaws of a scan that count; what nobody could look at is a skip, and no pass.

    `kind` is `misconfiguration`, `secret` or `vulnerability`.
    """
    flaws = [one for one in report.flaws if one.kind == kind and counts(one)]
    skipped = [one.reason for one in report.skipped if one.kind == kind]
    looked = ", ".join(dict.fromkeys(f"{one.tool} looked at {one.at}" for one in report.looked))
    if flaws:
        lines = [f"{one.place}: {one.rule} {one.message}" for one in flaws[:_SHOWN]]
        more = [f"and {len(flaws) - _SHOWN} more: inv security.scan"] if len(flaws) > _SHOWN else []
        return failed(f"{count(len(flaws), 'flaw')}; {looked}", *lines, *more, cure=cure)
    if skipped or not looked:
        raise SkipCheck("; ".join(skipped) or "nobody looked at anything")
    excused = [f"excused: {one.place}: {one.rule}" for one in report.ignored if one.kind == kind]
    return passed(f"0; {looked}", *excused)


@check("CFG-01", "The Compose files are valid", "0 faults against their schema", Severity.BLOCKER, live=False)
def compose_is_valid(subject: Subject) -> Outcome:
    """Hold them against the schema of the Compose specification."""
    return judge(_scan(subject, "compose"), "misconfiguration", _of("check-jsonschema"), "Mend the line that is named.")


@check("CFG-02", "The Compose files have no high or critical flaw", "0 high or critical", Severity.BLOCKER, live=False)
def compose_is_sound(subject: Subject) -> Outcome:
    """Let compose-lint read them."""
    cure = "Mend it, or excuse it with a reason and a date: docs/scanning.md."
    return judge(_scan(subject, "compose"), "misconfiguration", _of("compose-lint", security.Severity.HIGH), cure)


@check("CFG-04", "The Dockerfiles follow the rules of the trade", "0 warnings", Severity.MAJOR, live=False)
def dockerfiles_are_sound(subject: Subject) -> Outcome:
    """Let hadolint read them."""
    cure = "Mend it, or excuse it with a reason and a date: docs/scanning.md."
    return judge(_scan(subject, "dockerfiles"), "misconfiguration", _of("hadolint", security.Severity.MEDIUM), cure)


@check("CFG-06", "Nginx' configuration opens no known hole", "0 high", Severity.MAJOR, envs=("prod",), live=False)
def nginx_is_sound(subject: Subject) -> Outcome:
    """Let gixy read it, the templates filled in."""
    cure = "Mend the directive that is named, in nginx/."
    return judge(_scan(subject, "nginx"), "misconfiguration", _of("gixy", security.Severity.HIGH), cure)


@check("CFG-09", "The workflows are valid and give nothing away", "0 faults", Severity.MAJOR, live=False)
def workflows_are_sound(subject: Subject) -> Outcome:
    """Let actionlint and zizmor read them."""
    if not list((subject.settings.directory / ".github/workflows").glob("*.y*ml")):
        raise SkipCheck("this project has no GitHub workflows")
    return judge(
        _scan(subject, "workflows"), "misconfiguration", _of(), "Mend the line that is named: docs/workflows.md."
    )


@check("SEC-08", "The repository holds no secret", "0", Severity.BLOCKER, live=False)
def repository_holds_no_secret(subject: Subject) -> Outcome:
    """Let gitleaks read what git would commit."""
    cure = "Rotate it first; then take it out, and out of the history."
    return judge(_scan(subject, "repository"), "secret", _of(), cure)


@check(
    "SEC-09",
    "No image has a critical vulnerability that a newer version mends",
    "0 fixable",
    Severity.BLOCKER,
    profile="full",
    patience=300.0,
)
def images_are_up_to_date(subject: Subject) -> Outcome:
    """Let Trivy compare what is in the images with its database; without one nothing is known."""

    def counts(flaw: Flaw) -> bool:
        return flaw.severity >= security.Severity.CRITICAL and bool(flaw.cure)

    return judge(
        _scan(subject, "images"), "vulnerability", counts, "inv build.all with newer versions in docker/images.env."
    )


@check("SEC-18", "No file of our images looks like a secret", "0", Severity.BLOCKER, profile="full", patience=300.0)
def images_files_hold_no_secret(subject: Subject) -> Outcome:
    """Let Trivy read every file of them."""
    return judge(_scan(subject, "images"), "secret", _of(), "Rotate it, and give it to the build as --secret.")


@check(
    "SEC-10",
    "Every image of our own can tell what it is made of",
    "a bill of materials each",
    Severity.MAJOR,
    profile="full",
    patience=300.0,
)
def images_have_bills(subject: Subject) -> Outcome:
    """Write one for each, and count what is in it."""
    prefix = f"{subject.settings.variables.COTAI_REPOSITORY}/"
    images = sorted({one.image for one in subject.stack.services.values() if one.image.startswith(prefix)})
    folder = subject.scratch / "sbom"
    folder.mkdir(exist_ok=True)
    try:
        bills = security.sbom(
            images, formats=("cyclonedx",), folder=folder, engine=subject.engine, console=subject.quiet
        )
    except security.MissingToolError as error:
        raise SkipCheck(str(error)) from error
    return judge_bills({one.image: one.components for one in bills}, images)


def judge_bills(components: dict[str, int], images: Sequence[str]) -> Outcome:
    """Judge how many components each image's bill lists."""
    faults = [f"{one}: its bill is empty" for one in images if not components.get(one)]
    if not images:
        faults.append("there is no image of our own")
    figure = f"{count(len(components), 'image')}, {sum(components.values())} components"
    return judged(faults, figure, cure="inv security.sbom says why.")


@check(
    "SEC-11",
    "TLS follows Mozilla's profile",
    "compliant",
    Severity.BLOCKER,
    envs=("prod",),
    profile="full",
    patience=120.0,
)
def tls_follows_the_profile(subject: Subject) -> Outcome:
    """Let sslyze try every protocol and cipher."""
    subject.running("nginx")
    profile = subject.settings.variables.TLS_PROFILE
    try:
        grade = security.grade_tls(settings=subject.settings, engine=subject.engine, profile=profile)
    except security.MissingToolError as error:
        raise SkipCheck(str(error)) from error
    return judge_grade(profile, compliant=grade.compliant, mark=grade.mark, faults=grade.faults)


def judge_grade(profile: str, *, compliant: bool, mark: str, faults: Sequence[str]) -> Outcome:
    """Judge what sslyze saw; what a self-signed certificate costs is told, and not held against it."""
    figure = f"{mark}, {'as' if compliant else 'not as'} {profile}"
    if compliant:
        return Outcome(State.PASS, figure, tuple(faults))
    return failed(figure, *faults, cure="TLS_PROFILE in the env file; nginx/ of your own: docs/security.md.")


def _of(tool: str = "", least: security.Severity | None = None) -> Callable[[Flaw], bool]:
    """Choose the flaws of one scanner, from a severity on."""
    return lambda flaw: (not tool or flaw.tool == tool) and (least is None or flaw.severity >= least)


def _scan(subject: Subject, part: Part) -> Report:
    """Scan one part, once for all checks of it."""

    def scan() -> Report:
        return security.scan([part], settings=subject.settings, engine=subject.engine, console=subject.quiet)

    return subject.once(f"scan {part}", scan)
