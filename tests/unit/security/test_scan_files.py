"""A scanner that is not there is skipped; one that broke, or looked at nothing, has not passed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.security.scanning import files, nginx, tree
from cotai_tasks.security.scanning.files import SCANNERS, Scanner, run_scanner, scan_files
from cotai_tasks.security.scanning.flaws import PARTS, Flaw, Looked, Report, Severity, Skipped
from cotai_tasks.security.scanning.tools import MissingToolError, ScannerError, Tool
from cotai_tasks.security.scanning.tree import Tree, committed_files, plant
from cotai_tasks.testing import RecordingConsole
from tests.unit.deploy.stacks import settings as development
from tests.unit.security import outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.settings import Settings

ROOT = Path(__file__).parents[3]
NAMES = ("Dockerfile", "compose.yaml", ".github/workflows/ci.yml", "app/requirements.txt")


class Answering(Tool):
    """A scanner that answers the same whatever it is asked."""

    answer = "[]"
    failure: ScannerError | None = None

    def run(self, arguments: Sequence[str], *, directory: Path, codes: Sequence[int] = (0,)) -> str:  # noqa: ARG002
        asked.append(list(arguments))
        if self.failure:
            raise self.failure
        return self.answer


asked: list[list[str]] = []


@pytest.fixture
def planted(tmp_path: Path) -> Tree:
    """Give a tree of four files, and the configuration of Nginx."""
    asked.clear()
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "nginx").symlink_to(ROOT / "nginx")
    return Tree(tmp_path, NAMES, dependencies=("app/requirements.txt",))


def scanner(part: str, name: str) -> Scanner:
    return next(one for one in SCANNERS if (one.part, one.tool) == (part, name))


def run(one: Scanner, planted: Tree, monkeypatch: pytest.MonkeyPatch, answer: str = "", failure: str = "") -> Report:
    def found(name: str) -> Tool:
        made = type("Made", (Answering,), {"answer": answer, "failure": ScannerError(failure) if failure else None})
        return made(name, Path(name), "1.0.0", "PATH")  # type: ignore[no-any-return]

    monkeypatch.setattr(files, "tool", found)
    return run_scanner(one, planted)


EMPTY = {"compose-lint": '{"findings": []}', "check-jsonschema": '{"errors": []}'}


@pytest.mark.parametrize(
    ("part", "name"),
    [(one.part, one.tool) for one in SCANNERS if one.tool not in {"trivy", "gixy", "gitleaks", "pip-audit"}],
)
def test_nothing_found(part: str, name: str, planted: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how many files it looked at."""
    report = run(scanner(part, name), planted, monkeypatch, EMPTY.get(name, "[]"))
    assert report == Report(looked=(Looked(part, f"{name} 1.0.0", "1 file"),))  # type: ignore[arg-type]


