"""Where services stand that are replaced without a gap."""

from __future__ import annotations

from typing import Any

from cotai_tasks.places import Place, address, fingerprints, move, overlay, read_rolls, standing
from cotai_tasks.testing import container

ROLLS = read_rolls(
    {
        "backend": {"labels": {"cotai.roll": "proxied"}},
        "worker": {"labels": {"cotai.roll": "beside"}},
        "redis": {"labels": {"other": "label"}},
        "plain": {},
    }
)


def test_only_what_is_labelled_rolls() -> None:
    """Everything else is stopped before it is started anew."""
    assert ROLLS == {"backend": "proxied", "worker": "beside"}


def test_a_release_takes_the_other_slot() -> None:
    """And the one after it the first again."""
    assert Place().next("1") == Place("b", "1")
    assert Place().next("1").next("2") == Place("a", "2")
    assert address("backend", Place("b")) == "backend-b"


def test_what_runs_says_where_it_stands() -> None:
    """Of two releases it is the older one that serves; who never ran would be started in the first slot."""
    containers = [
        container("backend", slot="a", release="2"),
        container("backend", slot="b", release="1"),
        container("redis"),
    ]
    assert standing(ROLLS, containers) == {"backend": Place("b", "1"), "worker": Place()}
    assert standing(ROLLS, [container("backend")]) == {"backend": Place(), "worker": Place()}


def test_nginx_finds_a_slot_by_its_name() -> None:
    """Workers have none: nobody asks them."""
    places = {"backend": Place("b", "1"), "worker": Place("a", "1")}
    assert overlay(ROLLS, places)["services"] == {
        "backend": {
            "labels": {"cotai.slot": "b", "cotai.release": "1"},
            "networks": {"edge": {"aliases": ["backend-b"]}},
        },
        "worker": {"labels": {"cotai.slot": "a", "cotai.release": "1"}},
    }


def test_a_fingerprint_is_of_what_makes_another_container() -> None:
    """Not of its place, its release, the order of starts, or how many there are."""

    def made(**changes: Any) -> str:  # noqa: ANN401 - any field of a service
        raw = {"image": "a:1", "labels": {"x": "y"}, "networks": {"edge": {"aliases": ["backend-a"]}, "data": None}}
        return fingerprints({"services": {"backend": raw | changes}})["backend"]

    same = made()
    assert made(labels={"x": "y", "cotai.slot": "b", "cotai.release": "9"}) == same
    assert made(networks={"edge": {"aliases": ["backend-b"]}, "data": None}) == same
    assert made(depends_on={"redis": {}}, deploy={"replicas": 4}) == same
    assert made(environment={"LOG_LEVEL": "INFO"}) != same
    assert made(image="a:2") != same
    assert made(networks={"edge": None}) != same


def test_a_rendered_project_is_moved_as_a_whole() -> None:
    """One name on the network alone: with both, Nginx would ask two releases."""
    config: dict[str, Any] = {
        "services": {
            "backend": {
                "labels": {"a": "b", "cotai.slot": "a"},
                "networks": {"edge": {"aliases": ["backend-a"]}, "app": None},
            },
            "redis": {"labels": {}},
        }
    }
    moved = move(config, ROLLS, {"backend": Place("b", "7"), "worker": Place()})
    assert moved["services"] == {
        "backend": {
            "labels": {"a": "b", "cotai.slot": "b", "cotai.release": "7"},
            "networks": {"edge": {"aliases": ["backend-b"]}, "app": None},
        },
        "redis": {"labels": {}},
    }
