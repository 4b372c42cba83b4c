"""Images go through the engine; without a database that is young enough, nobody says that they have no holes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.errors import EngineError, UsageError
from cotai_tasks.facts import Image
from cotai_tasks.security.scanning import images
from cotai_tasks.security.scanning import sbom as bills
from cotai_tasks.security.scanning import scan as procedure
from cotai_tasks.security.scanning.database import judge_database, read_updated
from cotai_tasks.security.scanning.flaws import Looked, Report, Severity, Skipped
from cotai_tasks.security.scanning.images import saved, scan_images, stack_images
from cotai_tasks.security.scanning.sbom import Bill, read_formats, sbom, show_bills
from cotai_tasks.security.scanning.scan import read_parts, scan
from cotai_tasks.security.scanning.tools import MissingToolError, ScannerError, Tool
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.deploy.stacks import settings
from tests.unit.security import outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOW = datetime(2026, 11, 27, tzinfo=UTC)
IMAGE = "cotai/production:1"
YOUNG = {"Version": "0.59.1", "VulnerabilityDB": {"UpdatedAt": "2026-11-26T18:20:41.110000000Z"}}
NONE = {"Version": "0.59.1"}


class Trivy(Tool):
    """Trivy as it answers: what version it is, what is in an image, what an image is made of."""

    def run(self, arguments: Sequence[str], *, directory: Path, codes: Sequence[int] = (0,)) -> str:  # noqa: ARG002
        asked.append(list(arguments))
        if arguments[0] == "version":
            return json.dumps(database)
        if "--download-db-only" in arguments:
            raise ScannerError("trivy 0.59.1 ended with 1: dial tcp: lookup mirror.example.org: no such host")
        if failures and (reason := failures.pop(0)):
            raise ScannerError(reason)
        image = arguments[arguments.index("--input") + 1]
        asked.append([(directory / image).read_text()])
        return answers[arguments[arguments.index("--format") + 1]]


asked: list[list[str]] = []
database: dict[str, object] = {}
answers: dict[str, str] = {}
failures: list[str] = []
"""Why the next looks into an image fail."""


@pytest.fixture(autouse=True)
def _trivy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    database.clear()
    database.update(YOUNG)
    answers.clear()
    failures.clear()
    answers.update(json=outputs.TRIVY_IMAGE, cyclonedx='{"components": [1, 2]}')
    answers["spdx-json"] = '{"packages": [1, 2, 3]}'
    found: Callable[[str], Tool] = lambda name: Trivy(name, Path(name), "0.59.1", "PATH")  # noqa: E731
    monkeypatch.setattr(images, "tool", found)
    monkeypatch.setattr(bills, "tool", found)


def engine() -> FakeEngine:
    made = FakeEngine()
    made.found_images = {IMAGE: Image("sha256:1", (IMAGE,), 1, "2026-01-01")}
    made.streams = {f"image save {IMAGE}": b"the image"}
    return made


def test_an_image_is_saved_under_its_name() -> None:
    """Trivy calls it what its file is called; the file goes with the block."""
    with saved(IMAGE, engine()) as folder:
        assert (folder / IMAGE).read_bytes() == b"the image"
    assert not folder.exists()


def test_an_image_with_holes() -> None:
    """Everything that Trivy finds, and what it looked at."""
    report = scan_images([IMAGE], engine=engine(), console=RecordingConsole(), now=NOW)
    assert [one.rule for one in report.flaws] == ["CVE-2026-1", "private-key", "CVE-2026-2", "DS-0026"]
    assert (report.looked, report.skipped) == ((Looked("images", "trivy 0.59.1", "1 image"),), ())
    scanned = asked[-2]
    assert scanned[:5] == ["image", "--input", IMAGE, "--scanners", "vuln,secret,misconfig"]
    assert {"--skip-db-update", "--skip-check-update"} <= set(scanned)
    assert asked[-1] == ["the image"]


def test_without_a_database() -> None:
    """Holes are skipped with the reason, and after a try to fetch one; the rest is looked at."""
    database.clear()
    database.update(NONE)
    report = scan_images([IMAGE], engine=engine(), console=RecordingConsole(), now=NOW)
    why = "there is no database of known vulnerabilities, and it cannot be fetched: no such host"
    assert report.skipped == (Skipped("images", "vulnerability", why),)
    assert ["image", "--download-db-only", "--quiet"] in asked
    assert "secret,misconfig" in asked[-2]


@pytest.mark.parametrize(
    ("updated", "why"),
    [
        (None, "there is no database of known vulnerabilities"),
        (datetime(1, 1, 1, tzinfo=UTC), "there is no database of known vulnerabilities"),
        (NOW - timedelta(days=9), "the database of known vulnerabilities is 9 days old (2026-11-18)"),
        (NOW - timedelta(days=7), ""),
        (NOW, ""),
    ],
)
def test_the_age_of_a_database(updated: datetime | None, why: str) -> None:
    """More than a week is too old to believe."""
    assert judge_database(updated, NOW) == why


def test_the_database_as_trivy_tells_it() -> None:
    """Where it has one."""
    assert read_updated(json.dumps(YOUNG)) == datetime(2026, 11, 26, 18, 20, 41, tzinfo=UTC)
    assert read_updated(json.dumps(NONE)) is None


def test_an_image_that_is_not_there() -> None:
    """It is skipped; no image at all is no pass either."""
    absent = scan_images(["cotai/flower:1"], engine=engine(), console=RecordingConsole(), now=NOW)
    assert {(one.kind, one.reason) for one in absent.skipped} == {
        (kind, "not built: cotai/flower:1; inv build.all") for kind in ("vulnerability", "secret", "misconfiguration")
    }
    assert (absent.flaws, absent.looked, asked) == ((), (), [])
    assert len(scan_images([], engine=engine(), console=RecordingConsole(), now=NOW).skipped) == 3
    assert len(scan_images([IMAGE], engine=None, console=RecordingConsole(), now=NOW).skipped) == 3


@pytest.mark.parametrize("answer", ["{}", "", '{"Metadata": {}}'])
def test_what_trivy_cannot_read(answer: str) -> None:
    """An answer that tells of no image is a critical flaw."""
    answers["json"] = answer
    (flaw,) = scan_images([IMAGE], engine=engine(), console=RecordingConsole(), now=NOW).flaws
    assert (flaw.rule, flaw.severity) == ("scanner-failed", Severity.CRITICAL)


JAVA = "trivy ended with 1: Java DB: dial tcp: no such host"
LEFT_OUT = "its .jar files are left out, their database cannot be fetched: no such host"


def test_archives_of_java(tmp_path: Path) -> None:
    """Where their database cannot be fetched they are left out, which is told; another failure stays one."""
    failures[:] = [JAVA]
    report = scan_images([IMAGE], engine=engine(), console=RecordingConsole(), now=NOW)
    assert len(report.flaws) == 4
    assert report.skipped == (Skipped("images", "vulnerability", f"{IMAGE}: {LEFT_OUT}"),)
    assert asked[-2][-8:-6] == ["--skip-files", "**/*.jar"]
    failures[:] = [JAVA]
    console = RecordingConsole()
    (bill,) = sbom([IMAGE], formats=["cyclonedx"], folder=tmp_path, engine=engine(), console=console)
    assert bill.left_out == LEFT_OUT
    show_bills([bill], as_json=False, console=console)
    assert f"! {IMAGE}: {LEFT_OUT}" in console.text()
    failures[:] = ["the disk is full", "the disk is full"]
    (flaw,) = scan_images([IMAGE], engine=engine(), console=RecordingConsole(), now=NOW).flaws
    assert "the disk is full" in flaw.message


def test_no_trivy(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is skipped, and a bill of materials is refused."""

    def missing(name: str) -> Tool:
        raise MissingToolError(f"{name}: no network")

    monkeypatch.setattr(images, "tool", missing)
    monkeypatch.setattr(bills, "tool", missing)
    report = scan_images([IMAGE], engine=engine(), console=RecordingConsole(), now=NOW)
    assert {one.reason for one in report.skipped} == {"trivy: no network"}
    with pytest.raises(MissingToolError):
        sbom([IMAGE], folder=Path(), engine=engine(), console=RecordingConsole())


