"""Volumes' part of a backup, as far as it is decided without an engine; archives are read as they are."""

from __future__ import annotations

import io
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cotai_tasks.backup.components.archive import Contents, archived, load, pack, read_contents, unpack
from cotai_tasks.backup.components.base import Site
from cotai_tasks.backup.components.helper import READ, WRITE, helper
from cotai_tasks.backup.components.volumes import LEFT_OUT, Volumes
from cotai_tasks.backup.manifest import Stream
from cotai_tasks.errors import BackupError, EngineError
from cotai_tasks.testing import FakeEngine
from tests.unit.deploy.stacks import service, settings, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from cotai_tasks.backup.components.base import Feed

ROOT = Path(__file__).parents[3]
BACKUP = "20261123T073840Z-a1b2c3"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
VOLUMES = ("postgres", "uploads", "grafana", "config", "prometheus")


def site(engine: FakeEngine, *present: str) -> Site:
    engine.found_volumes = {f"cotai-dev_{key}": {} for key in present}
    made = stack(
        service("postgres", volumes=frozenset({"cotai-dev_postgres"})),
        service("backend", volumes=frozenset({"cotai-dev_uploads", "cotai-dev_config"})),
        service("grafana", volumes=frozenset({"cotai-dev_grafana"})),
        service("prometheus", volumes=frozenset({"cotai-dev_prometheus"})),
        formats={"cotai-dev_postgres": "postgresql-17"},
        rendered={"services": {}, "volumes": {key: {"name": f"cotai-dev_{key}"} for key in VOLUMES}},
    )
    return Site(made, settings(), engine)


def stream(key: str, contents: Contents | None = None) -> Stream:
    told = contents or Contents(0, 0, "")
    return Stream(
        component="volumes",
        name=f"volume-{key}",
        kind="tar",
        started_at=NOW,
        ended_at=NOW,
        plain_bytes=0,
        plain_sha256="",
        objects=(),
        facts={"volume": key, "entries": told.entries, "bytes": told.bytes, "sha256": told.sha256},
    )


def archive(*members: tuple[dict[str, Any], bytes], root_time: int = 5) -> bytes:
    """Make an archive as ours are: the folder itself, then what is in it."""
    paper = io.BytesIO()
    with tarfile.open(fileobj=paper, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as made:
        folder = tarfile.TarInfo(".")
        folder.type, folder.mtime = tarfile.DIRTYPE, root_time
        made.addfile(folder)
        for fields, content in members:
            member = tarfile.TarInfo()
            for name, value in fields.items():
                setattr(member, name, value)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return paper.getvalue()


def feeding(data: bytes) -> Feed:
    def feed(_: Stream, write: Callable[[bytes], object]) -> None:
        write(data)

    return feed


FILE: dict[str, Any] = {"name": "./file", "mode": 0o640, "uid": 999, "gid": 998, "mtime": 7}


def test_every_volume_is_backed_up_or_left_out_on_purpose() -> None:
    """A database has its own dump; what is left out is named with a reason, and is in the Compose files."""
    defined: dict[str, Any] = {}
    for name in ("compose.yaml", "compose.dev.yaml", "compose.prod.yaml"):
        defined |= yaml.safe_load((ROOT / "docker" / name).read_text())["volumes"]
    databases = {key for key, one in defined.items() if "cotai.format" in (one or {}).get("labels", {})}
    assert LEFT_OUT.keys() <= defined.keys() - databases
    assert defined.keys() - databases - LEFT_OUT.keys() == {"alertmanager", "grafana"}


def test_each_of_the_others_that_is_there_gives_a_stream() -> None:
    """Not a database's, not one of those left out, not one that was never made."""
    found = Volumes().dumps(site(FakeEngine(), "postgres", "uploads", "config", "prometheus"))
    assert [(one.component, one.name, one.kind) for one in found] == [("volumes", "volume-uploads", "tar")]


def test_whoever_mounts_one_of_them_is_stopped() -> None:
    """Nobody else is: a volume that is left out is not replaced."""
    assert Volumes().users(site(FakeEngine()), ()) == {"backend", "grafana"}


def test_a_volume_that_the_stack_does_not_know_does_not_fit() -> None:
    """It is named; one that is only not there yet fits."""
    (found,) = Volumes().unfit(site(FakeEngine()), [stream("uploads"), stream("elsewhere")])
    assert (found.where, found.fault) == ("volume-elsewhere", "cotai-dev has no such volume")


def test_what_is_not_there_yet_is_not_staged() -> None:
    """Docker would make a volume that belongs to nobody."""
    engine = FakeEngine()
    with pytest.raises(BackupError, match="volume uploads is not there yet") as caught:
        Volumes().stage(site(engine), BACKUP, [stream("uploads")], lambda *_: None)
    assert caught.value.cure == "Compose makes every volume: inv deploy.dev."
    assert engine.calls == []


def test_a_dump_reads_and_does_no_more() -> None:
    """The volume is mounted to be read, without a network; the container ends when its input does."""
    contents = archive((FILE, b"text"))
    engine = FakeEngine(streams={"run": contents})
    (dump,) = Volumes().dumps(site(engine, "uploads"))
    with dump.open() as source:
        data = b"".join(iter(lambda: source.read(700), b""))
        facts = source.finish()
    expected = read_contents(io.BytesIO(contents))
    assert data == contents
    assert len(data) >= dump.floor
    assert facts == {"volume": "uploads", "entries": 1, "bytes": 4, "sha256": expected.sha256}
    (call,) = engine.calls
    assert call == tuple(helper("postgres:1", {"/volume": "cotai-dev_uploads"}, pack("/volume"), may=READ))
    assert "type=volume,source=cotai-dev_uploads,target=/volume,volume-nocopy,readonly" in call


def test_a_dump_that_fails_says_so() -> None:
    """What tar gave until then is passed on, and its failure with it."""
    engine = FakeEngine(streams={"run": archive((FILE, b"text"))[:600]}, errors={"run": EngineError("tar failed")})

    def read() -> None:
        with archived(engine, ["run"], "uploads", {}) as source:
            while source.read():
                pass
            source.finish()

    with pytest.raises(EngineError, match="tar failed"):
        read()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "./other"},
        {"mode": 0o641},
        {"uid": 998},
        {"gid": 999},
        {"mtime": 8},
        {"mtime": 7.000000001},
        {"type": tarfile.FIFOTYPE},
        {"pax_headers": {"SCHILY.xattr.user.x": "1"}},
        {"pax_headers": {"SCHILY.acl.access": "user::rw-"}},
    ],
)
def test_whatever_is_different_is_seen(change: dict[str, Any]) -> None:
    """Names, owners, modes, times, kinds, attributes."""
    same = read_contents(io.BytesIO(archive((FILE, b""))))
    assert read_contents(io.BytesIO(archive((FILE | change, b"")))) != same


