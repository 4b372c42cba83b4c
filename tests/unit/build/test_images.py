"""Building stages, and what a stack lacks."""

from __future__ import annotations

import pytest

from cotai_tasks.build import BuildResult, EnsureResult, build_images, ensure_images
from cotai_tasks.build.images import APPLICATION_LABEL
from cotai_tasks.errors import BuildError, EngineError, RegistryError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.build.reports import image, rendered
from tests.unit.deploy.stacks import SECRET, service, settings, stack

PRINT = "buildx bake --file"
BUILD = "buildx bake --builder"


def engine(*images: str) -> FakeEngine:
    return FakeEngine(
        found_images={name: image(name) for name in images}, answers={PRINT: rendered(), "context": ["default"]}
    )


def built(fake: FakeEngine) -> list[tuple[str, ...]]:
    """Give the targets of each build."""
    return [call[call.index("--set") + 2 :] for call in fake.calls if call[:3] == ("buildx", "bake", "--builder")]


def pulled(fake: FakeEngine) -> list[str]:
    return [call[1] for call in fake.calls if call[0] == "pull"]


def test_a_mistyped_stage_gets_the_nearest_name() -> None:
    """The stages are those of the bake file, and nothing is built."""
    fake = engine()
    with pytest.raises(UsageError, match="no such stage: 'prodution'") as caught:
        build_images(["prodution"], settings=settings(), engine=fake, console=RecordingConsole())
    assert caught.value.cure == "Did you mean production?"
    assert built(fake) == []


def test_no_name_builds_the_default_group() -> None:
    """`build.all` bakes what the bake file builds by default, in one go."""
    fake = engine()
    result = build_images([], settings=settings(), engine=fake, console=RecordingConsole())
    assert built(fake) == [("production", "celery-worker")]
    assert result == BuildResult(("cotai/production:dev", "cotai/celery-worker:dev"), 0, 0, result.seconds)


def test_the_build_gets_the_variables_and_no_secret() -> None:
    """The application's folder, its modules and the base image reach the bake file; passwords do not."""
    fake = engine()
    build_images(["production"], settings=settings(APP_MODULE="shop:app"), engine=fake, console=RecordingConsole())
    given = fake.environs[-1]
    wanted = {"APP_MODULE": "shop:app", "PYTHON_IMAGE": "python:3", "COTAI_REPOSITORY": "cotai", "COTAI_TAG": "dev"}
    assert wanted.items() <= given.items()
    assert given["APP_CONTEXT"].startswith("/")
    assert SECRET.get_secret_value() not in given.values()


def test_a_dry_run_builds_nothing() -> None:
    """It says which images would be built from what."""
    fake, console = engine(), RecordingConsole()
    build_images(["base"], settings=settings(), engine=fake, console=console, dry_run=True)
    assert built(fake) == []
    assert console.text() == "would build cotai/base:dev from python:3 (upstream: COTAI_IMAGES=upstream)\n"


def test_each_image_has_its_own_base() -> None:
    """Nginx is built on Nginx: both bases are told, and both are made where no registry is in reach."""
    fake, console = engine(), RecordingConsole()
    fake.answers[PRINT] = rendered(with_nginx=True)
    build_images([], settings=settings(), engine=fake, console=console, dry_run=True)
    assert "cotai/nginx:dev from nginx:1, python:3 (upstream" in console.text()
    build_images(["nginx"], settings=settings(), engine=fake, console=console, dry_run=True)
    assert "would build cotai/nginx:dev from nginx:1 (upstream" in console.text()


def test_a_broken_bake_file_is_a_build_error() -> None:
    """Its own words are the evidence."""
    fake = engine()
    fake.errors = {PRINT: EngineError("docker bake failed", evidence="ERROR: docker-bake.hcl:1,22: Invalid")}
    with pytest.raises(BuildError, match=r"docker-bake\.hcl could not be read") as caught:
        build_images([], settings=settings(), engine=fake, console=RecordingConsole())
    assert caught.value.evidence == "ERROR: docker-bake.hcl:1,22: Invalid"


ONE = stack(
    service("backend", image="cotai/production:dev"),
    service("worker", image="cotai/celery-worker:dev"),
    service("redis", image="redis:8"),
    service("cache", image="redis:8"),
    variables={"PYTHON_IMAGE": "python:3"},
)


def ensure(fake: FakeEngine, *, rebuild: bool = False) -> EnsureResult:
    return ensure_images(ONE, rebuild=rebuild, settings=settings(), engine=fake, console=RecordingConsole())


def test_only_what_is_missing_is_made() -> None:
    """Missing upstream images are pulled once each, missing stages are built, the rest is left alone."""
    fake = engine("cotai/production:dev", "python:3")
    assert ensure(fake) == EnsureResult(("cotai/celery-worker:dev",), ("redis:8",), 2)
    assert (pulled(fake), built(fake)) == (["redis:8"], [("celery-worker",)])


def test_images_of_another_application_are_made_anew() -> None:
    """They bear its name, and would run the wrong code; an image without the label is taken as it is."""
    mine = {APPLICATION_LABEL: "app.main:app app.worker:celery_app gateway.main:app"}
    fake = engine("cotai/production:dev", "python:3", "redis:8")
    fake.found_images["cotai/celery-worker:dev"] = image("cotai/celery-worker:dev", labels=mine)
    assert ensure(fake).built == ()
    fake.found_images["cotai/celery-worker:dev"] = image("cotai/celery-worker:dev", labels={APPLICATION_LABEL: "other"})
    assert ensure(fake).built == ("cotai/celery-worker:dev",)


def test_the_way_in_is_built_on_nginx() -> None:
    """A stack with our Nginx wants its base, too."""
    proxy = stack(
        service("nginx", image="cotai/nginx:dev"), variables={"PYTHON_IMAGE": "python:3", "NGINX_IMAGE": "nginx:1"}
    )
    fake = engine("python:3")
    result = ensure_images(proxy, rebuild=False, settings=settings(), engine=fake, console=RecordingConsole())
    assert result == EnsureResult(("cotai/nginx:dev",), ("nginx:1",), 1)
    assert (pulled(fake), built(fake)) == (["nginx:1"], [("nginx",)])


def test_nothing_is_run_when_all_images_are_there() -> None:
    """A warm start asks the engine once, and starts no build and no pull."""
    fake = engine("cotai/production:dev", "cotai/celery-worker:dev", "python:3", "redis:8")
    assert ensure(fake) == EnsureResult((), (), 4)
    assert fake.calls == []


def test_a_rebuild_bakes_our_stages_in_any_case() -> None:
    """`deploy.dev --build` rebuilds what is ours, and pulls nothing that is there."""
    fake = engine("cotai/production:dev", "cotai/celery-worker:dev", "python:3", "redis:8")
    assert ensure(fake, rebuild=True) == EnsureResult(("cotai/celery-worker:dev", "cotai/production:dev"), (), 2)
    assert (pulled(fake), built(fake)) == ([], [("celery-worker", "production")])


def test_a_registry_that_goes_away_half_way_names_the_image_and_the_cause() -> None:
    """What was pulled before stays; the error names the image that failed, and nothing is built on top."""
    fake = engine()
    fake.answers["pull redis:8"] = ["Error response from daemon: dial tcp: connection refused"]
    fake.errors = {"pull redis:8": EngineError("docker pull failed")}
    with pytest.raises(RegistryError) as caught:
        ensure(fake)
    assert str(caught.value) == "redis:8 could not be fetched: dial tcp: connection refused"
    assert (pulled(fake), built(fake)) == (["python:3", "redis:8"], [])
