"""Configuration: what is in the files, before anything of it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cotai_tasks.console import count
from cotai_tasks.errors import EngineError
from cotai_tasks.stack import UNAVAILABLE
from cotai_tasks.validate.check import Severity, SkipCheck, check, failed, judged, passed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

_PROMETHEUS = {"dev": "prometheus.yml", "prod": "production.yml"}
_ALERTMANAGER = ("alertmanager.yml", "production.yml")
_FLOATING = {"latest", "stable", "main", "master", "edge", "nightly", "dev", "alpine", "slim"}
"""Tags that are another image tomorrow."""


@check("CFG-03", "Every image is pinned to a version", "0 floating tags", Severity.BLOCKER, live=False)
def images_are_pinned(subject: Subject) -> Outcome:
    """Look at the tag or digest of every image that the Compose files name; our own are made from this checkout."""
    images = {name: str(one["image"]) for name, one in subject.stack.rendered["services"].items()}
    return judge_pins(images, f"{subject.settings.variables.COTAI_REPOSITORY}/")


def judge_pins(images: Mapping[str, str], own: str) -> Outcome:
    """Judge images by their service; those whose name begins with `own` are built here."""
    foreign = {name: one for name, one in images.items() if not one.startswith(own) and one != UNAVAILABLE}
    faults = [f"{name}: {one}" for name, one in foreign.items() if not is_pinned(one)]
    if not images:
        faults.append("no image is named")
    figure = f"{len(foreign) - len(faults)} of {count(len(foreign), 'foreign image')} pinned"
    return judged(faults, figure, cure="Name a version in docker/images.env, or a digest.")


def is_pinned(image: str) -> bool:
    """Tell whether an image's name means the same image tomorrow: a digest, or the tag of a version."""
    if "@" in image:
        return bool(re.search(r"@sha256:[0-9a-f]{64}$", image))
    tag = image.rpartition("/")[2].partition(":")[2]
    return bool(tag) and tag not in _FLOATING


@check("CFG-05", "Nginx takes its configuration", "nginx -t", Severity.BLOCKER, envs=("prod",))
def nginx_takes_its_configuration(subject: Subject) -> Outcome:
    """Let the running Nginx read what it would load next."""
    try:
        subject.inside("nginx", ["nginx", "-t"])
    except EngineError as error:
        return failed("refused", *_last(error), cure="Mend the line that is named, in nginx/ of your project.")
    return passed("taken")


@check(
    "CFG-07",
    "Prometheus and Alertmanager take their configuration, and every alert fires on its history",
    "0 faults",
    Severity.BLOCKER,
    profile="full",
    patience=240.0,
    live=False,
)
def monitoring_takes_its_configuration(subject: Subject) -> Outcome:
    """Let their own programs read the files, and run the rules on recorded histories."""
    docker, variables = subject.settings.home / "docker", subject.stack.variables
    file = _PROMETHEUS[subject.environment]
    prometheus = (variables["PROMETHEUS_IMAGE"], "/etc/prometheus", docker / "prometheus")
    alertmanager = (variables["ALERTMANAGER_IMAGE"], "/etc/alertmanager", docker / "alertmanager")
    commands = [
        (prometheus, ["promtool", "check", "config", "--lint-fatal", f"/etc/prometheus/{file}"]),
        (prometheus, ["promtool", "test", "rules", "/etc/prometheus/tests/firing.yml"]),
        (alertmanager, ["amtool", "check-config", *(f"/etc/alertmanager/{one}" for one in _ALERTMANAGER)]),
    ]
    faults, done = [], []
    for place, command in commands:
        try:
            subject.program(*place, command, patience=200.0)
            done.append(" ".join(command[: 3 if command[0] == "promtool" else 2]))
        except EngineError as error:
            faults += [f"{command[0]} {command[1]}: {line}" for line in _last(error)]
    cure = "The file and line are named: docker/prometheus, docker/alertmanager."
    return judged(faults, ", ".join(done) or "none passed", cure=cure)


@check("CFG-08", "Kubernetes manifests are valid", "0 faults", Severity.MAJOR, live=False)
def manifests_are_valid(subject: Subject) -> Outcome:
    """There are none yet."""
    folder: Path = subject.settings.directory / "kubernetes"
    raise SkipCheck(f"{folder.name}/ is not checked yet" if folder.is_dir() else "there are no Kubernetes manifests")


def _last(error: EngineError) -> Sequence[str]:
    """Give the last words of a program."""
    lines: list[Any] = [line for line in error.evidence.splitlines() if line.strip()]
    return lines[-5:] or [str(error)]
