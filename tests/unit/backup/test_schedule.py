"""Backups by themselves: which jobs, when, and what must be there before a night can go well."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.age import make_identity
from cotai_tasks.backup.schedule import make_jobs, schedule
from cotai_tasks.errors import IdentityError
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.timers import Place, make_timer
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.settings import Settings
    from cotai_tasks.timers import Timer


def production(folder: Path, *, recipients: bool = True, **changes: str) -> Settings:
    if recipients:
        (folder / "env").mkdir(exist_ok=True)
        (folder / "env/recipients.txt").write_text(f"{make_identity().to_public()}\n")
    return settings(**changes).model_copy(update={"environment": "prod", "directory": folder})


def test_what_runs_when() -> None:
    """Made at night, thinned out after it, looked for by the morning and all day; a drill only where one is wanted."""
    jobs = make_jobs("prod", 163, drill=True)
    assert [(one.name, " ".join(one.words), one.calendar, one.cron) for one in jobs] == [
        ("backup", "backup.create --env prod", "*-*-* 02:43:00", "43 2 * * *"),
        ("backup-prune", "backup.prune --yes --env prod", "*-*-* 05:43:00", "43 5 * * *"),
        ("backup-check", "backup.check --max-age 26h --notify --env prod", "*-*-* 00/6:13:00", "13 */6 * * *"),
        ("backup-drill", "backup.drill --env prod", "Sun *-*-* 06:43:00", "43 6 * * 0"),
    ]
    assert make_jobs("prod", 163, drill=False) == jobs[:3]


def test_what_is_missed_is_made_up_for() -> None:
    """A failed backup is tried again, a missed one made when the host is back; a check then would be a false alarm."""
    backup, prune, check, _ = make_jobs("prod", 163, drill=True)
    assert (backup.attempts, prune.attempts, check.attempts) == (3, 1, 1)
    assert (backup.catch_up, prune.catch_up, check.catch_up) == (True, True, False)


def test_a_night_that_hangs_does_not_keep_the_next() -> None:
    """Backups and drills are ended before the next is due."""
    assert {one.name for one in make_jobs("prod", 163, drill=True) if one.longest == "12h"} == {
        "backup",
        "backup-drill",
    }


@pytest.mark.parametrize("minute", range(120, 240, 7))
def test_a_missing_night_is_found_in_the_morning(minute: int) -> None:
    """Whenever a host's minute is: at 06:13 the backup of the night before is older than 26 hours."""
    backup, *_ = make_jobs("prod", minute, drill=False)
    begun, hour = (int(part) for part in backup.cron.split()[:2])
    assert (24 * 60 + 6 * 60 + 13) - (hour * 60 + begun) > 26 * 60


def test_hosts_begin_at_minutes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Always the same one, between two and four at night."""
    found = set()
    for host in ("one", "two", "three", "one"):
        monkeypatch.setattr("socket.gethostname", lambda name=host: name)
        console = RecordingConsole()
        schedule(environ={}, settings=production(tmp_path), console=console)
        line = next(one for one in console.text().splitlines() if "inv backup.create" in one and "cd " in one)
        minute, hour = (int(part) for part in line.split("crontab -e:")[-1].split()[:2])
        found.add(hour * 60 + minute)
    assert len(found) == 3
    assert all(120 <= one < 240 for one in found)


def test_what_is_printed(tmp_path: Path) -> None:
    """Units and lines for cron of each job, with the settings of whoever asked, and nothing installed."""
    console = RecordingConsole()
    schedule(environ={"BACKUP_STORE": "s3://b/p"}, settings=production(tmp_path), console=console)
    text = console.text()
    for name in ("backup", "backup-prune", "backup-check"):
        assert f"# /etc/systemd/system/cotai-prod-{name}.service\n[Unit]" in text
    assert text.count('Environment="BACKUP_STORE=s3://b/p"') == 3
    assert text.count("BACKUP_STORE=s3://b/p ") == 3
    assert "backup-drill" not in text


def test_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each timer is named with what it runs, and where to look afterwards."""
    installed: list[Timer] = []

    def install(timers: Sequence[Timer]) -> None:
        installed.extend(timers)

    monkeypatch.setattr("cotai_tasks.backup.schedule.install_timers", install)
    console = RecordingConsole()
    given = production(tmp_path, BACKUP_IDENTITY="drill.txt")
    (tmp_path / "drill.txt").write_text("")
    schedule(install=True, drill=True, environ={}, settings=given, console=console)
    assert [one.name for one in installed] == [
        f"cotai-prod-{name}" for name in ("backup", "backup-prune", "backup-check", "backup-drill")
    ]
    assert "✓ cotai-prod-backup-check.timer: inv backup.check --max-age 26h --notify --env prod" in console.text()
    assert "journalctl -u cotai-prod-backup how" in console.text()


def test_a_backup_that_nobody_could_open_is_not_scheduled(tmp_path: Path) -> None:
    """It would fail every night; development's is not encrypted."""
    with pytest.raises(IdentityError, match="no recipient"):
        schedule(environ={}, settings=production(tmp_path, recipients=False), console=RecordingConsole())
    schedule(environ={}, settings=settings(), console=RecordingConsole())


def test_a_drill_without_a_key_is_not_scheduled(tmp_path: Path) -> None:
    """Nor one whose key is not where it is said to be."""
    for named, fault in (("", "this host has no identity"), ("gone.txt", "BACKUP_IDENTITY=gone.txt: no such file")):
        given = production(tmp_path, BACKUP_IDENTITY=named)
        with pytest.raises(IdentityError, match=fault):
            schedule(drill=True, environ={}, settings=given, console=RecordingConsole())


def test_a_login_in_the_environment_is_told_of(tmp_path: Path) -> None:
    """A night's backup would not have it; where it belongs is said, its value is not."""
    console = RecordingConsole()
    environ = {"AWS_SECRET_ACCESS_KEY": "canary-key", "BACKUP_WEBHOOK_URL": "https://example.org/canary"}
    schedule(environ=environ, settings=production(tmp_path), console=console)
    assert "! not in the units, which everybody can read: AWS_SECRET_ACCESS_KEY, BACKUP_WEBHOOK_URL." in console.text()
    assert "canary" not in console.text()


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Without a word of warning from its own reader, where this host has it."""
    if not (reader := shutil.which("systemd-analyze")):
        pytest.skip("no systemd-analyze on this host")
    place = Place(tmp_path, "root", Path("/bin/true"), {"COTAI_DOCKER": '/a "$b" 5%'})
    files = []
    for made in (make_timer(job, "cotai-test", place) for job in make_jobs("prod", 163, drill=True)):
        files += [tmp_path / f"{made.name}.service", tmp_path / f"{made.name}.timer"]
        files[-2].write_text(made.service)
        files[-1].write_text(made.timer)
    done = subprocess.run([reader, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