def test_contents_are_hashed_and_counted() -> None:
    """Another byte is another hash; the time of the folder itself, which every restore changes, is not."""
    one, other = (read_contents(io.BytesIO(archive((FILE, text)))) for text in (b"text", b"texT"))
    assert (one.entries, one.bytes) == (1, 4)
    assert one.sha256 != other.sha256
    assert read_contents(io.BytesIO(archive((FILE, b"text"), root_time=6))) == one
    assert str(one) == f"1 entries, 4 bytes, {one.sha256[:16]}"


def test_a_name_may_be_any_bytes() -> None:
    """As in every file system; two that no encoding can tell apart are two."""
    names = [b"./n\xff\xfe\nx".decode("utf-8", "surrogateescape"), "./n\ufffd\ufffd\nx"]
    first, second = (read_contents(io.BytesIO(archive((FILE | {"name": name}, b"")))) for name in names)
    assert first != second


def test_holes_are_the_zeros_that_they_are(tmp_path: Path) -> None:
    """A file that another file system keeps without its holes is the same file; the archive does not grow by them."""
    for name in ("holes", "zeros"):
        (tmp_path / name).mkdir()
    with (tmp_path / "holes/file").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"x")
        file.truncate(5_000_000)
    (tmp_path / "zeros/file").write_bytes((tmp_path / "holes/file").read_bytes())
    (tmp_path / "zeros/file").touch()
    subprocess.run(["touch", "--reference", tmp_path / "holes/file", tmp_path / "zeros/file"], check=True)
    packed = {name: run(pack(str(tmp_path / name))).stdout for name in ("holes", "zeros")}
    assert len(packed["holes"]) < 50_000
    assert len(packed["zeros"]) > 5_000_000
    found = {name: read_contents(io.BytesIO(data)) for name, data in packed.items()}
    assert found["holes"] == found["zeros"]
    assert found["holes"].bytes == 5_000_000


