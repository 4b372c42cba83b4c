"""`security.certs`: one way at a time, nothing installed unless it is good, and served before it is called done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.errors import CertificateError, UsageError
from cotai_tasks.security import certs as module
from cotai_tasks.security import installed
from cotai_tasks.security.acme import LETSENCRYPT, STAGING, Directory
from cotai_tasks.security.certificates import Certificate, issue, make_authority
from cotai_tasks.security.certs import Way, certs, choose_way, install_self_signed, trust_steps
from cotai_tasks.security.pem import read_certificates
from cotai_tasks.stack import open_stack
from cotai_tasks.testing import RecordingConsole
from cotai_tasks.volumes import get_folder
from tests.unit.deploy.stacks import settings as development
from tests.unit.security.proxy import FOLDER, Proxy, lock, running, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NAME = "cotai.example.org"
SELF_SIGNED = Way("self-signed")


@pytest.fixture(autouse=True)
def _no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "stack_lock", lock)
    monkeypatch.setattr(installed, "_PATIENCE", 0.0)


def run(way: Way, directory: Path, engine: Proxy, **options: bool) -> tuple[object, str]:
    console = RecordingConsole()
    found = certs(way, yes=True, settings=settings(directory), engine=engine, console=console, **options)
    return found, console.text()


def test_exactly_one_way() -> None:
    """The flags say how, and what is missing when they do not."""
    assert choose_way(self_signed=True, acme=False, chain_file="", key_file="") == SELF_SIGNED
    assert choose_way(self_signed=False, acme=True, chain_file="", key_file="", rehearse=False) == Way(
        "acme", rehearse=False
    )
    assert choose_way(self_signed=False, acme=False, chain_file="c", key_file="k") == Way("files", "c", "k")
    for flags, fault in (
        ((False, False, "", ""), "no way to get a certificate is given"),
        ((True, True, "", ""), "more than one way to get a certificate"),
        ((False, True, "c", "k"), "more than one way to get a certificate"),
        ((False, False, "c", ""), "--cert without --key"),
        ((False, False, "", "k"), "--key without --cert"),
    ):
        self_signed, acme, chain_file, key_file = flags
        with pytest.raises(UsageError, match=fault[:-1]):
            choose_way(self_signed=self_signed, acme=acme, chain_file=chain_file, key_file=key_file)


def test_development_has_no_tls() -> None:
    """It is said, rather than a certificate made that nothing would read."""
    with pytest.raises(UsageError, match="the development stack has no TLS"):
        certs(SELF_SIGNED, yes=True, settings=development(), engine=Proxy(), console=RecordingConsole())


def test_the_first_certificate_waits_for_nginx(tmp_path: Path) -> None:
    """The authority is made once, its key for its owner alone, and how to trust it is told once."""
    engine = Proxy()
    found, text = run(SELF_SIGNED, tmp_path, engine)
    assert isinstance(found, installed.Installed)
    assert (found.method, found.names, found.issuer) == ("self-signed", (NAME,), "CotAi local CA cotai")
    assert sorted(engine.folders[FOLDER]) == ["certificate.json", "fullchain.pem", "privkey.pem"]
    assert json.loads(engine.folders[FOLDER]["certificate.json"])["serial"] == found.serial
    assert "nginx does not run: it takes the certificate up when it starts" in text
    assert "update-ca-certificates" in text
    folder = tmp_path / "env/secrets"
    assert {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()} == {
        "local-ca.pem": 0o600,
        "local-ca.key": 0o600,
    }
    before = (folder / "local-ca.pem").read_bytes()
    again, text = run(SELF_SIGNED, tmp_path, engine)
    assert isinstance(again, installed.Installed)
    assert again.serial != found.serial
    assert (folder / "local-ca.pem").read_bytes() == before
    assert "update-ca-certificates" not in text


def test_a_running_nginx_is_checked_reloaded_and_asked(tmp_path: Path) -> None:
    """In that order; and what it shows is what was installed."""
    engine = running()
    found, text = run(SELF_SIGNED, tmp_path, engine)
    assert isinstance(found, installed.Installed)
    assert [call[2:4] for call in engine.calls if call[0] == "execute"] == [
        ("nginx", "-t"),
        ("nginx", "-s"),
        ("sh", "-c"),
    ]
    assert f"{NAME}: signed by CotAi local CA cotai, valid until {found.not_after:%Y-%m-%d}" in text


def test_what_nginx_refuses_is_taken_back(tmp_path: Path) -> None:
    """The files before are there again, and nothing was reloaded."""
    engine = running()
    run(SELF_SIGNED, tmp_path, engine)
    before = dict(engine.folders[FOLDER])
    engine.refuses = True
    engine.calls.clear()
    with pytest.raises(CertificateError, match="nginx refuses its configuration") as caught:
        run(SELF_SIGNED, tmp_path, engine)
    assert caught.value.evidence == "nginx: [emerg] key values mismatch"
    assert engine.folders[FOLDER] == before
    assert ("execute", "nginx", "nginx", "-s", "reload") not in engine.calls


def test_a_certificate_that_is_not_served_is_no_success(tmp_path: Path) -> None:
    """An nginx that goes on with the old one is found out."""
    with pytest.raises(CertificateError, match=f"nginx still shows no certificate for {NAME}"):
        run(SELF_SIGNED, tmp_path, running(deaf=True))


def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    """Each way says what it would do."""
    engine = running()
    for way, said in (
        (SELF_SIGNED, "sign a certificate of 90 days with the local authority"),
        (Way("acme"), f"get a certificate from {LETSENCRYPT}"),
        (Way("files", "c.pem", "k.pem"), "judge c.pem and k.pem"),
    ):
        found, text = run(way, tmp_path, engine, dry_run=True)
        assert found is None
        assert f"would {said} for {NAME}, and install it in cotai-prod" in text
    assert engine.folders == {}
    assert not (tmp_path / "env").exists()


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Way]:
    """Give files for a name, of an authority that this host trusts."""
    now = datetime.now(UTC)
    authority = make_authority("Public authority", now=now)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    def make(name: str) -> Way:
        made = issue(authority, [name], days=60, now=now)
        (tmp_path / "chain.pem").write_bytes(made.chain_pem)
        (tmp_path / "key.pem").write_bytes(b"a comment\n" + made.key_pem)
        return Way("files", "chain.pem", "key.pem")

    return make


def test_files_are_brought(tmp_path: Path, bring: Callable[[str], Way]) -> None:
    """Paths are of the project; the key goes in without what surrounded it."""
    engine = running()
    found, _ = run(bring(NAME), tmp_path, engine)
    assert isinstance(found, installed.Installed)
    assert (found.method, found.issuer) == ("files", "Public authority")
    assert engine.folders[FOLDER]["privkey.pem"].startswith(b"-----BEGIN PRIVATE KEY-----")


def test_bad_files_change_nothing(tmp_path: Path, bring: Callable[[str], Way]) -> None:
    """Every fault is told, and the volume is not touched."""
    engine = running()
    with pytest.raises(CertificateError, match=r"chain\.pem has one fault") as caught:
        run(bring("other.example.org"), tmp_path, engine)
    assert [one.fault for one in caught.value.findings] == [f"not for {NAME}, only for other.example.org"]
    with pytest.raises(UsageError, match="nowhere: No such file or directory"):
        run(Way("files", "nowhere", "nowhere"), tmp_path, engine)
    assert engine.folders == {}


def test_acme_needs_an_nginx_that_answers(tmp_path: Path) -> None:
    """What to do first is said."""
    with pytest.raises(CertificateError, match="nginx does not run") as caught:
        run(Way("acme"), tmp_path, Proxy())
    assert "inv security.certs --self-signed, then inv deploy.prod" in caught.value.cure


def test_lets_encrypt_is_rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staging first; what it signs is thrown away; each token is seen to be served before the authority looks."""
    asked: list[str] = []
    authority = make_authority("Let's say", now=datetime.now(UTC))
    monkeypatch.setattr(module, "system_anchors", lambda _: read_certificates(authority.certificate_pem))

    def obtain(
        directory: Directory,
        names: tuple[str, ...],
        *,
        publish: Callable[[Mapping[str, str]], None],
        agree: Callable[[str], None],
    ) -> Certificate:
        asked.append(directory.url)
        agree("Agree?")
        publish({"token": "token.thumb"})
        publish({})
        return issue(authority, names, days=90, now=datetime.now(UTC))

    monkeypatch.setattr(module, "obtain", obtain)
    engine = running()
    found, _ = run(Way("acme"), tmp_path, engine)
    assert isinstance(found, installed.Installed)
    assert (found.method, asked) == ("acme", [STAGING, LETSENCRYPT])
    assert engine.tokens == [{"token": b"token.thumb"}] * 2
    assert engine.folders["proxy/acme"] == {}
    asked.clear()
    run(Way("acme", rehearse=False), tmp_path, engine)
    assert asked == [LETSENCRYPT]


