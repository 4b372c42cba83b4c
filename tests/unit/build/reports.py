"""What BuildKit and Buildx say, made of plain data."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cotai_tasks.facts import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = ("base", "production", "celery-worker")


def vertex(name: str, seconds: float | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Report one step as begun, or as completed after some seconds."""
    ended = {} if seconds is None else {"completed": f"2026-01-01T00:00:{seconds:012.9f}Z"}
    return {"digest": name, "name": name, "started": "2026-01-01T00:00:00.000000000Z"} | ended | changes


def report(*vertexes: dict[str, Any], logs: Mapping[str, str] | None = None, pretty: bool = False) -> list[str]:
    """Give the lines of one report: on one line as new versions of Buildx write it, or spread as old ones do."""
    said = [{"vertex": name, "data": base64.b64encode(text.encode()).decode()} for name, text in (logs or {}).items()]
    return json.dumps({"vertexes": vertexes, "logs": said}, indent=2 if pretty else None).splitlines()


def rendered(repository: str = "cotai", tag: str = "dev", *, with_nginx: bool = False) -> list[str]:
    """Give what `docker buildx bake --print default stage` answers for our stages."""
    target = {
        name: {"context": "docker", "args": {"PYTHON_IMAGE": "python:3"}, "tags": [f"{repository}/{name}:{tag}"]}
        for name in STAGES
    }
    nginx = {"context": "nginx", "args": {"NGINX_IMAGE": "nginx:1"}, "tags": [f"{repository}/nginx:{tag}"]}
    target |= {"nginx": nginx} if with_nginx else {}
    default = [*STAGES[1:], "stage", *(["nginx"] if with_nginx else [])]
    group = {"default": {"targets": default}, "stage": {"targets": [*STAGES]}}
    return json.dumps({"group": group, "target": target}, indent=2).splitlines()


def image(reference: str, size: int = 1, labels: Mapping[str, str] | None = None) -> Image:
    return Image(f"id-{reference}", (reference,), size, "2026-01-01T00:00:00Z", dict(labels or {}))
