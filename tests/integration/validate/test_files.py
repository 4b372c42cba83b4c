"""The checks of files, on those of a project that is wrong."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cotai_tasks.settings import load_settings
from cotai_tasks.validate.catalogue import catalogue
from cotai_tasks.validate.check import State
from cotai_tasks.validate.subject import Subject
from tests.integration.test_scanning import BAD, GOOD, private_key, project
from tests.integration.validate.little import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.engine import Engine
    from cotai_tasks.settings import Settings
    from cotai_tasks.validate.check import Outcome

pytestmark = pytest.mark.integration

BROKEN = {
    "CFG-01": "a key of a Compose file has the wrong type",
    "CFG-02": "a service is privileged",
    "CFG-03": "an image has the tag latest",
    "CFG-07": "a rule of Prometheus is no query",
    "SEC-08": "a private key is about to be committed",
}


def tried(settings: Settings, engine: Engine, name: str) -> Outcome:
    """Try one check on the files of the settings."""
    return next(one for one in catalogue() if one.id == name).run(Subject(settings, engine))


@pytest.mark.parametrize("name", ["CFG-01", "CFG-02", "SEC-08"])
def test_a_bad_project_fails(name: str, tmp_path: Path, engine: Engine) -> None:
    """It passes on a project as it should be, and fails on one that is wrong."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    assert tried(project(good, GOOD), engine, name).state == State.PASS
    outcome = tried(project(bad, BAD | {"server.txt": private_key()}), engine, name)
    assert (outcome.state, bool(outcome.evidence)) == (State.FAIL, True)


@pytest.mark.parametrize(("tag", "state"), [("17.6", State.PASS), ("latest", State.FAIL)])
def test_a_floating_tag_fails(tag: str, state: State, engine: Engine) -> None:
    """CFG-03: what is another image tomorrow."""
    settings = load_settings(ROOT, "dev", environ=os.environ | {"COTAI_IMAGES": "upstream"})
    images = settings.upstream_images | {"POSTGRES_IMAGE": f"postgres:{tag}"}
    assert tried(settings.model_copy(update={"upstream_images": images}), engine, "CFG-03").state == state


def test_a_rule_that_is_no_query_fails(tmp_path: Path, engine: Engine) -> None:
    """CFG-07: Prometheus' own program refuses it, and names the file."""
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    rules = tmp_path / "docker/prometheus/rules/alerts.yml"
    rules.write_text(rules.read_text().replace("expr: up == 0", "expr: up =="))
    settings = load_settings(ROOT, "dev", environ=os.environ).model_copy(update={"home": tmp_path})
    outcome = tried(settings, engine, "CFG-07")
    assert outcome.state == State.FAIL
    assert "alerts.yml" in "".join(outcome.evidence)
