"""The wheel, installed in a clean environment and used from a directory of somebody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from cotai_tasks.validate.throwaway import free_ports

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the interpreter of an environment that holds the wheel and what it needs."""
    wheels = list((REPOSITORY / "dist").glob("*.whl"))
    if not wheels and os.environ.get("CI"):
        pytest.fail("no wheel in dist/: nox -s build makes the wheel", pytrace=False)
    elif not wheels:
        pytest.skip("nox -s build makes the wheel")
    (wheel,) = wheels
    home = tmp_path_factory.mktemp("clean") / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    interpreter = home / "bin" / "python"
    install = [*uv, "pip", "install", "--quiet", "--python", str(interpreter)]
    subprocess.run([*install, "--require-hashes", "-r", str(REPOSITORY / "requirements.lock")], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    return interpreter


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give another team's project: a `tasks.py` of one line, and nothing of ours."""
    home = tmp_path_factory.mktemp("team")
    (home / "tasks.py").write_text("from cotai_tasks import ns\n")
    return home


def inv(python: Path, project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("COTAI_", "PYTHON", "VIRTUAL"))
    }
    command = [str(python.parent / "inv"), *arguments]
    return subprocess.run(command, cwd=project, env=environ | variables, capture_output=True, text=True, check=False)


def test_the_tasks_are_listed(python: Path, project: Path) -> None:
    """One import gives another team all tasks."""
    listed = inv(python, project, "--list")
    assert listed.returncode == 0, listed.stderr
    assert {"build.all", "deploy.dev", "db.status", "doctor"} <= set(listed.stdout.split())


def test_the_package_brings_its_docker_files(python: Path, project: Path) -> None:
    """Every file that a stack is made from is in the wheel, and executable where it must be."""
    program = "import cotai_tasks.files as f; print(f.packaged_files())"
    done = subprocess.run([str(python), "-c", program], cwd=project, capture_output=True, text=True, check=True)
    packaged = Path(done.stdout.strip())
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "docker", "env"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    wanted = {name: os.access(REPOSITORY / name, os.X_OK) for name in tracked if name}
    assert {name: os.access(packaged / name, os.X_OK) for name in wanted if (packaged / name).exists()} == wanted


def test_a_stack_is_planned_from_the_packaged_files(python: Path, project: Path) -> None:
    """`deploy.dev --dry-run` works in a directory that has nothing but `tasks.py`."""
    own = {"INVOKE_COTAI_PROJECT": f"cotai-test-{uuid.uuid4().hex[:6]}", **free_ports()}
    planned = inv(python, project, "deploy.dev", "--dry-run", "--only", "backend", **own)
    assert planned.returncode == 0, planned.stderr
    assert {"backend", "postgres"} <= set(planned.stdout.split())


def test_a_file_of_the_project_wins(python: Path, project: Path) -> None:
    """A team overrides one file by putting it at the same path; the rest stays the package's."""
    own = project / "docker" / "redis"
    own.mkdir(parents=True)
    (own / "marker.conf").write_text("# ours\n")
    program = "import pathlib, cotai_tasks.files as f; print(f.stack_files(pathlib.Path.cwd()))"
    done = subprocess.run([str(python), "-c", program], cwd=project, capture_output=True, text=True, check=True)
    merged = Path(done.stdout.strip())
    assert (merged / "docker/redis/marker.conf").read_text() == "# ours\n"
    assert (merged / "docker/compose.yaml").is_file()


def test_the_files_of_the_reports_are_carried(python: Path, project: Path) -> None:
    """The page's template and style, and the schema that describes the JSON: what no import would miss."""
    script = "import cotai_tasks.validate.reports as reports, os; print(*os.listdir(os.path.dirname(reports.__file__)))"
    told = subprocess.run([str(python), "-c", script], cwd=project, capture_output=True, text=True, check=True)
    assert {"page.css", "page.html", "schema.json"} <= set(told.stdout.split())
