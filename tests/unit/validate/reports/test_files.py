"""The reports as files: JUnit XML and the summary as wholes, SARIF, and what is remembered of a run."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cotai_tasks.validate.check import Severity, State
from cotai_tasks.validate.reports.history import KEPT, remember
from cotai_tasks.validate.reports.junit import junit
from cotai_tasks.validate.reports.sarif import sarif
from cotai_tasks.validate.reports.summary import summary
from cotai_tasks.validate.reports.write import previous, write_reports
from tests.unit.validate.reports.samples import CANARY, STARTED, made, parsed, result, with_history

GOLDEN = Path(__file__).parent / "golden"


def test_junit_as_a_whole() -> None:
    """A suite to each group, a case to each check; whatever was seen is text in it."""
    assert junit(with_history()) == (GOLDEN / "junit.xml").read_text()


def test_junit_can_be_read() -> None:
    """Numbers and texts come out of a parser as they went in: `]]>`, `<`, quotes, and no control character."""
    root = parsed(junit(made()))
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["9", "3", "1", "1"]
    case = next(one for one in root.iter("testcase") if "SEC-03" in str(one.get("name")))
    assert "<script>alert(1)</script> | `code`" in str(case.findtext("failure"))
    assert {one.get("message") for one in root.iter("skipped")} == {"no database of vulnerabilities is here"}


def test_the_summary_as_a_whole() -> None:
    """The verdict first, then what failed with its cure, skips with their reasons, the rest folded away."""
    assert summary(with_history()) == (GOLDEN / "summary.md").read_text()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a | b", r"a \| b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[x](javascript:y) `code` **b** $m$", r"\[x\](javascript:y) \`code\` \*\*b\*\* \$m\$"),
        ("</details> &amp;", "&lt;/details&gt; &amp;amp;"),
    ],
)
def test_nothing_in_a_cell_is_markdown(text: str, written: str) -> None:
    """Neither a cell's end, nor a link, nor HTML."""
    rows = summary(made([result("NET-01", "A promise", State.FAIL, text)])).splitlines()
    assert f"| ✗ fail | NET-01 | blocker | A promise | {written} | 0 |  |" in rows


def test_evidence_cannot_leave_its_fences() -> None:
    """They are longer than any that it holds; of a thousand lines some are shown."""
    evidence = ("```", "````text", *(f"line {number}" for number in range(1000)))
    text = summary(made([result("NET-01", "A promise", State.FAIL, evidence=evidence)]))
    assert "\n`````text\n```\n````text\nline 0\n" in text
    assert "line 17\nand 982 more: report.json\n`````\n" in text


def test_sarif_tells_what_is_wrong_with_security_and_configuration() -> None:
    """A rule to each check, a result to each line of evidence, and what nobody looked at as a notice."""
    checks = [
        result(
            *("SEC-03", "Root filesystems refuse a write", State.FAIL, "2"),
            evidence=("docker/compose.prod.yaml:41: read_only is missing", "backend: wrote"),
            severity=Severity.MINOR,
        ),
        result("CFG-01", "Valid", State.PASS, cure="Mend it."),
        result("CFG-02", "Sound", State.WARN, "one old file"),
        result("SEC-09", "No hole", State.SKIP, "no database"),
        result("SEC-10", "Bills", State.ERROR, "no end"),
        result("NET-01", "Not of these", State.FAIL, "1"),
    ]
    run = sarif(made(checks))["runs"][0]
    assert [one["id"] for one in run["tool"]["driver"]["rules"]] == ["CFG-01", "CFG-02", "SEC-03", "SEC-09", "SEC-10"]
    found = [{name: value for name, value in one.items() if name != "partialFingerprints"} for one in run["results"]]
    stack = [{"physicalLocation": {"artifactLocation": {"uri": "cotai-prod"}}}]
    place = {"artifactLocation": {"uri": "docker/compose.prod.yaml"}, "region": {"startLine": 41}}
    text = "Root filesystems refuse a write: docker/compose.prod.yaml:41: read_only is missing"
    assert found == [
        {
            "ruleId": "CFG-02",
            "ruleIndex": 1,
            "level": "note",
            "message": {"text": "Sound: one old file"},
            "locations": stack,
        },
        {
            "ruleId": "SEC-03",
            "ruleIndex": 2,
            "level": "warning",
            "message": {"text": text},
            "locations": [{"physicalLocation": place}],
        },
        {
            "ruleId": "SEC-03",
            "ruleIndex": 2,
            "level": "warning",
            "message": {"text": "Root filesystems refuse a write: backend: wrote"},
            "locations": stack,
        },
    ]
    assert run["invocations"] == [
        {
            "executionSuccessful": False,
            "startTimeUtc": "2026-11-27T13:45:00Z",
            "toolExecutionNotifications": [
                {
                    "level": "warning",
                    "associatedRule": {"id": "SEC-09"},
                    "message": {"text": "SEC-09 No hole: skip: no database"},
                },
                {
                    "level": "error",
                    "associatedRule": {"id": "SEC-10"},
                    "message": {"text": "SEC-10 Bills: error: no end"},
                },
            ],
        }
    ]


