"""Giving disk space back."""

from __future__ import annotations

import json

import pytest

from cotai_tasks.build.prune import PruneResult, Removal, choose_removals, prune_images
from cotai_tasks.errors import RefusedError
from cotai_tasks.facts import read_size
from cotai_tasks.testing import FakeEngine, RecordingConsole
from tests.unit.build.reports import rendered
from tests.unit.deploy.stacks import settings


def usage(identifier: str, name: str, containers: int = 0, unique: str = "1.5MB") -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {
        "ID": identifier,
        "Repository": repository,
        "Tag": tag,
        "Containers": str(containers),
        "UniqueSize": unique,
    }


IMAGES = [
    usage("1", "cotai/production:dev"),
    usage("2", "cotai/production:old"),
    usage("3", "cotai/production:running", containers=1),
    usage("4", "<none>:<none>"),
    usage("5", "<none>:<none>"),
    usage("6", "other/production:old"),
    usage("7", "cotai/shop:old"),
    usage("8", "<none>:<none>", containers=1),
    usage("9", "cotai/production:release-20260101t000000z-abcdef"),
]
OLD = Removal("cotai/production:old", replaced=False, size=1_500_000)
DANGLING = Removal("4", replaced=True, size=1_500_000)


def engine() -> FakeEngine:
    return FakeEngine(
        answers={
            "buildx bake": rendered(),
            "system df": [json.dumps(IMAGES)],
            "image ls": ["4", "8"],
            "buildx prune": ["ID  RECLAIMABLE  SIZE", "Total:  1.2GB"],
            "context": ["default"],
        }
    )


def prune(
    fake: FakeEngine, console: RecordingConsole | None = None, *, yes: bool = False, dry_run: bool = False
) -> PruneResult:
    shown = console or RecordingConsole()
    return prune_images(yes=yes, dry_run=dry_run, settings=settings(), engine=fake, console=shown)


def destructive(fake: FakeEngine) -> list[tuple[str, ...]]:
    return [call for call in fake.calls if call[:2] in {("image", "rm"), ("buildx", "prune")}]


def test_only_unused_images_of_ours_go() -> None:
    """Others' images, the tag in use, names that are no stage, and what a container uses all stay."""
    chosen = choose_removals(IMAGES, dangling={"4", "8"}, repositories={"cotai/production", "cotai/naive"}, tag="dev")
    assert chosen == (DANGLING, OLD)


def test_old_images_and_old_cache_are_removed_and_counted() -> None:
    """It tells what it freed."""
    fake = engine()
    assert prune(fake, yes=True) == PruneResult((DANGLING, OLD), 1_200_000_000)
    assert destructive(fake) == [
        ("image", "rm", "4", "cotai/production:old"),
        ("buildx", "prune", "--builder", "default", "--force", "--filter", "until=168h"),
    ]


def test_nothing_goes_unconfirmed_or_on_a_dry_run() -> None:
    """Without a terminal it refuses; a dry run names what would go."""
    fake, console = engine(), RecordingConsole()
    with pytest.raises(RefusedError):
        prune(fake)
    assert prune(fake, console, dry_run=True) == PruneResult((DANGLING, OLD), 0)
    assert destructive(fake) == []
    assert console.text().splitlines() == [
        "to remove: what newer builds replaced, 1 in number (2 MB of their own)",
        "to remove: cotai/production:old, an old tag (2 MB of its own)",
    ]


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("88.9MB", 88_900_000), ("1.2GB", 1_200_000_000), ("12kB", 12_000), ("N/A", 0)]
)
def test_sizes_are_read_as_docker_prints_them(text: str, size: int) -> None:
    """Powers of 1000; what is no size counts nothing."""
    assert read_size(text) == size
