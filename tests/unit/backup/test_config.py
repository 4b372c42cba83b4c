"""The configuration in a backup: what is in it, what is not, and how it comes back."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.backup.components.base import Leftovers, Site
from cotai_tasks.backup.components.config import Config
from cotai_tasks.backup.components.config_files import ConfigFile, unpack, write_file
from cotai_tasks.errors import IntegrityError, RefusedError
from cotai_tasks.facts import Image
from cotai_tasks.testing import FakeEngine
from cotai_tasks.variables import Variables
from tests.unit.backup.dumps import Kept, keep
from tests.unit.deploy.stacks import service, stack
from tests.unit.security.production import filled_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BACKUP = "20261123T073840Z-a1b2c3"
CANARY = "canary-5e1f"
RENDERED = {"services": {"backend": {"image": "backend:1", "environment": {"APP_TOKEN": CANARY, "LOG_LEVEL": "INFO"}}}}
SETTINGS = "SERVER_NAME=cotai.example.org\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Make a production project with secrets, an overridden file, files of its own, and an application's env file."""
    settings = filled_settings(tmp_path)
    settings = settings.model_copy(
        update={"variables": settings.variables.model_copy(update={"APP_ENV_FILE": "own.env"})}
    )
    files = {
        "env/.env.production": SETTINGS,
        "own.env": f"APP_TOKEN={CANARY}\n",
        "invoke.yaml": "cotai: {}\n",
        "docker/redis/redis.conf": "maxmemory 1gb\n",
        "docker/unrelated/big.bin": "theirs",
        "env/secrets/backup/signing.key": CANARY,
        "env/secrets/.new-abc": CANARY,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    engine = FakeEngine(found_images={"backend:1": Image("sha256:1", ("backend:1",), 1, "")})
    return Site(stack(service("backend"), rendered=RENDERED), settings, engine)


def names(files: Mapping[str, ConfigFile]) -> set[str]:
    return {name for name in files if not name.startswith("env/secrets/")}


def restored(site: Site, kept: Kept, *, swap: bool = True) -> None:
    assert Config(encrypted=True).stage(site, BACKUP, [kept.stream], kept.feed) == []
    if swap:
        Config(encrypted=True).swap(site, BACKUP)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_encrypted_backup_holds_all_that_a_stack_is_made_from(site: Site) -> None:
    """Settings, secrets, overridden files, the rendered project with its images; of the project's own code nothing."""
    kept = keep(Config(encrypted=True), site)
    files = unpack(kept.data)
    assert names(files) == {
        "compose.json",
        "docker/redis/redis.conf",
        "env/.env.production",
        "env/application.env",
        "images.json",
        "invoke.yaml",
    }
    assert (
        files["env/secrets/POSTGRES_PASSWORD"].content
        == site.settings.secrets_folder.joinpath("POSTGRES_PASSWORD").read_bytes()
    )
    assert "env/secrets/tls/postgres.key" in files
    assert json.loads(files["images.json"].content) == {"backend": {"image": "backend:1", "id": "sha256:1"}}
    assert {file.mode for name, file in files.items() if name.startswith("env/secrets/")} == {0o600}


def test_the_key_that_signs_backups_stays_on_its_host(site: Site) -> None:
    """Whoever may open a backup may not make one in this host's name."""
    assert not any("signing.key" in name for name in unpack(keep(Config(encrypted=True), site).data))


def test_a_plain_backup_holds_no_secret(site: Site) -> None:
    """Neither a file of them nor, in what Compose renders, a value of the application's own env file."""
    kept = keep(Config(encrypted=False), site)
    assert CANARY.encode() not in kept.data
    assert not any(name.startswith("env/secrets/") for name in unpack(kept.data))
    assert kept.stream.facts["secrets"] is None
    assert json.loads(unpack(kept.data)["compose.json"].content)["services"]["backend"]["environment"] == {
        "LOG_LEVEL": "INFO"
    }


def test_the_manifest_tells_of_secrets_their_names_alone(site: Site) -> None:
    """A manifest is not encrypted, and from the hash of a short value it can be guessed."""
    facts = keep(Config(encrypted=True), site).stream.facts
    assert "env/secrets/POSTGRES_PASSWORD" in facts["secrets"]
    assert not any(name.startswith("env/secrets") or name == "env/application.env" for name in facts["files"])
    assert CANARY not in json.dumps(facts)


def test_the_same_files_give_the_same_bytes(site: Site) -> None:
    """Times and owners are in no archive."""
    assert keep(Config(encrypted=True), site).data == keep(Config(encrypted=True), site).data


def test_a_rehearsal_compares_every_file(site: Site) -> None:
    """Names of all, hashes of those that are no secrets."""
    kept = keep(Config(encrypted=True), site)
    with Config(encrypted=True).rehearse(site, BACKUP, [kept.stream], kept.feed) as found:
        assert found.differences == ()
    facts = kept.stream.facts | {"files": kept.stream.facts["files"] | {"invoke.yaml": "0" * 64, "gone.txt": "1" * 64}}
    with Config(encrypted=True).rehearse(
        site, BACKUP, [kept.stream.model_copy(update={"facts": facts})], kept.feed
    ) as found:
        assert [one.where for one in found.differences] == ["file gone.txt", "file invoke.yaml"]


def test_files_that_are_as_they_were_are_left_alone(site: Site) -> None:
    """A restore over the same configuration replaces nothing."""
    before = everything(site.settings.directory)
    restored(site, keep(Config(encrypted=True), site))
    Config(encrypted=True).discard(site, BACKUP)
    assert everything(site.settings.directory) == before


def test_other_files_are_replaced_and_kept_until_they_are_discarded(site: Site) -> None:
    """Missing ones are made; `revert` brings back exactly what was."""
    part, directory = Config(encrypted=True), site.settings.directory
    kept = keep(part, site)
    (directory / "env/.env.production").write_text("SERVER_NAME=other.example.org\n")
    (directory / "env/secrets/POSTGRES_PASSWORD").unlink()
    (directory / "own.env").write_text("APP_TOKEN=newer\n")
    (directory / "own.env").chmod(0o640)
    changed = everything(directory)
    restored(site, kept, swap=False)
    assert {name: text for name, text in everything(directory).items() if not name.startswith(".cotai")} == changed
    assert part.leftovers(site) == Leftovers(staged=frozenset({BACKUP}))
    part.swap(site, BACKUP)
    assert (directory / "env/.env.production").read_text() == SETTINGS
    assert (directory / "env/secrets/POSTGRES_PASSWORD").stat().st_mode & 0o777 == 0o600
    assert part.leftovers(site) == Leftovers(replaced=frozenset({BACKUP}))
    part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    assert everything(directory) == changed
    assert (directory / "own.env").stat().st_mode & 0o777 == 0o640
    assert part.leftovers(site) == Leftovers()


@pytest.mark.parametrize("files", range(7))
def test_a_swap_that_is_interrupted_anywhere_is_undone(site: Site, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Killed before the nth file is written, old copies among them: all is as before, and a second try succeeds."""
    part, directory = Config(encrypted=True), site.settings.directory
    kept = keep(part, site)
    (directory / "env/.env.production").write_text("SERVER_NAME=other.example.org\n")
    (directory / "invoke.yaml").unlink()
    (directory / "env/secrets/POSTGRES_PASSWORD").write_text("another")
    before = everything(directory)
    restored(site, kept, swap=False)
    left = files

    def stopping(do: Callable[[Path, Any], None]) -> Callable[[Path, Any], None]:
        def wrapped(path: Path, other: Any) -> None:  # noqa: ANN401 - a file or its other name
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            do(path, other)

        return wrapped

    monkeypatch.setattr("cotai_tasks.backup.components.config.os.link", stopping(os.link))
    monkeypatch.setattr("cotai_tasks.backup.components.config.write_file", stopping(write_file))
    if files < 5:  # two that are kept, three that are placed
        with pytest.raises(KeyboardInterrupt):
            part.swap(site, BACKUP)
    else:
        part.swap(site, BACKUP)
    monkeypatch.undo()
    part.revert(site, BACKUP)
    assert not list(directory.rglob("*.old"))
    part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    assert everything(directory) == before
    restored(site, kept)
    assert (directory / "env/.env.production").read_text() == SETTINGS


@pytest.mark.parametrize("linking", [True, False])
def test_what_was_replaced_outlives_a_revert_that_fails(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, linking: bool
) -> None:
    """It is the only copy of the old settings and secrets: clearing up must not take it. A second try puts it back."""
    part, directory = Config(encrypted=True), site.settings.directory
    kept = keep(part, site)
    (directory / "env/.env.production").write_text("SERVER_NAME=other.example.org\n")
    (directory / "env/secrets/POSTGRES_PASSWORD").write_text("another")
    before = everything(directory)
    if not linking:
        monkeypatch.setattr("cotai_tasks.backup.components.config.os.link", refusing)
    restored(site, kept)
    with monkeypatch.context() as failing:
        failing.setattr("cotai_tasks.backup.components.config.Path.unlink", refusing)
        with pytest.raises(OSError, match="refused"):
            part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    assert everything(directory) == before


def test_putting_back_needs_no_room_on_the_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk may be just why the swap failed."""
    part, directory = Config(encrypted=True), site.settings.directory
    kept = keep(part, site)
    (directory / "own.env").write_text("APP_TOKEN=newer\n")
    before = everything(directory)
    restored(site, kept)
    monkeypatch.setattr("cotai_tasks.backup.components.config.write_file", refusing)
    part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    assert everything(directory) == before


def test_what_was_kept_on_another_disk_is_copied_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the secrets may be elsewhere: neither a second name nor a rename reaches there."""
    part, directory = Config(encrypted=True), site.settings.directory
    kept = keep(part, site)
    (directory / "own.env").write_text("APP_TOKEN=newer\n")
    before = everything(directory)
    monkeypatch.setattr("cotai_tasks.backup.components.config.os.link", refusing)
    restored(site, kept)
    rename = Path.replace

    def elsewhere(path: Path, target: Path) -> Path:
        if path.suffix == ".old":
            raise OSError(errno.EXDEV, "refused")
        return rename(path, target)

    monkeypatch.setattr("cotai_tasks.backup.components.config.Path.replace", elsewhere)
    part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    assert everything(directory) == before


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written so far may be a secret."""
    monkeypatch.setattr("cotai_tasks.files.os.fsync", refusing)
    with pytest.raises(OSError, match="refused"):
        write_file(tmp_path / "secret", ConfigFile(b"text"))
    assert not list(tmp_path.iterdir())


def refusing(*_: object, **__: object) -> None:
    raise OSError("refused")


def test_what_was_edited_after_an_interrupted_restore_stays(site: Site) -> None:
    """Only what the swap itself has replaced is put back, however late that is."""
    part, env_file = Config(encrypted=True), site.settings.directory / "env/.env.production"
    kept = keep(part, site)
    env_file.write_text("SERVER_NAME=other.example.org\n")
    restored(site, kept, swap=False)
    env_file.write_text("SERVER_NAME=newest.example.org\n")
    part.revert(site, BACKUP)
    part.unstage(site, BACKUP)
    assert env_file.read_text() == "SERVER_NAME=newest.example.org\n"


def archive(**fields: Any) -> bytes:  # noqa: ANN401 - any field of a member
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w") as packed:
        member = tarfile.TarInfo("invoke.yaml")
        for name, value in fields.items():
            setattr(member, name, value)
        packed.addfile(member)
    return paper.getvalue()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../elsewhere"},
        {"name": "/etc/passwd"},
        {"name": "docker/../../elsewhere"},
        {"name": "tasks.py"},
        {"name": ".git/hooks/pre-commit"},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.DIRTYPE},
    ],
)
def test_what_does_not_belong_there_is_refused(site: Site, fields: dict[str, Any]) -> None:
    """A path that leads elsewhere, a link, a device, or code of the project: nothing at all is restored."""
    kept = Kept(keep(Config(encrypted=True), site).stream, archive(**fields))
    with pytest.raises(IntegrityError, match="does not belong there"):
        Config(encrypted=True).stage(site, BACKUP, [kept.stream], kept.feed)
    assert not (site.settings.directory / ".cotai").exists()


