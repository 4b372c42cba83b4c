"""Where the stack's files are read from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cotai_tasks import files


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an installed package that carries three files."""
    data = tmp_path / "package/data"
    for name in ("docker/compose.yaml", "docker/redis/redis.conf", "docker/redis/start.sh", "env/.env.development"):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the package's {name}")
    (data / "docker/redis/start.sh").chmod(0o755)
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "package")
    return data


def project(packaged: Path, **own: str) -> Path:
    """Make a user's project with files of its own, named with __ for / and _ for a dot."""
    directory = packaged.parents[1] / "project"
    directory.mkdir()
    for name, content in own.items():
        path = directory / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_checkout_reads_its_own_files() -> None:
    """In this repository nothing is merged or copied."""
    root = Path(__file__).parents[2]
    assert files.stack_files(root) == files.packaged_files() == root


def test_a_project_without_overrides_reads_the_package(packaged: Path) -> None:
    """A project's own docker/ with other things in it overrides nothing, and nothing is written to it."""
    directory = project(packaged, docker__mine_yaml="unrelated")
    assert files.stack_files(directory) == packaged
    assert tree(directory) == {"docker/mine.yaml": "unrelated"}


def test_a_file_of_the_project_wins(packaged: Path) -> None:
    """One overridden file leaves the rest of its folder to the package; what else the folder holds comes along."""
    directory = project(packaged, docker__redis__redis_conf="mine", docker__redis__extra_conf="more")
    home = files.stack_files(directory)
    assert home == directory / ".cotai/files"
    assert tree(home) == {
        "docker/compose.yaml": "the package's docker/compose.yaml",
        "docker/redis/redis.conf": "mine",
        "docker/redis/extra.conf": "more",
        "docker/redis/start.sh": "the package's docker/redis/start.sh",
    }
    assert (home / "docker/redis/start.sh").stat().st_mode & 0o777 == 0o755


def test_merging_again_keeps_mounted_folders(packaged: Path) -> None:
    """Containers have the merged folders mounted: they stay the same, only what changed in them is written."""
    directory = project(packaged, docker__redis__redis_conf="mine", docker__redis__extra_conf="more")
    folder = files.stack_files(directory) / "docker/redis"
    kept = (folder.stat().st_ino, (folder / "start.sh").stat().st_ino)
    (directory / "docker/redis/redis.conf").write_text("changed")
    (directory / "docker/redis/extra.conf").unlink()
    files.stack_files(directory)
    assert (folder.stat().st_ino, (folder / "start.sh").stat().st_ino) == kept
    assert tree(folder) == {"redis.conf": "changed", "start.sh": "the package's docker/redis/start.sh"}


@pytest.mark.parametrize(("owner", "act"), [(shutil, "copy2"), (Path, "unlink")])
def test_two_commands_at_once_merge_the_same_files(
    owner: object, act: str, packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever another command writes or removes in the middle of ours, both end well, with the same files."""
    directory = project(packaged, docker__redis__redis_conf="mine", docker__redis__extra_conf="more")
    files.stack_files(directory)
    (directory / "docker/redis/redis.conf").write_text("changed")
    (directory / "docker/redis/extra.conf").unlink()
    original = getattr(owner, act)
    others: list[Path] = []

    def disturbed(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of the original
        if act == "copy2":
            original(*arguments, **options)
        if not others:
            others.append(directory)
            files.stack_files(directory)
        if act == "unlink":
            original(*arguments, **options)

    monkeypatch.setattr(owner, act, disturbed)
    home = files.stack_files(directory)
    assert others
    assert tree(home) == {
        "docker/compose.yaml": "the package's docker/compose.yaml",
        "docker/redis/redis.conf": "changed",
        "docker/redis/start.sh": "the package's docker/redis/start.sh",
    }


def test_one_file_is_found_in_the_project_first(packaged: Path) -> None:
    """What the project lacks, the package has."""
    directory = project(packaged)
    (directory / "env").mkdir(exist_ok=True)
    assert files.find_file(directory, "env/.env.development") == packaged / "env/.env.development"
    (directory / "env/.env.development").touch()
    assert files.find_file(directory, "env/.env.development") == directory / "env/.env.development"
