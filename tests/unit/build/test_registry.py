"""Pushing to a registry."""

from __future__ import annotations

import pytest

from cotai_tasks.build.registry import Pushed, names_registry, push_images
from cotai_tasks.errors import EngineError, PreflightError, RegistryError, UsageError
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.build.reports import image, rendered
from tests.unit.deploy.stacks import settings

DIGEST = f"sha256:{'a' * 64}"
TARGET = "registry.example.com/team/production:dev"


def engine() -> FakeEngine:
    return FakeEngine(
        found_images={"cotai/production:dev": image("cotai/production:dev")},
        answers={"buildx": rendered(), "push": ["0123456789ab: Pushed", f"dev: digest: {DIGEST} size: 1786"]},
    )


def push(fake: FakeEngine, registry: str = "registry.example.com/team", *, dry_run: bool = False) -> tuple[Pushed, ...]:
    return push_images(registry=registry, dry_run=dry_run, settings=settings(), engine=fake, console=RecordingConsole())


def acts(fake: FakeEngine) -> list[tuple[str, ...]]:
    """Leave out what only asks."""
    return [call for call in fake.calls if call[0] != "buildx" and call[:2] != ("image", "inspect")]


@pytest.mark.parametrize(
    ("repository", "named"),
    [
        ("cotai", False),
        ("cotai.images", False),
        ("team/cotai", False),
        ("localhost/cotai", True),
        ("host:5000/c", True),
        ("ghcr.io/a/b", True),
    ],
)
def test_a_registry_is_recognised_as_docker_does(repository: str, *, named: bool) -> None:
    """A repository names its registry by a dot, a port or localhost before the first slash."""
    assert names_registry(repository) is named


def test_what_was_built_is_tagged_and_pushed() -> None:
    """Images that exist get the registry's name for as long as it takes, and their digest is told."""
    fake = engine()
    assert push(fake) == (Pushed(TARGET, DIGEST),)
    assert acts(fake) == [
        ("image", "tag", "cotai/production:dev", TARGET),
        ("push", TARGET),
        ("image", "rm", TARGET),
    ]


@pytest.mark.parametrize("refused", [False, True])
def test_a_tag_that_was_there_before_is_given_back(*, refused: bool) -> None:
    """The registry's name may be somebody's already: after the push, or its failure, it means the same image again."""
    fake = engine()
    fake.answers["image inspect"] = ["sha256:before"]
    if refused:
        fake.errors = {"push": EngineError("docker push failed")}
        with pytest.raises(RegistryError):
            push(fake)
    else:
        push(fake)
    assert acts(fake) == [
        ("image", "tag", "cotai/production:dev", TARGET),
        ("push", TARGET),
        ("image", "tag", "sha256:before", TARGET),
    ]


def test_a_dry_run_pushes_nothing() -> None:
    """Neither a tag nor a push."""
    fake = engine()
    assert push(fake, dry_run=True) == ()
    assert acts(fake) == []


def test_a_repository_without_registry_is_refused() -> None:
    """Nothing lands in a public registry by accident."""
    with pytest.raises(UsageError, match="cotai names no registry to push to"):
        push(engine(), "")


def test_nothing_built_is_nothing_pushed() -> None:
    """The cure names the command that builds."""
    fake = engine()
    fake.found_images = {}
    with pytest.raises(PreflightError) as caught:
        push(fake)
    assert caught.value.cure == "inv build.all"


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("denied: requested access to the resource is denied", "docker login registry.example.com"),
        ("dial tcp: connection refused", "Repeat when the registry answers: what was pushed stays."),
    ],
)
def test_a_refused_push_names_its_cure(words: str, cure: str) -> None:
    """A missing login and an absent registry are different things."""
    fake = engine()
    fake.answers["push"] = [words]
    fake.errors = {"push": EngineError("docker push failed")}
    with pytest.raises(RegistryError) as caught:
        push(fake)
    assert (str(caught.value), caught.value.cure) == (f"{TARGET} could not be pushed: {words}", cure)