def test_only_the_first_start_makes_one(tmp_path: Path) -> None:
    """`deploy.init` gives nginx a certificate to start with, and never replaces a better one."""
    engine = Proxy()
    assert install_self_signed(settings=settings(tmp_path), engine=engine, console=RecordingConsole())
    before = dict(engine.folders[FOLDER])
    assert install_self_signed(settings=settings(tmp_path), engine=engine, console=RecordingConsole()) is None
    assert engine.folders[FOLDER] == before


def test_paths_with_blanks_can_be_pasted(tmp_path: Path) -> None:
    """What is printed is what somebody pastes into a shell."""
    assert (
        "install -m 644 '/srv/my project/local-ca.pem' /usr"
        in trust_steps(tmp_path / "/srv/my project/local-ca.pem")[0]
    )


def test_what_is_installed_can_be_read_again(tmp_path: Path) -> None:
    """The same facts as when it was installed."""
    engine = Proxy()
    found, _ = run(SELF_SIGNED, tmp_path, engine)
    stack = open_stack(settings(tmp_path), engine)
    assert installed.read_installed(stack, engine) == found
    assert isinstance(found, installed.Installed)
    assert found.lifetime == timedelta(days=90, seconds=-1)
    assert set(get_folder(stack, engine, FOLDER)) == set(engine.folders[FOLDER])