def test_what_is_no_archive_is_refused(site: Site) -> None:
    """Its hash was right, and still it is no tar."""
    kept = Kept(keep(Config(encrypted=True), site).stream, b"no archive" * 200)
    with pytest.raises(IntegrityError, match="no archive"):
        Config(encrypted=True).stage(site, BACKUP, [kept.stream], kept.feed)


@pytest.mark.parametrize("link", ["invoke.yaml", "docker/redis"])
def test_no_link_is_followed(site: Site, tmp_path_factory: pytest.TempPathFactory, link: str) -> None:
    """A link that stands where a file or its folder belongs leads nowhere."""
    kept, elsewhere = keep(Config(encrypted=True), site), tmp_path_factory.mktemp("elsewhere")
    path = site.settings.directory / link
    path.rename(tmp_path_factory.mktemp("moved") / "away")
    path.symlink_to(elsewhere / "file" if path.suffix else elsewhere)
    with pytest.raises(RefusedError, match="a link or a folder"):
        Config(encrypted=True).stage(site, BACKUP, [kept.stream], kept.feed)
    assert list(elsewhere.iterdir()) == []


def test_another_environment_does_not_fit(site: Site) -> None:
    """Production's settings are not development's."""
    kept = keep(Config(encrypted=True), site)
    assert Config(encrypted=True).unfit(site, [kept.stream]) == []
    facts = kept.stream.facts | {"environment": "dev"}
    assert "--env dev" in Config(encrypted=True).unfit(site, [kept.stream.model_copy(update={"facts": facts})])[0].cure


