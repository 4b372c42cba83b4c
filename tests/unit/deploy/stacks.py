"""Stacks and settings made of plain data, for the tests of `deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cotai_tasks.facts import Project
from cotai_tasks.settings import Settings
from cotai_tasks.stack import Service, Stack
from cotai_tasks.variables import DEVELOPMENT_SECRETS, Variables

SECRET = SecretStr("a-secret-value")


def service(name: str, **changes: Any) -> Service:  # noqa: ANN401 - any field of a service
    fields: dict[str, Any] = {
        "name": name,
        "image": f"{name}:1",
        "group": "core",
        "one_shot": False,
        "depends_on": frozenset(),
        "description": "",
        "url": "",
        "login": "",
        "awaited": True,
        "ports": (),
        "volumes": frozenset(),
    }
    return Service(**fields | changes)


def stack(*services: Service, **changes: Any) -> Stack:  # noqa: ANN401 - any field of a stack
    fields: dict[str, Any] = {
        "project": Project("cotai-dev", Path("/"), (), ("*",), Path("/dev/null"), frozenset()),
        "source": "upstream",
        "services": {one.name: one for one in services},
        "left_out": {},
        "reasons": {},
        "variables": {},
        "formats": {},
        "rendered": {"services": {}},
    }
    return Stack(**fields | changes)


def settings(**changes: Any) -> Settings:  # noqa: ANN401 - any variable
    passwords = dict.fromkeys(DEVELOPMENT_SECRETS, SECRET)
    fields: dict[str, Any] = {
        "environment": "dev",
        "project": "cotai",
        "directory": Path(__file__).parents[3],
        "home": Path(__file__).parents[3],
        "variables": Variables(**passwords | {"COTAI_IMAGES": "upstream"} | changes),
        "upstream_images": {"PYTHON_IMAGE": "python:3"},
        "offline_images": {"PYTHON_IMAGE": "cotai-offline/python:3"},
    }
    return Settings(**fields)
