"""What is excused has a reason and a last day; after it, it counts again."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from cotai_tasks.errors import Finding, SettingsError
from cotai_tasks.security.scanning.exemptions import (
    FILE,
    Exemption,
    exempt,
    load_exemptions,
    read_exemptions,
    unused,
)
from cotai_tasks.security.scanning.flaws import PARTS, Flaw, Report, Severity, Skipped
from tests.unit.deploy.stacks import settings

TODAY = date(2026, 11, 27)
ROOT = Path(__file__).parents[3]
GOOD = """
- id: DS002
  where: docker/offline/*/Dockerfile
  reason: They begin as root too.
  expires: 2026-11-27
- {id: CVE-2026-1, reason: not reachable, expires: 2026-11-26}
"""
ROOTED = Exemption(
    id="DS002",
    where="docker/offline/*/Dockerfile",
    reason="They begin as root too.",
    expires=TODAY,
    source="list.yaml:2",
)
HOLE = Exemption(id="CVE-2026-1", reason="not reachable", expires=date(2026, 11, 26), source="list.yaml:6")


def flaw(rule: str, where: str, note: str = "") -> Flaw:
    return Flaw("dockerfiles", "misconfiguration", "trivy", rule, Severity.HIGH, where, "bad", note=note)


def test_a_list_is_read() -> None:
    """With the line of each entry."""
    assert read_exemptions(GOOD, "list.yaml") == ([ROOTED, HOLE], [])
    assert read_exemptions("# nothing\n", "list.yaml") == ([], [])


@pytest.mark.parametrize(
    ("text", "where", "fault"),
    [
        ("- {id: A, expires: 2027-01-01}", "list.yaml:1", "reason is missing"),
        ("- {id: A, reason: '  ', expires: 2027-01-01}", "list.yaml:1", "reason is missing"),
        ("\n\n- id: A\n  reason: because", "list.yaml:3", "expires is missing"),
        ("- {id: A, reason: because, expires: soon}", "list.yaml:1", "expires is not understood"),
        ("- {reason: because, expires: 2027-01-01}", "list.yaml:1", "id is missing"),
        ("- {id: A, reason: because, expires: 2027-01-01, until: x}", "list.yaml:1", "until: no such field"),
        ("- text", "list.yaml:1", "id is missing"),
        ("id: A", "list.yaml:1", "is no list"),
        ("- id: A\n- [", "list.yaml:3", "no YAML: did not find"),
    ],
)
def test_a_list_with_a_fault(text: str, where: str, fault: str) -> None:
    """Each fault names its line."""
    found, findings = read_exemptions(text, "list.yaml")
    assert found == []
    assert findings[0].where == where
    assert findings[0].fault.startswith(fault)


def test_every_fault_at_once(tmp_path: Path) -> None:
    """Of the project's list and of the stack's own."""
    (tmp_path / FILE).write_text("- {id: A, reason: because}\n- {id: B}\n")
    made = settings().model_copy(update={"directory": tmp_path, "home": ROOT})
    with pytest.raises(SettingsError) as caught:
        load_exemptions(made)
    assert caught.value.findings == (
        Finding(f"{FILE}:1", "expires is missing", "expires: a day, 2027-06-30."),
        Finding(f"{FILE}:2", "reason is missing", "reason: why it may stay."),
        Finding(f"{FILE}:2", "expires is missing", "expires: a day, 2027-06-30."),
    )
    (tmp_path / FILE).write_text(GOOD)
    sources = [one.source.partition(":")[0] for one in load_exemptions(made)]
    assert sources[:2] == [FILE, FILE]
    assert set(sources[2:]) == {f"docker/{FILE}"}


def test_what_is_excused_today() -> None:
    """To its last day, at its place, with its reason; elsewhere, and for another rule, not."""
    here, there = flaw("DS002", "docker/offline/redis/Dockerfile"), flaw("DS002", "Dockerfile")
    other = flaw("DS003", "docker/offline/redis/Dockerfile")
    assert exempt(Report((here, there, other)), [ROOTED, HOLE], TODAY) == Report(
        (there, other), ignored=(flaw("DS002", here.where, "They begin as root too."),)
    )


def test_what_was_excused_counts_again() -> None:
    """And says until when it did not."""
    hole = flaw("CVE-2026-1", "image: libssl3")
    assert exempt(Report((hole,)), [ROOTED, HOLE], TODAY) == Report(
        (flaw("CVE-2026-1", "image: libssl3", "list.yaml:6 excused it until 2026-11-26"),)
    )
    newer = HOLE.model_copy(update={"expires": date(2027, 1, 1)})
    assert exempt(Report((hole,)), [HOLE, newer], TODAY).flaws == ()


def test_what_nothing_fits_any_more() -> None:
    """It is told where everything was looked at that it could be about."""
    report = Report((flaw("DS002", "docker/offline/redis/Dockerfile"),))
    assert unused(report, [ROOTED, HOLE], PARTS) == ["list.yaml:6: nothing fits CVE-2026-1 at * any more. Take it out."]
    blind = Report(skipped=(Skipped("images", "vulnerability", "no database"),))
    assert [text.split()[3] for text in unused(blind, [ROOTED, HOLE], PARTS)] == ["DS002"]
    assert unused(report, [HOLE], ["compose"]) == []
    assert unused(Report(skipped=(Skipped("repository", "secret", "no git"),)), [HOLE], PARTS) == []
