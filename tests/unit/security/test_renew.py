"""`security.renew` and `security.certs-status`: in time, the same way as before, and honest about what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.errors import CertificateError, UsageError
from cotai_tasks.security import certs, installed
from cotai_tasks.security import renew as module
from cotai_tasks.security.certs import Way
from cotai_tasks.security.certs_status import CertificateStatus, certificate_status, find_fault, show_certificate
from cotai_tasks.security.installed import Installed
from cotai_tasks.security.renew import renew, why_due
from cotai_tasks.testing import RecordingConsole
from tests.unit.deploy.stacks import settings as development
from tests.unit.security.proxy import Proxy, lock, running, settings

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
NAME = "cotai.example.org"


def certificate(*, left: float = 60, method: str = "acme", names: tuple[str, ...] = (NAME,)) -> Installed:
    """Give a certificate of ninety days of which some are left."""
    end = NOW + timedelta(days=left)
    return Installed(method, names, "An authority", "1f", end - timedelta(days=90), end, end - timedelta(days=90))


@pytest.mark.parametrize(
    ("left", "names", "reason"),
    [
        (89.9, (NAME,), ""),
        (30.1, (NAME,), ""),
        (30, (NAME,), "30 days are left"),
        (1.5, (NAME,), "1 days are left"),
        (-3, (NAME,), "0 days are left"),
        (60, (NAME, "b.example.org"), "SERVER_NAME has b.example.org, the certificate has not"),
    ],
)
def test_when_it_is_due(left: float, names: tuple[str, ...], reason: str) -> None:
    """With a third of its life left, or when the stack has another name."""
    assert why_due(certificate(left=left), names, NOW) == reason


def renewal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Installed | None, *, force: bool = False
) -> tuple[list[Way], str]:
    ways: list[Way] = []

    def get(way: Way, **_: object) -> Installed:
        ways.append(way)
        return certificate(left=90)

    monkeypatch.setattr(module, "certs", get)
    monkeypatch.setattr(module, "read_installed", lambda *_: found)
    console = RecordingConsole()
    renew(force=force, settings=settings(tmp_path), engine=Proxy(), console=console)
    return ways, console.text()


def test_nothing_to_do_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cron mails, if it mails anything."""
    ways, text = renewal(tmp_path, monkeypatch, certificate(left=60.5))
    assert ways == []
    assert text == f"✓ nothing to do: {NAME} is valid for 60 days more\n"