@pytest.mark.parametrize(
    ("evidence", "place"),
    [
        ("nginx/nginx.conf:12: a rule", ("nginx/nginx.conf", 12)),
        ("docker/Dockerfile:3:1 a rule", ("docker/Dockerfile", 3)),
        ("Dockerfile.naive:0 a rule", ("Dockerfile.naive", 1)),
        (".github/workflows/ci.yml:7", (".github/workflows/ci.yml", 7)),
        ("env/.env.production:3: weak", ("env/.env.production", 3)),
        ("noxfile.py:9: x", ("noxfile.py", 9)),
        ("postgres:5432: open", None),
        ("0.0.0.0:443 is open", None),
        ("api.example.org:443: weak", None),
        ("https://example.org:8443/x", None),
        ("cotai-offline/nginx:1.26: old", None),
        ("nothing of the kind", None),
    ],
)
def test_a_place_is_told_from_an_address(evidence: str, place: tuple[str, int] | None) -> None:
    """A file and a line, no host and port, no image and tag."""
    run = sarif(made([result("CFG-01", "Valid", State.FAIL, evidence=(evidence,))]))["runs"][0]
    found = run["results"][0]["locations"][0]["physicalLocation"]
    assert (found["artifactLocation"]["uri"], found.get("region", {}).get("startLine")) == (
        place or ("cotai-prod", None)
    )


def test_a_result_is_known_again() -> None:
    """On another line of the same file it is the same one; with other words, of another check, it is not."""

    def mark(name: str, evidence: str) -> str:
        run = sarif(made([result(name, "Valid", State.FAIL, evidence=(evidence,))]))["runs"][0]
        return str(run["results"][0]["partialFingerprints"]["cotaiCheck/v1"])

    first = mark("CFG-01", "a/b.yaml:3: wrong")
    assert mark("CFG-01", "a/b.yaml:30: wrong") == first
    assert len({first, mark("CFG-02", "a/b.yaml:3: wrong"), mark("CFG-01", "a/b.yaml:3: other")}) == 3


def test_files_are_written_and_the_run_is_remembered(tmp_path: Path) -> None:
    """Five reports and a memory; nothing else is left behind, and no secret in any of them."""
    first = made()
    files = write_reports(first, tmp_path / "prod-full")
    assert {kind: str(path.relative_to(tmp_path)) for kind, path in files.items()} == {
        "html": "prod-full/report.html",
        "json": "prod-full/report.json",
        "junit": "prod-full/junit.xml",
        "sarif": "prod-full/report.sarif",
        "summary": "prod-full/summary.md",
    }
    assert json.loads(files["json"].read_bytes()) == first
    assert previous(tmp_path / "prod-full") == [remember(first)]
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    kept = tmp_path / "prod-full/history/2026-11-27T134500Z.json"
    assert there == {*files.values(), kept}
    for path in there:
        text = path.read_text()
        assert "canary" not in text
        assert CANARY not in text
    assert all("[redacted]" in path.read_text() for kind, path in files.items() if kind != "sarif")


def test_the_last_runs_are_kept(tmp_path: Path) -> None:
    """Twenty of them, in their order; one that cannot be read is as if it had not been."""
    runs: list[dict[str, Any]] = []
    for hour in range(KEPT + 2):
        now = made([result("NET-01", "", State.PASS)], started=STARTED + timedelta(hours=hour), previous=runs)
        write_reports(now, tmp_path)
        runs.append(remember(now))
    assert previous(tmp_path) == runs[-KEPT:]
    damaged = sorted((tmp_path / "history").glob("*.json"))
    damaged[0].write_text('{"schema_version": 1, "sta')
    damaged[1].write_text('{"schema_version": 99}')
    damaged[2].write_text("[]")
    assert previous(tmp_path) == runs[-KEPT + 3 :]


def test_nothing_is_remembered_of_a_new_folder(tmp_path: Path) -> None:
    """A first run has no past."""
    assert previous(tmp_path / "none") == []