@pytest.fixture
def bare(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Make a host that has a checkout of the project, and neither its env file nor its secrets."""
    directory = tmp_path_factory.mktemp("bare")
    lost = Variables.model_validate({"SERVER_NAME": "unknown"})
    settings = site.settings.model_copy(
        update={"directory": directory, "env_file": directory / "env/.env.production", "variables": lost}
    )
    return Site(site.stack, settings, site.engine)


def named(site: Site, **variables: str) -> Kept:
    """Back up a site whose env file says where its files are."""
    site.settings.env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return keep(Config(encrypted=True), site)


def test_on_a_bare_host_the_env_file_of_the_backup_says_where_files_belong(
    site: Site, bare: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The example's settings are nobody's: by them the secrets would lie where the restored env file does not look."""
    folder = tmp_path_factory.mktemp("srv") / "secrets"
    restored(bare, named(site, COTAI_SECRETS=str(folder), APP_ENV_FILE="conf/own.env"))
    assert (folder / "POSTGRES_PASSWORD").read_bytes() == (
        site.settings.secrets_folder / "POSTGRES_PASSWORD"
    ).read_bytes()
    assert CANARY in (bare.settings.directory / "conf/own.env").read_text()
    assert not (bare.settings.directory / "env/secrets").exists()


def test_what_was_set_for_the_command_wins_over_the_backup(site: Site, bare: Site) -> None:
    """As it does over an env file."""
    variables = bare.settings.variables.model_copy(update={"COTAI_SECRETS": "mine"})
    here = Site(bare.stack, bare.settings.model_copy(update={"variables": variables}), bare.engine)
    restored(here, named(site, COTAI_SECRETS="theirs", APP_ENV_FILE="own.env"))
    assert (bare.settings.directory / "mine/POSTGRES_PASSWORD").exists()
    assert not (bare.settings.directory / "theirs").exists()


def test_an_env_file_at_hand_says_where_files_belong(site: Site) -> None:
    """Whatever that of the backup says."""
    kept = named(site, COTAI_SECRETS="theirs", APP_ENV_FILE="their.env")
    (site.settings.directory / "own.env").unlink()
    restored(site, kept)
    assert (site.settings.directory / "own.env").exists()
    assert not (site.settings.directory / "theirs").exists()


@pytest.mark.parametrize("place", ["/", ".", "../elsewhere", "/srv/../etc", "//"])
@pytest.mark.parametrize("name", ["COTAI_SECRETS", "APP_ENV_FILE"])
def test_no_backup_names_a_place_that_is_none(site: Site, bare: Site, name: str, place: str) -> None:
    """The root, the project itself, or a way out of where it seems to be."""
    kept = named(site, **({"APP_ENV_FILE": "own.env"} | {name: place}))
    with pytest.raises(RefusedError, match=f"{name}={place} in the archive"):
        Config(encrypted=True).stage(bare, BACKUP, [kept.stream], kept.feed)
    assert not list(bare.settings.directory.iterdir())


def test_a_file_without_a_place_is_told(site: Site, bare: Site) -> None:
    """Left out in silence, it would be missed when the application starts."""
    kept = named(site, COTAI_SECRETS="env/secrets")
    with pytest.raises(RefusedError, match="not every file has a place") as caught:
        Config(encrypted=True).stage(bare, BACKUP, [kept.stream], kept.feed)
    assert [one.where for one in caught.value.findings] == ["env/application.env"]
    assert not list(bare.settings.directory.iterdir())


def test_a_plain_backup_holds_no_address_to_post_to(site: Site) -> None:
    """Not where it is set, not in the line above that was commented out, and not in what Compose renders of it."""
    tokens = {"BACKUP_WEBHOOK_URL": f"https://example.org/{CANARY}/1", "ALERT_WEBHOOK_URL": "https://example.org/token"}
    settings = site.settings.model_copy(update={"variables": site.settings.variables.model_copy(update=tokens)})
    settings.env_file.write_text(
        f"# BACKUP_WEBHOOK_URL=https://example.org/{CANARY}\nBACKUP_WEBHOOK_URL='{tokens['BACKUP_WEBHOOK_URL']}'\n"
        f"A=1\nexport ALERT_WEBHOOK_URL = {tokens['ALERT_WEBHOOK_URL']} # token\nB=2\n"
    )
    (settings.directory / "invoke.yaml").write_text(f"url: {tokens['ALERT_WEBHOOK_URL']}\n")
    service = {"image": "backend:1", "environment": tokens}
    here = Site(replace(site.stack, rendered={"services": {"backend": service}}), settings, FakeEngine())
    kept = keep(Config(encrypted=False), here)
    assert CANARY.encode() not in kept.data
    assert b"token" not in kept.data
    files = unpack(kept.data)
    assert files["env/.env.production"].content == (
        b"# BACKUP_WEBHOOK_URL=\nBACKUP_WEBHOOK_URL=\nA=1\nexport ALERT_WEBHOOK_URL =\nB=2\n"
    )
    assert kept.stream.facts["files"]["env/.env.production"] == files["env/.env.production"].digest
    assert unpack(keep(Config(encrypted=True), here).data)["env/.env.production"].content == (
        settings.env_file.read_bytes()
    )


@pytest.mark.parametrize(
    ("file", "empty"),
    [
        ("invoke.yaml", True),
        ("docker/redis/redis.conf", True),
        ("env/secrets/backup/S3_ACCESS_KEY", True),
        ("env/secrets/POSTGRES_PASSWORD", False),
        ("env/.env.production", False),
    ],
)
def test_only_the_env_file_and_secrets_are_data(bare: Site, file: str, *, empty: bool) -> None:
    """A checkout of the project, and the keys to the store, are what every restore begins with."""
    path = bare.settings.directory / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    assert Config(encrypted=True).is_empty(bare) is empty


def test_a_development_project_is_empty(site: Site) -> None:
    """Its env file comes with every checkout."""
    settings = site.settings.model_copy(update={"environment": "dev"})
    assert Config(encrypted=True).is_empty(Site(site.stack, settings, site.engine))
