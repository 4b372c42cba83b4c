"""The vital signs: what was observed, judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.monitor import signs
from cotai_tasks.monitor.readiness import Answer, Dependency
from cotai_tasks.monitor.signs import Sign, State, worst
from cotai_tasks.monitor.status import ServiceStatus, absent
from tests.unit.monitor.samples import NOW, sample

if TYPE_CHECKING:
    from cotai_tasks.monitor.series import Series

DAY = 86400


def status(service: str, state: str = "healthy", **changes: Any) -> ServiceStatus:  # noqa: ANN401 - any field
    """Describe a container."""
    fields = vars(absent(service)) | {"container": f"{service}-1", "state": state, "uptime": 60.0}
    return ServiceStatus(**fields | {"ok": state in {"healthy", "running", "done"}} | changes)


def alert(name: str, severity: str, state: str = "firing", **labels: str) -> Series:
    """Make an alert as Prometheus keeps it."""
    return sample("ALERTS", 1, alertname=name, severity=severity, alertstate=state, **labels)


WATCHDOG = alert("Watchdog", "none")


def test_the_worst_counts() -> None:
    """What is not known is worse than what is well, and better than what is wrong."""
    cases: list[list[State]] = [[], ["ok", "unknown"], ["warning", "unknown"], ["broken", "ok"]]
    assert [worst(states) for states in cases] == ["ok", "unknown", "warning", "broken"]


def test_containers_that_are_well_are_one_sign() -> None:
    """Those in trouble have one each, with the last word of their health check."""
    well = [status("api"), status("migrate", "done")]
    assert signs.of_containers(well, {}) == [Sign("containers", "all", "ok", "1 well, 1 done", 2, "containers")]
    sick = [
        status("db", "unhealthy"),
        status("worker", "exited", exit_code=3),
        status("beat", "starting"),
        absent("flower"),
        absent("s3"),
    ]
    said = {"db-1": "some lines\nno such role " + "x" * 200, "worker-1": "was well once"}
    assert signs.of_containers([*well, *sick], said) == [
        Sign("containers", "db-1", "broken", "unhealthy: no such role " + "x" * 47, cure="inv monitor.logs --svc db"),
        Sign("containers", "worker-1", "broken", "exited 3", cure="inv monitor.logs --svc worker"),
        Sign("containers", "beat-1", "warning", "starting", cure="inv monitor.logs --svc beat"),
        Sign(
            *("containers", "missing", "warning", "flower, s3: left out, or removed"),
            *(2, "services", "inv deploy.status says more."),
        ),
        Sign("containers", "the others", "ok", "1 well, 1 done", 2, "containers"),
    ]


def test_a_database_is_judged_by_its_health_check_and_its_exporter() -> None:
    """One that is well for itself, and into which nobody can log in, is broken; a cache is told from the broker."""
    services = [
        status("postgres"),
        status("mongodb", "unhealthy"),
        status("redis"),
        status("redis-cache"),
        status("api"),
    ]
    samples = [sample("pg_up", 1), sample("redis_up", 1, server="redis"), sample("redis_up", 0, server="redis-cache")]
    cure = "inv monitor.logs --svc {}; inv db.status"
    assert signs.of_databases(services, samples) == [
        Sign("databases", "postgres", "ok", "healthy for 1 min", 60, "s"),
        Sign("databases", "mongodb", "broken", "unhealthy", 60, "s", cure.format("mongodb")),
        Sign("databases", "redis", "ok", "healthy for 1 min", 60, "s"),
        Sign(
            *("databases", "redis-cache", "broken", "healthy for 1 min; its exporter cannot log in"),
            *(60, "s", cure.format("redis-cache")),
        ),
    ]


def page(**dependencies: dict[str, Any]) -> str:
    """Write a readiness page as the reference application does."""
    return json.dumps({"status": "ready", "dependencies": dependencies})


def test_of_several_answers_the_worst_is_shown() -> None:
    """A container to a line, a neighbour to a line: down before slow, slow before quick."""
    well = {"ok": True, "required": True, "latency_ms": 2.0, "error": None}
    down = {"ok": False, "required": True, "latency_ms": 1.0, "error": "TimeoutError"}
    answers = [
        Answer("api-1", 200, 5.0, page(db=well, model=well | {"latency_ms": 9.0})),
        Answer("api-2", 503, 7.0, page(db=down, model=down | {"required": False, "error": None})),
        Answer("api-3", 0, 5000.0, "timed out"),
    ]
    cure = "inv monitor.logs --svc backend --level warning"
    assert signs.of_readiness(answers) == [
        Sign("readiness", "api-1", "ok", "200", 5.0, "ms"),
        Sign("readiness", "api-2", "broken", "503", 7.0, "ms", cure),
        Sign("readiness", "api-3", "broken", "no answer: timed out", 5000.0, "ms", cure),
        Sign(
            *("readiness", "db", "broken", "does not answer: TimeoutError", 1.0, "ms", "inv monitor.logs --svc db"),
        ),
        Sign("readiness", "model", "warning", "does not answer", 1.0, "ms", "inv monitor.logs --svc model"),
    ]


@pytest.mark.parametrize("body", ["", "ok", "[]", "3", '{"dependencies": ["db"]}', '{"dependencies": {"db": true}}'])
def test_another_applications_page_has_no_neighbours(body: str) -> None:
    """Its status alone counts."""
    assert Answer("api-1", 200, 1.0, body).dependencies == []


def test_a_page_may_say_less_of_a_neighbour() -> None:
    """Whether it answers is enough."""
    found = Answer("api-1", 200, 1.0, page(db={"ok": True})).dependencies
    assert found == [Dependency("db", ok=True, required=True, milliseconds=0, error="")]


def test_pages_are_judged_by_their_probes() -> None:
    """With the time of the same probe."""
    samples = [
        sample("probe_success", 1, instance="http://a", job="probe"),
        sample("probe_success", 0, instance="https://b", job="probe-edge"),
        sample("probe_duration_seconds", 0.0123, instance="http://a", job="probe"),
    ]
    assert signs.of_pages(samples) == [
        Sign("pages", "http://a", "ok", "answers", 12.3, "ms"),
        Sign(
            *("pages", "https://b", "broken", "does not answer as it should", 0, "ms"),
            "docs/monitoring.md#probefailed",
        ),
    ]


def test_targets_that_are_down_are_named() -> None:
    """A Prometheus that has asked nobody yet knows nothing."""
    samples = [sample("up", 1, job="a", instance="a:1"), sample("up", 0, job="b", instance="b:1")]
    assert signs.of_targets(samples) == [
        Sign("targets", "b", "broken", "b:1 does not answer Prometheus", cure="docs/monitoring.md#targetdown"),
        Sign("targets", "up", "ok", "1 of 2 answer Prometheus", 1, "targets"),
    ]
    assert signs.of_targets([]) == [Sign("targets", "up", "unknown", "0 of 0 answer Prometheus", 0, "targets")]


def test_alerts_are_as_grave_as_they_say() -> None:
    """Since when, about what, and where the page says what to do; those that wait are named."""
    samples = [
        WATCHDOG,
        alert("TargetDown", "critical", job="b"),
        sample("ALERTS_FOR_STATE", NOW - 90, alertname="TargetDown", severity="critical", job="b"),
        alert("HostCpuHigh", "warning"),
        alert("DiskAlmostFull", "critical", "pending"),
    ]
    page = "docs/monitoring.md#"
    assert signs.of_alerts(samples) == [
        Sign("alerts", "HostCpuHigh", "warning", "warning", None, "", f"{page}hostcpuhigh"),
        Sign("alerts", "TargetDown", "broken", "critical for 1 min 30 s: b", 90, "s", f"{page}targetdown"),
        Sign("alerts", "rules", "ok", "2 alerts firing; about to: DiskAlmostFull", 2, "alerts"),
    ]
    assert signs.of_alerts([WATCHDOG]) == [Sign("alerts", "rules", "ok", "none fires", 0, "alerts")]


def test_silence_is_no_good_sign() -> None:
    """Where not even the alert that always fires does, nobody looks at the rules."""
    told = "none fires; Watchdog is silent: no rule is looked at"
    assert signs.of_alerts([]) == [Sign("alerts", "rules", "unknown", told, 0, "alerts", "docs/monitoring.md#watchdog")]


def test_certificates_have_days() -> None:
    """By the name that users type; the alerts say whether they are enough."""
    samples = [
        WATCHDOG,
        sample("probe_ssl_earliest_cert_expiry", NOW + 9.5 * DAY, instance="https://nginx", server_name="example.org"),
    ]
    assert signs.of_certificates(samples) == [Sign("certificate", "example.org", "ok", "10 days left", 9.5, "days")]
    assert signs.of_certificates([*samples, alert("CertificateExpiresSoon", "warning")]) == [
        Sign("certificate", "example.org", "warning", "10 days left", 9.5, "days", "inv security.certs-status")
    ]
    assert [one.state for one in signs.of_certificates([])] == ["unknown"]


def test_backups_have_an_age() -> None:
    """The alerts say whether it is young enough; that there is none is said at once."""
    samples = [
        sample("cotai_backup_last_success_timestamp_seconds", NOW - 7200),
        sample("cotai_backup_size_bytes", 5_000_000),
    ]
    assert signs.of_backups(samples) == [Sign("backup", "newest backup", "ok", "2 h old, 5 MB", 7200, "s")]
    assert signs.of_backups([*samples, alert("BackupTooOld", "critical", "pending")])[0].state == "ok"
    assert signs.of_backups([*samples, alert("BackupTooOld", "critical"), alert("BackupFailed", "warning")]) == [
        Sign("backup", "newest backup", "broken", "2 h old, 5 MB", 7200, "s", "inv backup.list")
    ]
    assert signs.of_backups([]) == [
        Sign("backup", "newest backup", "warning", "none was ever made", cure="inv backup.create")
    ]