@pytest.mark.parametrize("lost", ["fullchain.pem", "certificate.json", "another"])
def test_a_part_of_a_certificate_is_none(tmp_path: Path, lost: str) -> None:
    """Whoever was interrupted between two files finds none, and gets another; what stands for all comes last."""
    engine = Proxy()
    run(SELF_SIGNED, tmp_path, engine)
    assert list(engine.folders[FOLDER]) == ["certificate.json", "privkey.pem", "fullchain.pem"]
    facts = engine.folders[FOLDER].pop(lost, b"")
    if not facts:  # the facts and the key are new, the chain is the one before
        engine.folders[FOLDER]["certificate.json"] = engine.folders[FOLDER]["certificate.json"].replace(
            b'"serial": "', b'"serial": "0'
        )
    assert installed.read_installed(open_stack(settings(tmp_path), engine), engine) is None
    assert install_self_signed(settings=settings(tmp_path), engine=engine, console=RecordingConsole())


@pytest.mark.parametrize("lost", ["local-ca.pem", "local-ca.key"])
def test_half_of_a_local_authority_is_none(tmp_path: Path, lost: str) -> None:
    """Both files, or both anew."""
    engine, folder = Proxy(), tmp_path / "env/secrets"
    run(SELF_SIGNED, tmp_path, engine)
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    (folder / lost).unlink()
    assert "made the local authority" in run(SELF_SIGNED, tmp_path, engine)[1]
    assert not {one.read_bytes() for one in folder.iterdir()} & set(before.values())


def test_every_name_is_asked_before_the_authority_looks(tmp_path: Path) -> None:
    """A name that leads nowhere is found here, where it costs nothing."""
    engine = running()
    stack = open_stack(settings(tmp_path), engine)
    module._publish(  # noqa: SLF001 - the real authority asks only what it is told to
        {"token": "text"}, ["a.example.org", "b.example.org"], stack, engine
    )
    assert engine.asked == ["a.example.org", "b.example.org"]