@pytest.mark.parametrize("one", SCANNERS, ids=lambda one: f"{one.part}-{one.tool}")
def test_nothing_to_look_at(one: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project without such files is skipped, not passed; Nginx without its configuration is a fault."""
    report = run(one, Tree(tmp_path, (), outside="no git", dependencies=("requirements.txt",)), monkeypatch)
    assert report.looked == ()
    if one.tool == "gixy":
        assert [flaw.rule for flaw in report.flaws] == ["scanner-failed"]
    else:
        assert [(skip.part, skip.kind) for skip in report.skipped] == [(one.part, one.kind)]


@pytest.mark.parametrize("one", SCANNERS, ids=lambda one: f"{one.part}-{one.tool}")
def test_no_scanner(one: Scanner, planted: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is skipped with the reason."""

    def missing(name: str) -> Tool:
        raise MissingToolError(f"{name}: no network")

    monkeypatch.setattr(files, "tool", missing)
    assert run_scanner(one, planted) == Report(skipped=(Skipped(one.part, one.kind, f"{one.tool}: no network"),))


@pytest.mark.parametrize("answer", ["", "no JSON", '{"other": 1}'])
@pytest.mark.parametrize(
    "one", [one for one in SCANNERS if one.tool != "pip-audit"], ids=lambda one: f"{one.part}-{one.tool}"
)
def test_a_broken_scanner(one: Scanner, answer: str, planted: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says nothing, or nonsense, is a critical flaw of its own."""
    (flaw,) = run(one, planted, monkeypatch, answer).flaws
    assert (flaw.rule, flaw.severity, flaw.tool) == ("scanner-failed", Severity.CRITICAL, one.tool)


def test_a_scanner_that_fails(planted: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last words are told."""
    report = run(scanner("dockerfiles", "hadolint"), planted, monkeypatch, failure="hadolint ended with 2: segfault")
    message = "hadolint ended with 2: segfault; nobody knows what it would have found"
    cure = "Mend what it names; a newer version on PATH is taken instead."
    where = ("dockerfiles", "misconfiguration", "hadolint", "scanner-failed", Severity.CRITICAL, "dockerfiles")
    assert report == Report(flaws=(Flaw(*where, message, cure=cure),))  # type: ignore[arg-type]


def test_trivy_must_have_read_each_dockerfile(planted: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 0 where it read nothing at all."""
    (flaw,) = run(scanner("dockerfiles", "trivy"), planted, monkeypatch, outputs.TRIVY_CONFIG).flaws
    assert flaw.message.startswith("trivy 1.0.0 did not read Dockerfile;")
    read = json.dumps({"Results": [{"Target": "Dockerfile", "Class": "config"}]})
    assert run(scanner("dockerfiles", "trivy"), planted, monkeypatch, read).looked[0].at == "1 file"


@pytest.mark.parametrize(
    ("part", "name", "answer", "fault"),
    [
        ("nginx", "gixy", outputs.GIXY, "cannot read nginx/"),
        ("nginx", "gixy", "[]", "cannot read nginx/"),
        ("repository", "gitleaks", outputs.GITLEAKS, "found not even the key"),
        ("repository", "trivy", '{"Results": []}', "found not even the key"),
    ],
)
def test_what_was_planted_must_be_found(
    part: str, name: str, answer: str, fault: str, planted: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not find it has not read the rest."""
    (flaw,) = run(scanner(part, name), planted, monkeypatch, answer).flaws
    assert (flaw.rule, fault in flaw.message) == ("scanner-failed", True)


def test_what_was_planted_is_not_told(planted: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was there before."""
    found = json.loads(outputs.GITLEAKS)
    answer = json.dumps([*found, found[0] | {"File": tree.PLANTED}])
    report = run(scanner("repository", "gitleaks"), planted, monkeypatch, answer)
    assert [one.where for one in report.flaws] == ["config.py"]
    assert report.looked == (Looked("repository", "gitleaks 1.0.0", "4 files"),)
    gixy = [json.loads(outputs.GIXY)[0] | {"file": nginx.PLANTED}]
    report = run(scanner("nginx", "gixy"), planted, monkeypatch, json.dumps(gixy))
    assert (report.flaws, report.looked[0].at) == ((), "13 files")


def test_dependencies(planted: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Known holes are flaws; a list that does not answer is no pass, and no lock is none either."""
    audit = scanner("dependencies", "pip-audit")
    assert len(run(audit, planted, monkeypatch, outputs.PIP_AUDIT).flaws) == 2
    assert "--require-hashes" not in asked[-1]
    (tmp_path / "app/requirements.txt").write_text("a==1 --hash=sha256:0\n")
    clean = run(audit, planted, monkeypatch, '{"dependencies": []}')
    assert (clean.flaws, clean.looked[0].at) == ((), "1 lock file")
    assert {"--strict", "--require-hashes", "--disable-pip"} <= set(asked[-1])
    mute = run(audit, planted, monkeypatch, failure="pip-audit ended with 1: ERROR:pip_audit._cli:own: not on PyPI")
    why = "app/requirements.txt: pip-audit ended with 1: own: not on PyPI"
    assert mute == Report(skipped=(Skipped("dependencies", "vulnerability", why),))
    assert [one.rule for one in run(audit, planted, monkeypatch, "no JSON").flaws] == ["scanner-failed"]
    (tmp_path / "pyproject.toml").write_text("")
    loose = Tree(tmp_path, ("pyproject.toml",), dependencies=("pyproject.toml",))
    assert "pins no versions" in run(audit, loose, monkeypatch).skipped[0].reason
    both = Tree(tmp_path, (), dependencies=("pyproject.toml", "app/requirements.txt", "gone/requirements.txt"))
    report = run(audit, both, monkeypatch, outputs.PIP_AUDIT)
    assert (len(report.flaws), report.looked[0].at) == (2, "1 lock file")
    assert [one.reason.split()[-1] for one in report.skipped] == ["them", "file"]


def test_hadolint_takes_the_nearest_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an editor does: from the folder itself upwards."""
    asked.clear()
    names = ("Dockerfile", "docker/a/Dockerfile", "docker/.hadolint.yaml", "docker/a/b/c.Dockerfile", "x.dockerignore")
    run(scanner("dockerfiles", "hadolint"), Tree(tmp_path, names), monkeypatch, "[]")
    flags = ["--no-fail", "--format", "json"]
    assert asked == [
        [*flags, "Dockerfile"],
        [*flags, "--config", "docker/.hadolint.yaml", "docker/a/Dockerfile", "docker/a/b/c.Dockerfile"],
    ]


# --- The tree ---------------------------------------------------------------------------------------------------------


def repository(folder: Path) -> Settings:
    """Make a project in git: one file is committed, one new, one ignored, one a link out of it."""
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / "app").mkdir()
    for name, text in {
        ".gitignore": "env/secrets/\n",
        "compose.override.yaml": "services: {}\n",
        "app/requirements.txt": "idna==3.20\n",
    }.items():
        (folder / name).write_text(text)
    (folder / "env/secrets").mkdir(parents=True)
    (folder / "env/secrets/KEY").write_text("AKIA")
    (folder / "out").symlink_to("/etc/hostname")
    return development(APP_CONTEXT="app").model_copy(update={"directory": folder, "home": ROOT})


def test_what_git_would_commit_is_scanned(tmp_path: Path) -> None:
    """New files too, ignored ones and links not; the stack's own files and the applications' locks are with them."""
    with plant(repository(tmp_path)) as planted:
        assert {".gitignore", "app/requirements.txt", "compose.override.yaml"} <= set(planted.names)
        assert {name for name in planted.names if "secrets/" in name or name == "out"} == set()
        assert {"docker/Dockerfile", "nginx/Dockerfile"} <= set(planted.dockerfiles)
        assert {"compose.override.yaml", "docker/compose.yaml"} <= set(planted.compose_files)
        assert planted.dependencies == ("app/requirements.txt", "docker/reference/llm/requirements.txt")
        assert planted.outside == ""
        assert "AKIA" in (planted.folder / tree.PLANTED).read_text()
        folder = planted.folder
    assert not folder.exists()


def test_a_folder_without_git(tmp_path: Path) -> None:
    """Nobody knows what would be committed, and the stack's own files are scanned all the same."""
    names, why = committed_files(tmp_path)
    assert (names, why) == ([], f"{tmp_path.name} is no git repository: nothing says what would be committed")
    made = development().model_copy(update={"directory": tmp_path, "home": ROOT})
    with plant(made) as planted:
        assert planted.outside == why
        assert "docker/Dockerfile" in planted.names


def test_only_the_parts_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part but the images has its scanners."""
    assert {one.part for one in SCANNERS} == set(PARTS) - {"images"}

    def missing(name: str) -> Tool:
        raise MissingToolError(name)

    monkeypatch.setattr(files, "tool", missing)
    report = scan_files(["compose"], settings=repository(tmp_path), console=RecordingConsole())
    assert {(one.part, one.reason) for one in report.skipped} == {
        ("compose", "compose-lint"),
        ("compose", "check-jsonschema"),
    }
    assert scan_files(["images"], settings=development(), console=RecordingConsole()) == Report()
