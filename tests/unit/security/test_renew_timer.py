"""Renewal by itself: units that systemd takes, a line that cron takes, and no surprise where neither will do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cotai_tasks.errors import PreflightError
from cotai_tasks.security.timer import install_timer, make_schedule, schedule, show_schedule
from cotai_tasks.testing import RecordingConsole
from tests.unit.security.production import filled_settings
from tests.unit.security.proxy import settings

MADE = make_schedule("cotai-prod", Path("/srv/cotai"), "deploy", Path("/srv/venv/bin/inv"), {})


def test_the_units() -> None:
    """Run by the owner of the project, in its folder, twice a day."""
    assert MADE.name == "cotai-prod-renew"
    assert "User=deploy\nWorkingDirectory=/srv/cotai\nExecStart=/srv/venv/bin/inv security.renew --env prod\n" in (
        MADE.service
    )
    assert "OnCalendar=*-*-* 03,15:17:00\nRandomizedDelaySec=1h\nPersistent=true\n" in MADE.timer
    assert MADE.cron == "17 3,15 * * * cd /srv/cotai && /srv/venv/bin/inv security.renew --env prod"


def test_odd_paths() -> None:
    """Blanks, and the characters that mean something to systemd and to cron."""
    odd = make_schedule(
        "cotai-prod", Path("/srv/100% mine"), "deploy", Path("/opt/a $b/inv"), {"COTAI_DOCKER": '/a "$b" 5%'}
    )
    assert "WorkingDirectory=/srv/100%% mine\n" in odd.service
    assert 'ExecStart="/opt/a $$b/inv" security.renew' in odd.service
    assert r"""cd '/srv/100\% mine' && COTAI_DOCKER='/a "$b" 5\%' '/opt/a $b/inv' security.renew""" in odd.cron
    assert r'''Environment="COTAI_DOCKER=/a \"$b\" 5%%"''' in odd.service


def test_what_is_printed(tmp_path: Path) -> None:
    """Each file with the place it belongs to; the owner is the folder's."""
    console = RecordingConsole()
    show_schedule(schedule(settings(tmp_path), {}), console)
    text = console.text()
    assert "# /etc/systemd/system/cotai-prod-renew.service\n[Unit]" in text
    assert "# /etc/systemd/system/cotai-prod-renew.timer\n[Unit]" in text
    assert f"User={tmp_path.owner()}\nWorkingDirectory={tmp_path}\n" in text


def test_no_systemd_and_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do instead is said."""
    with pytest.raises(PreflightError, match="systemd does not run this host") as caught:
        install_timer(MADE, RecordingConsole(), booted=tmp_path / "absent")
    assert caught.value.cure == f"Add this to crontab -e: {MADE.cron}"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PreflightError, match="only root may install a timer"):
        install_timer(MADE, RecordingConsole(), booted=tmp_path)


def test_it_is_installed_and_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both units in their place, systemd told of them; its own words when it refuses."""
    ran: list[list[str]] = []
    code = 0

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, code, "", "Unit is masked.")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("subprocess.run", run)
    install_timer(MADE, RecordingConsole(), units=tmp_path, booted=tmp_path)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "cotai-prod-renew.service": MADE.service,
        "cotai-prod-renew.timer": MADE.timer,
    }
    assert ran == [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "cotai-prod-renew.timer"]]
    code = 1
    with pytest.raises(PreflightError, match="systemctl daemon-reload failed") as caught:
        install_timer(MADE, RecordingConsole(), units=tmp_path, booted=tmp_path)
    assert caught.value.evidence == "Unit is masked."


def test_the_engine_and_the_settings_are_those_of_whoever_made_it(tmp_path: Path) -> None:
    """A timer without them would ask the local engine; secrets, and what is not ours, stay out of a public file."""
    given = filled_settings(tmp_path)
    environ = {
        "DOCKER_HOST": "ssh://deploy@far.example.org",
        "INVOKE_COTAI_ENV_FILE": "env/other",
        "COTAI_SECRETS": "/srv/secrets",
        "INVOKE_COTAI_VARIABLES_REDIS_PASSWORD": "another-value",
        "COTAI_ODD": given.variables.plain()["REDIS_PASSWORD"],
        "REDIS_PASSWORD": "one-more-value",
        "HOME": "/root",
    }
    lines = schedule(given, environ).service.splitlines()
    assert [line for line in lines if line.startswith("Environment=")] == [
        'Environment="COTAI_SECRETS=/srv/secrets"',
        'Environment="DOCKER_HOST=ssh://deploy@far.example.org"',
        'Environment="INVOKE_COTAI_ENV_FILE=env/other"',
    ]
