"""The tasks of `build`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cotai_tasks.build as package


def test_listing_the_tasks_imports_no_procedure() -> None:
    """`inv --list` stays instant: neither pydantic, nor rich, nor Docker's library is read for it."""
    look = "import cotai_tasks.build.tasks, sys; print(*{'pydantic', 'rich', 'python_on_whales'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_names_its_public_procedures() -> None:
    """`deploy` imports them by these names, and a wrong one is an ordinary error."""
    assert {name: getattr(package, name).__name__ for name in package.__all__} == {
        name: name for name in ("BuildResult", "EnsureResult", "build_images", "ensure_images")
    }
    with pytest.raises(AttributeError, match=r"module 'cotai_tasks\.build' has no attribute 'buildd'"):
        _ = package.buildd
