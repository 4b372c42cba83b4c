"""Jobs that run by themselves: units that systemd takes, lines that cron takes, no surprise where neither will do."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cotai_tasks.errors import PreflightError
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.timers import Job, Place, find_place, install_timers, make_timer, show_timers
from tests.unit.security.production import filled_settings
from tests.unit.security.production import settings as bare_settings

JOB = Job(
    name="sweep",
    description="Sweep the floor",
    words=("house.sweep", "--env", "prod"),
    calendar="*-*-* 03:17:00",
    cron="17 3 * * *",
    remark="When nobody is in.",
)
PLACE = Place(Path("/srv/cotai"), "deploy", Path("/srv/venv/bin/inv"), {})
MADE = make_timer(JOB, "cotai-prod", PLACE)


def test_the_units_and_the_line() -> None:
    """Run by the owner of the project, in its folder, at the job's time, later where the host was off."""
    assert MADE.name == "cotai-prod-sweep"
    assert (
        MADE.service
        == """\
[Unit]
Description=Sweep the floor of cotai-prod
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
User=deploy
WorkingDirectory=/srv/cotai
ExecStart=/srv/venv/bin/inv house.sweep --env prod
"""
    )
    assert "[Timer]\n# When nobody is in.\nOnCalendar=*-*-* 03:17:00\nPersistent=true\n" in MADE.timer
    assert MADE.cron == "17 3 * * * cd /srv/cotai && /srv/venv/bin/inv house.sweep --env prod"


def test_a_job_is_spread_left_out_and_tried_again() -> None:
    """As it asks for; what no repetition mends is not tried again, and nothing is for ever."""
    made = make_timer(replace(JOB, spread="1h", catch_up=False, attempts=3), "cotai-prod", PLACE)
    assert "OnCalendar=*-*-* 03:17:00\nRandomizedDelaySec=1h\nPersistent=false\n" in made.timer
    assert "docker.service\nStartLimitIntervalSec=12h\nStartLimitBurst=3\n\n[Service]" in made.service
    assert "Restart=on-failure\nRestartSec=20min\n" in made.service
    assert made.service.endswith("RestartPreventExitStatus=2 3 16\n")


def test_a_job_that_hangs_is_ended() -> None:
    """Without that a unit of this type has for ever, and no other run begins meanwhile."""
    assert "TimeoutStartSec=12h\n" in make_timer(replace(JOB, longest="12h"), "cotai-prod", PLACE).service


def test_odd_paths() -> None:
    """Blanks, and the characters that mean something to systemd and to cron."""
    place = Place(Path("/srv/100% mine"), "deploy", Path("/opt/a $b/inv"), {"COTAI_DOCKER": '/a "$b" 5%'})
    odd = make_timer(JOB, "cotai-prod", place)
    assert "WorkingDirectory=/srv/100%% mine\n" in odd.service
    assert 'ExecStart="/opt/a $$b/inv" house.sweep' in odd.service
    assert r"""cd '/srv/100\% mine' && COTAI_DOCKER='/a "$b" 5\%' '/opt/a $b/inv' house.sweep""" in odd.cron
    assert r'''Environment="COTAI_DOCKER=/a \"$b\" 5%%"''' in odd.service


def test_what_is_printed() -> None:
    """Each file with the place it belongs to, then the lines for cron."""
    console = RecordingConsole()
    show_timers([MADE, make_timer(replace(JOB, name="mop"), "cotai-prod", PLACE)], console)
    text = console.text()
    assert "# /etc/systemd/system/cotai-prod-sweep.service\n[Unit]" in text
    assert "# /etc/systemd/system/cotai-prod-mop.timer\n[Unit]" in text
    assert text.endswith(f"in crontab -e:\n{MADE.cron}\n{MADE.cron}\n")


def test_no_systemd_and_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do instead is said."""
    with pytest.raises(PreflightError, match="systemd does not run this host") as caught:
        install_timers([MADE], booted=tmp_path / "absent")
    assert caught.value.cure == f"Add this to crontab -e: {MADE.cron}"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PreflightError, match="only root may install a timer"):
        install_timers([MADE], booted=tmp_path)


def test_they_are_installed_and_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every unit in its place, systemd told of them; its own words when it refuses."""
    ran: list[list[str]] = []
    code = 0

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, code, "", "Unit is masked.")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("subprocess.run", run)
    mop = make_timer(replace(JOB, name="mop"), "cotai-prod", PLACE)
    install_timers([MADE, mop], units=tmp_path, booted=tmp_path)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "cotai-prod-sweep.service": MADE.service,
        "cotai-prod-sweep.timer": MADE.timer,
        "cotai-prod-mop.service": mop.service,
        "cotai-prod-mop.timer": mop.timer,
    }
    assert ran == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "cotai-prod-sweep.timer", "cotai-prod-mop.timer"],
    ]
    code = 1
    with pytest.raises(PreflightError, match="systemctl daemon-reload failed") as caught:
        install_timers([MADE], units=tmp_path, booted=tmp_path)
    assert caught.value.evidence == "Unit is masked."


def test_the_place_is_the_projects_own(tmp_path: Path) -> None:
    """Whoever owns the folder can read its secrets; nobody else is asked to."""
    place = find_place(bare_settings(tmp_path), {})
    assert (place.directory, place.user, place.variables) == (tmp_path, tmp_path.owner(), {})


def test_the_engine_and_the_settings_are_those_of_whoever_made_it(tmp_path: Path) -> None:
    """Without them another engine would be asked, another store filled; secrets stay out of a public file."""
    given = filled_settings(tmp_path)
    environ = {
        "DOCKER_HOST": "ssh://deploy@far.example.org",
        "INVOKE_COTAI_ENV_FILE": "env/other",
        "COTAI_SECRETS": "/srv/secrets",
        "BACKUP_STORE": "s3://bucket/prefix",
        "AWS_PROFILE": "backups",
        "BUILD_PACKAGES": "",
        "INVOKE_COTAI_VARIABLES_REDIS_PASSWORD": "another-value",
        "COTAI_ODD": given.variables.plain()["REDIS_PASSWORD"],
        "REDIS_PASSWORD": "one-more-value",
        "BACKUP_WEBHOOK_URL": "https://hooks.example.org/token",
        "INVOKE_COTAI_VARIABLES_ALERT_WEBHOOK_URL": "https://hooks.example.org/token",
        "AWS_SECRET_ACCESS_KEY": "a-key",
        "HOME": "/root",
    }
    assert find_place(given, environ).variables == {
        "AWS_PROFILE": "backups",
        "BACKUP_STORE": "s3://bucket/prefix",
        "BUILD_PACKAGES": "",
        "COTAI_SECRETS": "/srv/secrets",
        "DOCKER_HOST": "ssh://deploy@far.example.org",
        "INVOKE_COTAI_ENV_FILE": "env/other",
    }