def rendered() -> FakeEngine:
    made = engine()
    made.rendered = {
        "services": {
            "backend": {"image": IMAGE},
            "redis": {"image": "redis:8"},
            "grafana": {"image": "cotai-offline/unavailable"},
        }
    }
    return made


def test_which_images() -> None:
    """Our own, all, or the one that is named by itself or by its service."""
    assert stack_images(settings(), rendered()) == [IMAGE]
    assert stack_images(settings(), rendered(), every=True) == [IMAGE, "redis:8"]
    assert stack_images(settings(), rendered(), only="redis") == ["redis:8"]
    assert stack_images(settings(), rendered(), only="redis:8") == ["redis:8"]
    with pytest.raises(UsageError, match="bakend: no image or service of cotai-dev"):
        stack_images(settings(), rendered(), only="bakend")


def test_bills_of_materials(tmp_path: Path) -> None:
    """A file for each image and format, named after both."""
    console = RecordingConsole()
    made = sbom([IMAGE], folder=tmp_path / "sbom", engine=engine(), console=console)
    names = ("cotai-production-1.cdx.json", "cotai-production-1.spdx.json")
    assert made == (
        Bill(IMAGE, "cyclonedx", tmp_path / "sbom" / names[0], 2),
        Bill(IMAGE, "spdx", tmp_path / "sbom" / names[1], 2),
    )
    assert sorted(one.name for one in (tmp_path / "sbom").iterdir()) == sorted(names)
    show_bills(made, as_json=False, console=console)
    assert names[1] in console.text()
    show_bills(made[:1], as_json=True, console=console)
    assert '"components": 2' in console.text()


