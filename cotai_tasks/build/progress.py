"""Following a build: BuildKit's own reports become steps, a moving display, and an error that names its step.

BuildKit reports with `--progress=rawjson`: JSON objects, one to a line or spread over several, between lines of plain
text where Buildx itself speaks.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cotai_tasks.console import duration, make_table
from cotai_tasks.errors import BuildError, CotaiError, EngineError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from cotai_tasks.console import Console

EVIDENCE = 30
"""Lines of a failing step's output that are shown: a screen's worth."""

_INSTANT = 0.1
"""Seconds below which a step is not worth a line."""

_NAME = re.compile(r"\[(?:(?P<target>\S+) )?(?P<stage>\S+) +(?P<number>\d+/\d+)\] (?P<command>.*)", re.DOTALL)
_BASE_IMAGE = re.compile(r"(?:load metadata for|\d+/\d+\] FROM) (?:docker\.io/(?:library/)?)?(\S+)")
_COMMAND_WIDTH = 90


@dataclass
class Step:
    """One step of a Dockerfile's stage, or one of BuildKit's own (`[internal] load build context`)."""

    name: str
    begun: float | None = None
    """When it was seen to run first; None while it waits for others."""
    seconds: float | None = None
    """How long it took; None while it runs."""
    cached: bool = False
    error: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=EVIDENCE))
    partial: str = ""

    @property
    def title(self) -> str:
        """The step as people read it, `production 2/4  COPY . /app`; empty for one of BuildKit's own."""
        found = _NAME.match(self.name)
        return f"{found['stage']} {found['number']}  {_short(found['command'])}" if found else ""

    def write(self, text: str) -> None:
        """Take a piece of its output, which may end in the middle of a line."""
        *lines, self.partial = (self.partial + text).split("\n")
        self.log += [line.rpartition("\r")[2] for line in (one.rstrip("\r") for one in lines)]

    def output(self) -> list[str]:
        """Give the last lines that it printed."""
        return [line for line in [*self.log, self.partial] if line.strip()]


class BuildLog:
    """What a build has told so far."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.words: list[str] = []
        """What Buildx said itself, outside of any step."""
        self._json: list[str] = []
        self._finished: set[str] = set()

    @property
    def built(self) -> int:
        """How many different steps were executed."""
        return len(self._titles(cached=False))

    @property
    def cached(self) -> int:
        """How many different steps came from the cache."""
        return len(self._titles(cached=True) - self._titles(cached=False))

    def feed(self, line: str) -> list[Step]:
        """Take one line; give the steps that it finished, each once although several images may share it."""
        if not self._json and not line.startswith("{"):
            self.words.append(line)
            return []
        self._json.append(line)
        if line != "}" and not (len(self._json) == 1 and line.endswith("}")):
            return []
        report = json.loads("\n".join(self._json))
        self._json.clear()
        finished = [step for raw in report.get("vertexes") or () if (step := self._note(raw))]
        for raw in report.get("logs") or ():
            if raw["vertex"] in self.steps:
                self.steps[raw["vertex"]].write(base64.b64decode(raw["data"]).decode(errors="replace"))
        return finished

    def running(self) -> list[Step]:
        """Give the steps that are being executed now, once each."""
        steps = [one for one in list(self.steps.values()) if one.title and one.begun and one.seconds is None]
        return list({one.title: one for one in steps}.values())

    def failure(self, what: str) -> CotaiError:
        """Say why the build failed: which stage, which step, and that step's own last words."""
        reason = next((text for text in reversed(self.words) if text.startswith("ERROR: ")), "it said nothing")
        reason = reason.removeprefix("ERROR: ").removeprefix("failed to solve: ")
        failed = next((one for one in self.steps.values() if one.error and "cancel" not in one.error.lower()), None)
        output = failed.output() if failed else []
        evidence = "\n".join(output or self.words[-EVIDENCE:])
        if "no space left on device" in (reason + evidence).lower():
            return BuildError(
                f"{what}: the disk is full", cure="inv build.prune, or docker system df.", evidence=evidence
            )
        image = failed and _BASE_IMAGE.search(failed.name)
        if failed and image:
            return registry_error(image[1], failed.error)
        step = failed and _NAME.match(failed.name)
        if not (failed and step):
            return BuildError(f"{what} could not be built: {reason}", evidence=evidence)
        if "cotai_runtime.check" in step["command"] and output:
            return BuildError(f"{step['target'] or step['stage']} could not be built: {output[-1]}")
        return BuildError(
            f"{step['target'] or what} failed in stage {step['stage']}, step {step['number']} "
            f"({_short(step['command'])}): {failed.error.rpartition(' did not complete successfully: ')[2]}",
            evidence=evidence,
        )

    def __rich__(self) -> Table:
        """Draw what runs now; called again and again while it is shown."""
        now = time.monotonic()
        rows = [("●", escape(step.title), duration(now - (step.begun or now))) for step in self.running()]
        return make_table(("", f"{self.built} steps done, {self.cached} from the cache", ""), rows)

    def _note(self, raw: dict[str, Any]) -> Step | None:
        step = self.steps.setdefault(raw["digest"], Step(raw["name"]))
        if raw.get("started") and step.begun is None:
            step.begun = time.monotonic()
        step.cached = step.cached or bool(raw.get("cached"))
        step.error = raw.get("error") or step.error
        if not raw.get("completed"):
            return None
        begun, ended = (datetime.fromisoformat(raw[key]) for key in ("started", "completed"))
        step.seconds = (ended - begun).total_seconds()
        step.cached = step.cached or (" FROM " in step.name and step.seconds < _INSTANT)  # the image is here already
        if step.cached or step.error or not step.title or step.title in self._finished:
            return None
        self._finished.add(step.title)
        return step

    def _titles(self, *, cached: bool) -> set[str]:
        steps = list(self.steps.values())
        return {one.title for one in steps if one.title and one.seconds is not None and one.cached is cached}


def follow_build(lines: Iterable[str], what: str, *, console: Console) -> BuildLog:
    """Show a build's progress while it runs; raise `BuildError` or `RegistryError` when it fails."""
    log = BuildLog()
    try:
        with console.live() as display:
            display.update(log)
            for line in lines:
                for step in log.feed(line):
                    if (step.seconds or 0) >= _INSTANT:
                        console.line(f"  {step.title} ({duration(step.seconds or 0)})")
    except EngineError as error:
        if any("docker daemon" in words.lower() for words in log.words):
            raise
        raise log.failure(what) from error
    return log


def registry_error(image: str, reason: str) -> RegistryError:
    """Say that an image could not be fetched, and what to do without its registry."""
    cure = "Repeat when the registry answers (what was fetched stays), or set COTAI_IMAGES=offline to do without."
    return RegistryError(f"{image} could not be fetched: {reason}", cure=cure)


def _short(command: str) -> str:
    """Give an instruction in one line, without the mounts that say nothing about what it does."""
    text = " ".join(re.sub(r"--mount=\S+", "", command).replace("\\\n", " ").split())
    return text if len(text) <= _COMMAND_WIDTH else f"{text[: _COMMAND_WIDTH - 1]}…"
