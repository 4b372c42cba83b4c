"""Where the containers of a service stand that is replaced without a gap: in one of two slots, for one release.

New containers start in the slot that is free, beside those that serve. A slot is a name on the network (`backend-a`):
whoever is restarted, Nginx, the containers or the whole host, finds the others again without any process of ours.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cotai_tasks.facts import RELEASE_LABEL, SLOT_LABEL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cotai_tasks.facts import Container

Roll = Literal["proxied", "beside", "alone"]
"""How a service is replaced: behind Nginx, beside the old one (workers), or after it (a scheduler: never two of it)."""

ROLL_LABEL = "cotai.roll"
_NETWORK = "edge"
"""The network on which Nginx asks."""
FIRST = "a"
KEPT = "release-"
"""How the tags begin under which the images of releases stay."""


@dataclass(frozen=True)
class Place:
    """A slot, and the release whose containers stand in it."""

    slot: str = FIRST
    release: str = ""

    def next(self, release: str) -> Place:
        """Give the other slot, for the next release."""
        return Place("b" if self.slot == "a" else "a", release)


def read_rolls(services: Mapping[str, Mapping[str, Any]]) -> dict[str, Roll]:
    """Read from Compose files as they are written which services are replaced without a gap, and how."""
    labels = {name: (raw or {}).get("labels") or {} for name, raw in services.items()}
    return {name: found[ROLL_LABEL] for name, found in labels.items() if ROLL_LABEL in found}


def standing(rolls: Mapping[str, Roll], containers: Collection[Container]) -> dict[str, Place]:
    """Tell where each of these services stands now; of two releases the older one, which still serves."""
    found: dict[str, Place] = {}
    for one in sorted(containers, key=lambda one: one.release, reverse=True):
        if one.service in rolls and one.slot:
            found[one.service] = Place(one.slot, one.release)
    return {name: found.get(name, Place()) for name in rolls}


def overlay(rolls: Mapping[str, Roll], places: Mapping[str, Place]) -> dict[str, Any]:
    """Give the labels and network aliases of places, as a Compose file that is laid over the others."""
    return {"services": {name: _overlay(name, how, places[name]) for name, how in rolls.items()}}


def move(config: dict[str, Any], rolls: Mapping[str, Roll], places: Mapping[str, Place]) -> dict[str, Any]:
    """Put the services of a rendered project in other places than it was rendered for."""
    for name, laid_over in overlay(rolls, places)["services"].items():
        if raw := config["services"].get(name):
            raw["labels"] = (raw.get("labels") or {}) | laid_over["labels"]
            for network, one in laid_over.get("networks", {}).items():
                raw["networks"][network] = one
    return config


def fingerprints(config: Mapping[str, Any]) -> dict[str, str]:
    """Give a fingerprint of what each service's containers are made from, as Compose renders it, wherever they stand.

    Compose's own takes in what makes no other container, the order of starts and the place, and differs between its
    commands where there is an `env_file`.
    """
    return {
        name: hashlib.sha256(json.dumps(_definition(raw), sort_keys=True).encode()).hexdigest()[:16]
        for name, raw in config["services"].items()
    }


def _definition(raw: Mapping[str, Any]) -> dict[str, Any]:
    labels = {name: text for name, text in (raw.get("labels") or {}).items() if name not in {SLOT_LABEL, RELEASE_LABEL}}
    networks = {name: {} if name == _NETWORK else one for name, one in (raw.get("networks") or {}).items()}
    kept = {
        name: one for name, one in raw.items() if name not in {"depends_on", "deploy", "build", "profiles", "scale"}
    }
    return kept | {"labels": labels, "networks": networks}


def address(service: str, place: Place) -> str:
    """Give the name by which Nginx finds the containers of a place."""
    return f"{service}-{place.slot}"


def kept_tag(image: str, release: str) -> str:
    """Give the tag under which an image of a release stays, whatever is built after it."""
    return f"{image.rpartition(':')[0]}:{KEPT}{release.lower()}"


def _overlay(service: str, how: Roll, place: Place) -> dict[str, Any]:
    labels = {SLOT_LABEL: place.slot, RELEASE_LABEL: place.release}
    aliases = {"networks": {_NETWORK: {"aliases": [address(service, place)]}}} if how == "proxied" else {}
    return {"labels": labels, **aliases}
