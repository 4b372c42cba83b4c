"""Measuring images and builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks.build.sizes import RebuildReport, SizeReport, StageSize, find_module, measure_rebuild, measure_sizes
from cotai_tasks.errors import BuildError, EngineError, PreflightError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.build.reports import image, rendered
from tests.unit.deploy.stacks import settings

if TYPE_CHECKING:
    from pathlib import Path

WORKER = image("cotai/celery-worker:dev", 200)
NAIVE = image("cotai/naive:dev", 800)


def engine(**answers: list[str]) -> FakeEngine:
    return FakeEngine(
        found_images={"cotai/celery-worker:dev": WORKER, "cotai/naive:dev": NAIVE},
        answers={"buildx bake --file": rendered(), "context": ["default"], **answers},
    )


def test_each_built_stage_is_set_against_the_naive_image() -> None:
    """Stages that were not built are left out; the naive image is not built again when it is there."""
    fake = engine()
    assert measure_sizes(settings=settings(), engine=fake, console=RecordingConsole()) == SizeReport(
        800, (StageSize("celery-worker", "cotai/celery-worker:dev", 200, 0.75),)
    )
    assert [call[:2] for call in fake.calls] == [("buildx", "bake")]


def test_nginx_is_not_set_against_a_python_image() -> None:
    """It is built, and has nothing to be compared with."""
    fake = engine(**{"buildx bake --file": rendered(with_nginx=True)})
    fake.found_images["cotai/nginx:dev"] = image("cotai/nginx:dev", 100)
    report = measure_sizes(settings=settings(), engine=fake, console=RecordingConsole())
    assert [one.stage for one in report.stages] == ["celery-worker"]


def test_an_application_that_the_naive_file_cannot_build_is_measured_alone() -> None:
    """Without a comparison the sizes are still told."""
    fake, console = engine(), RecordingConsole()
    del fake.found_images["cotai/naive:dev"]
    fake.errors = {"buildx build": EngineError("docker build failed")}
    fake.answers["buildx build"] = ["ERROR: failed to solve: no requirements.txt"]
    report = measure_sizes(settings=settings(), engine=fake, console=console)
    assert report == SizeReport(None, (StageSize("celery-worker", "cotai/celery-worker:dev", 200, None),))
    assert "! nothing to compare with: cotai/naive:dev could not be built: no requirements.txt" in console.text()


def test_nothing_built_is_nothing_measured() -> None:
    """The cure names the command that builds."""
    fake = engine()
    fake.found_images = {}
    with pytest.raises(PreflightError) as caught:
        measure_sizes(settings=settings(), engine=fake, console=RecordingConsole())
    assert caught.value.cure == "inv build.all"


def test_a_rebuild_is_measured_on_a_copy_and_cleans_up(tmp_path: Path) -> None:
    """The user's code is not touched, the first build takes nothing from the cache, and the scratch image goes."""
    code = tmp_path / "src/shop/main.py"
    code.parent.mkdir(parents=True)
    code.write_text("app = None\n")
    fake = engine()
    fake.found_images["cotai/production:measured"] = image("cotai/production:measured")
    mine = settings(APP_CONTEXT=str(tmp_path), APP_MODULE="shop.main:app")
    report = measure_rebuild(settings=mine, engine=fake, console=RecordingConsole())
    builds = [call for call in fake.calls if call[:2] == ("buildx", "bake")]
    assert ["--no-cache" in call for call in builds] == [True, False]
    assert {one["COTAI_TAG"] for one in fake.environs} == {"measured"}
    assert all(one["APP_CONTEXT"] != str(tmp_path) for one in fake.environs)
    assert fake.calls[-1] == ("image", "rm", "cotai/production:measured")
    assert code.read_text() == "app = None\n"
    assert report.stage == "production"


def test_the_ratio_says_how_many_times_faster() -> None:
    """Forty seconds against two is twenty."""
    assert RebuildReport("production", 40.0, 2.0).ratio == 20


def test_a_missing_module_cannot_be_measured(tmp_path: Path) -> None:
    """The variable to set is named."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    assert find_module(tmp_path, "shop:app") == tmp_path / "shop/__init__.py"
    with pytest.raises(BuildError, match=r"APP_MODULE=app\.main:app: the application has no such module"):
        find_module(tmp_path, "app.main:app")