@pytest.mark.parametrize("method", ["acme", "self-signed"])
def test_it_is_renewed_the_way_it_was_got(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without another rehearsal; `--force` does it before it is due."""
    due = certificate(left=29.5, method=method)
    assert renewal(tmp_path, monkeypatch, due) == ([Way(method, rehearse=False)], "renewing: 29 days are left\n")
    fresh = certificate(left=80, method=method)
    ways, text = renewal(tmp_path, monkeypatch, fresh, force=True)
    assert (ways, text) == ([Way(method, rehearse=False)], "renewing: --force\n")


def test_only_a_person_can_renew_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word while there is time, an error when there is little."""
    ways, text = renewal(tmp_path, monkeypatch, certificate(left=25.5, method="files"))
    assert ways == []
    assert "(25 days). Whoever got it from An authority brings the next: inv security.certs --cert" in text
    with pytest.raises(CertificateError, match=rf"the certificate of An authority is not for {NAME}"):
        renewal(tmp_path, monkeypatch, certificate(left=80, method="files", names=("other.example.org",)))
    with pytest.raises(CertificateError, match=r"the certificate of An authority ends on .* \(19 days\)"):
        renewal(tmp_path, monkeypatch, certificate(left=19.5, method="files"))


def test_there_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewing nothing is an error, not a success; development has none to renew."""
    with pytest.raises(CertificateError, match="cotai-prod has no certificate to renew"):
        renewal(tmp_path, monkeypatch, None)
    with pytest.raises(UsageError, match="the development stack has no TLS"):
        renew(force=False, settings=development(), engine=Proxy(), console=RecordingConsole())


# -- status ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """Give an nginx that serves a new certificate."""
    monkeypatch.setattr(certs, "stack_lock", lock)
    monkeypatch.setattr(installed, "_PATIENCE", 0.0)
    made = running()
    certs.certs(Way("self-signed"), yes=True, settings=settings(tmp_path), engine=made, console=RecordingConsole())
    return made


def test_an_nginx_that_was_not_told_is_told(tmp_path: Path, engine: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was interrupted before the reload: the certificate is there, and users are shown the one before."""
    monkeypatch.setattr(module, "stack_lock", lock)
    right, engine.loaded = engine.loaded, b""
    console = RecordingConsole()
    for dry_run, served in ((True, b""), (False, right)):
        renew(force=False, dry_run=dry_run, settings=settings(tmp_path), engine=engine, console=console)
        assert engine.loaded == served
    renew(force=False, settings=settings(tmp_path), engine=engine, console=console)
    assert console.text().count("nginx shows another certificate") == 2
    assert "nothing to do" in console.text()


def shown(status: CertificateStatus, *, as_json: bool = False) -> str:
    console = RecordingConsole()
    show_certificate(status, as_json=as_json, console=console)
    return console.text()


def test_a_good_certificate(tmp_path: Path, engine: Proxy) -> None:
    """All of it in one row; the same for a program."""
    status = certificate_status(settings=settings(tmp_path), engine=engine)
    assert (status.stack, status.days_left, status.served, status.fault, status.warning) == (
        "cotai-prod",
        89,
        "yes",
        "",
        "",
    )
    text = shown(status)
    assert all(word in text for word in (NAME, "CotAi local CA cotai", "self-signed", "89", "yes"))
    assert '"served": true' in shown(status, as_json=True)


def test_what_will_go_wrong_and_what_has(tmp_path: Path, engine: Proxy) -> None:
    """Less than twenty days is a warning, the end is exit code 12, and so is another one in nginx's place."""

    def later(days: float) -> CertificateStatus:
        now = datetime.now(UTC) + timedelta(days=days)
        return certificate_status(settings=settings(tmp_path), engine=engine, now=now)

    text = shown(later(70.5))
    assert "! the certificate of cotai-prod: it ends in 19 days. inv security.renew renews it." in text
    with pytest.raises(CertificateError, match=r"the certificate of cotai-prod: it expired on \d{4}-") as caught:
        shown(later(91))
    assert (caught.value.code, caught.value.cure) == (12, "inv security.renew renews it.")
    engine.loaded = b""
    with pytest.raises(CertificateError, match="nginx shows another one"):
        shown(later(0))
    engine.found_containers = []
    assert later(0).served == "nginx does not run"
    assert "nginx does not run" in shown(later(0))


def test_none_is_installed(tmp_path: Path) -> None:
    """How to get one is said; development is told apart."""
    status = certificate_status(settings=settings(tmp_path), engine=Proxy())
    with pytest.raises(CertificateError, match="the certificate of cotai-prod: none is installed") as caught:
        shown(status)
    assert caught.value.cure.startswith("Get one: inv security.certs --self-signed")
    with pytest.raises(UsageError, match="the development stack has no TLS"):
        certificate_status(settings=development(), engine=Proxy())


def test_faults_by_kind() -> None:
    """The date first, then the names, then what nginx shows."""
    found = certificate()
    ok = timedelta(days=60)
    assert find_fault(found, (NAME,), left=ok, served="yes") == ""
    assert find_fault(found, (NAME,), left=timedelta(days=91), served="yes").startswith("it is valid only from")
    assert find_fault(found, ("b.example.org",), left=ok, served="no") == "it is not for b.example.org"
    assert find_fault(replace(found, names=("*.example.org",)), (NAME,), left=ok, served="yes") == ""