@pytest.mark.parametrize("answer", ['{"components": []}', "{}", "no JSON"])
def test_an_empty_bill(answer: str, tmp_path: Path) -> None:
    """It is refused, and nothing is written: somebody would believe it."""
    answers["cyclonedx"] = answer
    with pytest.raises(EngineError):
        sbom([IMAGE], formats=["cyclonedx"], folder=tmp_path, engine=engine(), console=RecordingConsole())
    with pytest.raises(EngineError, match="no image to describe: gone:1"):
        sbom(["gone:1"], folder=tmp_path, engine=engine(), console=RecordingConsole())
    assert list(tmp_path.iterdir()) == []


def test_what_is_typed() -> None:
    """Nothing means all; a wrong word is told the nearest."""
    assert read_formats([]) == ["cyclonedx", "spdx"]
    assert read_formats(["spdx"]) == ["spdx"]
    assert read_parts(["compose", "images"]) == ["images", "compose"]
    for read, word, cure in (
        (read_formats, "spdy", "Did you mean spdx?"),
        (read_parts, "image", "Did you mean images?"),
    ):
        with pytest.raises(UsageError) as caught:
            read([word])
        assert caught.value.cure == cure


def test_a_scan_of_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files and images in one report, less what is excused; what nothing fits any more is told."""
    reported: Callable[..., Report] = lambda *_, **__: Report()  # noqa: E731
    monkeypatch.setattr(procedure, "scan_files", reported)
    (tmp_path / "security-ignore.yaml").write_text(
        "- {id: private-key, where: 'cotai/*', reason: a test's own, expires: 2026-12-31}\n"
        "- {id: CVE-2026-1, reason: not reachable, expires: 2026-11-01}\n"
        "- {id: gone, reason: of old, expires: 2026-12-31}\n"
    )
    (tmp_path / "docker").mkdir()
    made = settings().model_copy(update={"directory": tmp_path, "home": tmp_path})
    monkeypatch.setattr(procedure, "stack_images", lambda *_: [IMAGE])
    report = scan(read_parts([]), settings=made, engine=engine(), console=RecordingConsole(), now=NOW)
    assert [(one.rule, one.note) for one in report.flaws] == [
        ("CVE-2026-1", "security-ignore.yaml:2 excused it until 2026-11-01"),
        ("CVE-2026-2", ""),
        ("DS-0026", ""),
    ]
    assert [(one.rule, one.note) for one in report.ignored] == [("private-key", "a test's own")]
    assert report.warnings == ("security-ignore.yaml:3: nothing fits gone at * any more. Take it out.",)
