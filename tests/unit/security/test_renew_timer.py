"""Renewal by itself: what runs, when, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.security.timer import install_timer, make_renewal, show_timer
from cotai_tasks.testing import RecordingConsole
from tests.unit.security.proxy import settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from cotai_tasks.timers import Timer


def test_it_renews_twice_a_day(tmp_path: Path) -> None:
    """In production's stack, not on the hour, and at once after the host was off; cron at the same times."""
    made = make_renewal(settings(tmp_path), {})
    assert made.name == "cotai-prod-renew"
    assert made.service.endswith("/inv security.renew --env prod\n")
    assert "OnCalendar=*-*-* 03,15:17:00\nRandomizedDelaySec=1h\nPersistent=true\n" in made.timer
    assert made.cron.startswith(f"17 3,15 * * * cd {tmp_path} && ")


def test_what_is_printed(tmp_path: Path) -> None:
    """Each file with the place it belongs to; the owner is the folder's."""
    console = RecordingConsole()
    show_timer(settings(tmp_path), {}, console)
    text = console.text()
    assert "# /etc/systemd/system/cotai-prod-renew.service\n[Unit]" in text
    assert "# /etc/systemd/system/cotai-prod-renew.timer\n[Unit]" in text
    assert f"User={tmp_path.owner()}\nWorkingDirectory={tmp_path}\n" in text


def test_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where to look for when it runs, and how it went, is said."""
    installed: list[Timer] = []

    def install(timers: Sequence[Timer]) -> None:
        installed.extend(timers)

    monkeypatch.setattr("cotai_tasks.security.timer.install_timers", install)
    console = RecordingConsole()
    install_timer(settings(tmp_path), {}, console)
    assert installed == [make_renewal(settings(tmp_path), {})]
    assert "✓ cotai-prod-renew.timer renews twice a day; systemctl list-timers shows when" in console.text()
