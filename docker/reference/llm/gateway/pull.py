"""Pulls the models that the gateway is configured with: `python -m gateway.pull`, a job that runs once.

Ollama downloads and checks a model itself (each layer has its SHA-256); this asks it to, shows the progress in plain
lines and turns the end into an exit code. A server that has the model already, whatever kind it is, needs nothing.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from http import HTTPStatus
from time import monotonic
from typing import Any

import httpx

from gateway.fleet import fault, list_models, lists
from gateway.settings import Settings, read_settings

_DELAYS_S = (1, 2, 4, 8, 16, 30, 30, 30, 30)
_REPORT_EVERY_S = 2
_MEGABYTE = 1_000_000


class PullError(Exception):
    """A model cannot be pulled, and trying again would not help; the message says why."""


async def main(settings: Settings, http: httpx.AsyncClient, delays_s: Sequence[float] = _DELAYS_S) -> int:
    """Make sure that every server has every model; give the exit code."""
    for server in settings.servers:
        for model in settings.models:
            try:
                await pull_patiently(http, server, model, delays_s)
            except PullError as error:
                return _failed(server, model, str(error))
            except httpx.HTTPError as error:
                return _failed(server, model, fault(error))
    return 0


async def pull_patiently(http: httpx.AsyncClient, server: str, model: str, delays_s: Sequence[float]) -> None:
    """Pull a model, trying again while the server is not up yet or the download breaks; Ollama resumes it.

    Raises:
        PullError: when it cannot be had.
        httpx.HTTPError: the last failure, when there is no delay left to wait.

    """
    for delay in delays_s:
        try:
            await ensure(http, server, model)
        except httpx.HTTPError as error:
            say(f"{server}: {fault(error)}; trying again in {delay:g} s")
            await asyncio.sleep(delay)
        else:
            return
    await ensure(http, server, model)


async def ensure(http: httpx.AsyncClient, server: str, model: str) -> None:
    """Pull a model unless the server has it."""
    if lists(await list_models(http, server), model):
        say(f"{server}: {model} is there already")
        return
    await pull(http, server, model)
    say(f"{server}: {model} pulled and verified")


async def pull(http: httpx.AsyncClient, server: str, model: str) -> None:
    """Ask an Ollama server to pull a model and follow its progress to the end.

    Raises:
        PullError: when Ollama refuses, or the server is not Ollama.
        httpx.HTTPError: when the connection breaks.

    """
    say(f"{server}: pulling {model}")
    reported = 0.0
    async with http.stream("POST", f"{server}/api/pull", json={"model": model}, timeout=None) as response:
        if response.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
            listed = ", ".join(sorted(await list_models(http, server))) or "nothing"
            msg = f"the server is not Ollama and cannot pull; it has {listed}: set LLM_MODEL to that, or add the model"
            raise PullError(msg)
        if response.is_error:
            await response.aread()
            msg = f"answered {response.status_code}: {response.text[:200]}"
            raise httpx.HTTPStatusError(msg, request=response.request, response=response)
        status = ""
        async for line in response.aiter_lines():
            progress = _parse(line)
            if "error" in progress:
                raise PullError(str(progress["error"]))
            layer_moves = progress.get("status") == status and "total" in progress
            if layer_moves and monotonic() - reported < _REPORT_EVERY_S:
                continue
            status, reported = str(progress.get("status", "")), monotonic()
            say(f"  {describe(progress)}")
    if status != "success":
        msg = "the download ended before its end"
        raise httpx.ReadError(msg)


def describe(progress: dict[str, Any]) -> str:
    """Tell one step of a pull: percentage and megabytes of a layer with its digest, or what Ollama says."""
    total = progress.get("total")
    if not total:
        return str(progress.get("status", ""))
    completed = progress.get("completed", 0)
    share = f"{completed / total:4.0%}  {completed / _MEGABYTE:,.1f} of {total / _MEGABYTE:,.1f} MB"
    return f"{share}  {progress.get('digest', '')}".rstrip()


def say(line: str) -> None:
    """Print a line at once: whoever waits reads it in the container's log."""
    print(line, flush=True)  # noqa: T201 -- this is a command; its output is its interface


def _failed(server: str, model: str, why: str) -> int:
    print(f"{server}: {model} was not pulled: {why}", file=sys.stderr)  # noqa: T201 -- likewise
    return 1


def _parse(line: str) -> dict[str, Any]:
    try:
        progress = json.loads(line)
    except ValueError:
        progress = None
    return progress if isinstance(progress, dict) else {"status": line}


async def _run() -> int:
    async with httpx.AsyncClient() as http:
        return await main(read_settings(), http)


if __name__ == "__main__":
    sys.exit(asyncio.run(_run()))
