"""Every check and test. `nox` alone runs the default sessions; `nox --list` shows them all."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [
    *("lint", "typecheck", "tests", "applications", "stack", "docs", "build"),
    "validate(dev, quick)",
]

HERE = Path(__file__).parent
LOCK = "requirements-dev.lock"
APPLICATIONS = ("docker/reference/backend", "docker/reference/llm")
TOOLS = ("tests/acme-server", *(f"cotai_tasks/security/scanning/locks/{name}" for name in ("scanners", "sslyze")))
SHELL_SCRIPTS = ("bootstrap", ".ci/run")
OTHER_PYTHONS = ["3.12", "3.13", "3.14"]


def install(session: nox.Session) -> None:
    """Install the project as its lock file says."""
    session.install("--require-hashes", "-r", LOCK)
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely mistakes: Python, shell, Dockerfiles, Compose files, workflows."""
    install(session)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("shellcheck", "--external-sources", "--source-path", "SCRIPTDIR", *SHELL_SCRIPTS, *shell_files())
    session.run("hadolint", "docker/Dockerfile", "docker/Dockerfile.naive", "nginx/Dockerfile")
    session.run("inv", "security.scan", "--env", "dev", "--what", "nginx", "--severity", "low")  # it passes none unread
    offline = "docker/offline"
    session.run("hadolint", "--config", f"{offline}/.hadolint.yaml", *files(f"{offline}/*/Dockerfile"))
    compose, workflows = files("docker/compose*.yaml"), files(".github/workflows/*.yml")
    session.run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *compose)
    session.run("compose-lint", "check", "--strict-config", "--quiet", *compose, silent=True)
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("jactionlint", "--strict-exit", *workflows, *files(".github/actions/*/action.yml"))
    session.run("zizmor", "--offline", "--quiet", "--strict-collection", "--persona", "pedantic", ".github")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Mypy, strict, tests included."""
    install(session)
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit and integration tests, some files at a time: most of them wait for containers."""
    install(session)
    together = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile")
    session.run("pytest", *together, "tests/unit", "tests/integration", *session.posargs)


@nox.session(python=OTHER_PYTHONS, name="tests-on")
def tests_on(session: nox.Session) -> None:
    """Run the unit tests on the other Python versions that the project supports."""
    install(session)
    session.run("pytest", "tests/unit", *session.posargs)


@nox.session
def applications(session: nox.Session) -> None:
    """Run the reference application's own tests, each in an environment of its own dependencies."""
    for application in APPLICATIONS:
        session.install("--require-hashes", "-r", f"{application}/requirements.txt")
        session.install("pytest", "httpx")
        with session.chdir(application):
            session.run("python", "-m", "pytest", "-q")


@nox.session
def stack(session: nox.Session) -> None:
    """Bring the whole development stack up in a project of its own, use it, break it, remove it."""
    install(session)
    session.run("pytest", "tests/stack", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Check the documents: links, commands, tasks, exit codes."""
    install(session)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, install it in a clean environment and use it from another directory."""
    install(session)
    shutil.rmtree(HERE / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", "--outdir", "dist", silent=True)
    session.run("pytest", "tests/wheel", *session.posargs)


@nox.session
@nox.parametrize("profile", [nox.param("quick", id="quick"), nox.param("full", id="full")])
@nox.parametrize("env", [nox.param("dev", id="dev"), nox.param("prod", id="prod")])
def validate(session: nox.Session, env: str, profile: str) -> None:
    """Validate a stack of its own, from nothing: `nox -s "validate(prod, full)"`, `nox -s validate -- --group NET`."""
    install(session)
    # A quick one runs beside everything else that a developer's machine does; a full one wants it for itself.
    times = ["--report-times"] if profile == "quick" else []
    session.run("inv", "monitor.validate", "--throwaway", "--env", env, "--profile", profile, *times, *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Deploy all day under load; break each release, each step, the engine. The default run takes a share at random."""
    install(session)
    session.run("pytest", "-rP", *files("tests/stack/**/test_rollout*.py"), *session.posargs, env={"COTAI_CHAOS": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure every figure that the project claims, beside its peers: `nox -s bench -- --only images,backup --docs`."""
    install(session)
    session.install("uv")
    own = Path(session.create_tmp()) / "awscli"  # it wants another botocore than ours
    session.run("uv", "venv", "--quiet", "--allow-existing", str(own))
    session.run("uv", "pip", "install", "--quiet", "--python", str(own), "awscli")
    session.run("python", "-m", "bench", "--aws", str(own / "bin/aws"), *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the lock files anew from what `pyproject.toml` and the requirements.in files ask for."""
    session.install("uv")
    flags = (
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-annotate",
        "--custom-compile-command",
        "nox -s lock",
        "--quiet",
        *session.posargs,
    )
    session.run("uv", "pip", "compile", *flags, "--group", "build", "pyproject.toml", "-o", "requirements.lock")
    session.run(
        "uv", "pip", "compile", *flags, "--group", "dev", "pyproject.toml", "-c", "requirements.lock", "-o", LOCK
    )
    for tool in TOOLS:
        session.run("uv", "pip", "compile", *flags, f"{tool}.in", "-o", f"{tool}.txt")
    for application in APPLICATIONS:
        session.run(
            "uv", "pip", "compile", *flags, f"{application}/requirements.in", "-o", f"{application}/requirements.txt"
        )


def files(pattern: str) -> list[str]:
    """Name the files that match, as they are seen from the repository's root; a check of no file would pass."""
    if not (found := sorted(str(path.relative_to(HERE)) for path in HERE.glob(pattern))):
        raise FileNotFoundError(pattern)
    return found


def shell_files() -> list[str]:
    """Name every shell script of the stack, wherever it is: those that begin with the shell's shebang."""
    found = (name for name in [*files("docker/**/*"), *files("nginx/**/*")] if (HERE / name).is_file())
    return [name for name in found if (HERE / name).read_bytes().startswith(b"#!/bin/sh")]