def run(command: list[str], data: bytes = b"", path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[bytes]:
    """Run a command of ours on this host; its input stays open until it ends, as the engine's does."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": path}
    ) as process:
        assert process.stdin
        if data:
            process.stdin.write(data)
            process.stdin.close()
            process.stdin = None
        assert process.stdout
        assert process.stderr
        output, words = process.stdout.read(), process.stderr.read()
        return subprocess.CompletedProcess(command, process.wait(), output, words)


def test_what_restores_left_is_in_no_archive(tmp_path: Path) -> None:
    """Only at the top, where they leave it: a folder of such a name elsewhere is somebody's."""
    for name in (f".cotai-before-{BACKUP}", f".cotai-restore-{BACKUP}", "mine/.cotai-before"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    with tarfile.open(fileobj=io.BytesIO(run(pack(str(tmp_path))).stdout)) as made:
        assert made.getnames() == [".", "./mine", "./mine/.cotai-before", "./mine/.cotai-before/file"]


def test_an_archive_is_unpacked_as_it_was_packed(tmp_path: Path) -> None:
    """The archive of what was unpacked has the very same bytes."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/file").write_text("text")
    (tmp_path / "one/link").symlink_to("file")
    (tmp_path / "other").mkdir()
    packed = run(pack(str(tmp_path / "one"))).stdout
    assert run(unpack(str(tmp_path / "other")), packed).returncode == 0
    assert run(pack(str(tmp_path / "other"))).stdout == packed


@pytest.mark.parametrize(("code", "fails"), [(0, False), (1, False), (2, True), (137, True)])
def test_only_what_changed_meanwhile_is_no_failure_of_tar(tmp_path: Path, code: int, *, fails: bool) -> None:
    """Its exit code 1 says that its archive is whole, and another than at the first look."""
    tar = tmp_path / "tar"
    tar.write_text(f"#!/bin/sh\nexit {code}\n")
    tar.chmod(0o755)
    assert bool(run(pack("/"), path=f"{tmp_path}:/usr/bin:/bin").returncode) == fails


def test_warnings_of_tar_are_facts_and_those_of_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has its own to say about this host."""
    words = "WARNING: no swap limit\ntar: ./file: file changed as we read it"
    monkeypatch.setattr("cotai_tasks.testing.FakePiped.last_words", words)
    (dump,) = Volumes().dumps(site(FakeEngine(streams={"run": archive()}), "uploads"))
    with dump.open() as source:
        while source.read():
            pass
        assert source.finish()["warnings"] == ["tar: ./file: file changed as we read it"]


def test_what_was_unpacked_is_compared_with_the_manifest() -> None:
    """The same, and nothing is said; another, and both are described."""
    data = archive((FILE, b"text"))
    engine = FakeEngine(streams={"pack": data})
    same, other = stream("uploads", read_contents(io.BytesIO(data))), stream("uploads", Contents(2, 9, "0" * 64))
    assert load(engine, same, feeding(data), unpacking=["unpack"], packing=["pack"]) == []
    assert engine.fed[0] == data
    (found,) = load(engine, other, feeding(data), unpacking=["unpack"], packing=["pack"])
    assert (found.where, found.expected) == ("volume-uploads", "2 entries, 9 bytes, 0000000000000000")


def test_a_rehearsal_has_a_volume_for_each_and_leaves_none() -> None:
    """Anonymous ones, in one container without a network, removed with it, a failed one too."""
    data = archive((FILE, b"text"))
    kept = [stream(key, read_contents(io.BytesIO(data))) for key in ("uploads", "grafana")]
    engine = FakeEngine(streams={"exec": data})
    there = site(engine)
    with Volumes().rehearse(there, BACKUP, kept, feeding(data)) as found:
        assert found.differences == ()
        assert found.compared.startswith("2 volumes, 2 entries")
    ran = next(call for call in engine.calls if call[0] == "run")
    assert [ran[at + 1] for at, word in enumerate(ran) if word == "--volume"] == [
        "/volumes/uploads",
        "/volumes/grafana",
    ]
    assert {ran[at + 1] for at, word in enumerate(ran) if word == "--cap-add"} == {*READ, *WRITE}
    removed = ("container", "rm", "--force", "--volumes", f"cotai-dev-drill-volumes-{BACKUP[-6:]}")
    assert [engine.calls[0], engine.calls[-1]] == [removed, removed]
    engine = FakeEngine(streams={"exec": data}, errors={"exec --interactive": EngineError("tar failed")})
    with (
        pytest.raises(EngineError, match="tar failed"),
        Volumes().rehearse(site(engine), BACKUP, kept, feeding(data)),
    ):
        pass
    assert engine.calls[-1] == removed
