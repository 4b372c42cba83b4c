"""One verdict on a whole stack, within a few seconds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.markup import escape

from cotai_tasks.errors import UnhealthyError
from cotai_tasks.monitor import signs
from cotai_tasks.monitor.prometheus import SERVICE as PROMETHEUS
from cotai_tasks.monitor.prometheus import open_prometheus
from cotai_tasks.monitor.readiness import SERVICE as BACKEND
from cotai_tasks.monitor.readiness import ask_ready
from cotai_tasks.monitor.signs import QUERY, Sign, State, worst
from cotai_tasks.monitor.status import absent, describe, missing
from cotai_tasks.stack import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.monitor.series import Series
    from cotai_tasks.monitor.status import ServiceStatus
    from cotai_tasks.settings import Settings

_COLOURS: dict[State, str] = {"ok": "green", "unknown": "yellow", "warning": "yellow", "broken": "red"}
_PATIENCE = 5
"""Seconds that Prometheus has for its answer; a healthy one takes a few milliseconds."""

_NAMED = 6
"""So many broken things are named in the last line; the table has them all."""


@dataclass(frozen=True)
class Health:
    """The vital signs of a stack, and what they come to."""

    stack: str
    signs: tuple[Sign, ...]

    @property
    def state(self) -> State:
        """The worst of all signs."""
        return worst(one.state for one in self.signs)

    def having(self, state: State) -> list[Sign]:
        """Give the signs of one state."""
        return [one for one in self.signs if one.state == state]

    def as_json(self) -> dict[str, object]:
        """Give the health as plain data."""
        return {"stack": self.stack, "ok": self.state != "broken", "state": self.state} | {
            "signs": [asdict(one) for one in self.signs]
        }


def stack_health(*, settings: Settings, engine: Engine, console: Console) -> Health:  # noqa: ARG001 - every procedure takes the three
    """Look at everything at once: containers, the application's own word, and what Prometheus knows."""
    containers = engine.containers(settings.stack_name)
    if not containers:
        cure = f"inv deploy.{settings.environment} starts it."
        nothing = Sign("containers", "nothing runs", "broken", "", 0, "containers", cure)
        return Health(settings.stack_name, (nothing,))
    # One that is still starting has nothing to say yet.
    backends = [
        one for one in containers if one.service == BACKEND and one.state == "running" and one.health != "starting"
    ]
    with ThreadPoolExecutor() as pool:
        described = pool.submit(_describe, containers, settings, engine)
        asked = pool.submit(_ask_prometheus, containers, settings, engine)
        answers = list(pool.map(lambda one: ask_ready(one, settings.variables.APP_HEALTH_PATH, engine), backends))
    services, (samples, silent) = described.result(), asked.result()
    found = [
        *signs.of_containers(services, {one.name: one.health_output for one in containers}),
        *signs.of_databases(services, samples),
        *signs.of_readiness(answers),
        *silent,
    ]
    if not silent:
        found += [*signs.of_pages(samples), *signs.of_targets(samples), *signs.of_alerts(samples)]
    if not silent and settings.environment == "prod":
        found += [*signs.of_certificates(samples), *signs.of_backups(samples)]
    return Health(settings.stack_name, tuple(found))


def show_health(health: Health, *, as_json: bool, console: Console) -> None:
    """Print the health of a stack; raise `UnhealthyError` where something is broken."""
    if as_json:
        console.json(health.as_json())
    else:
        console.table(("part", "what", "state", "", "takes", "what to do"), [_row(one) for one in health.signs])
    broken, doubtful = health.having("broken"), [*health.having("warning"), *health.having("unknown")]
    if broken:
        names = list(dict.fromkeys(one.what for one in broken))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        fault = f"{health.stack} is broken: {', '.join(names[:_NAMED])}{more}"
        raise UnhealthyError(fault, cure=next((one.cure for one in broken if one.cure), ""))
    console.done(f"{health.stack} works: {len(health.signs)} signs, {len(doubtful)} doubtful")


def _describe(containers: Sequence[Container], settings: Settings, engine: Engine) -> list[ServiceStatus]:
    stack = open_stack(settings, engine)
    one_shots = {name for name, one in stack.services.items() if one.one_shot}
    now = datetime.now(UTC)
    return [
        *(describe(one, {}, one_shots, now) for one in containers),
        *(absent(name) for name in missing(stack.services, {one.service for one in containers})),
    ]


def _ask_prometheus(
    containers: Sequence[Container], settings: Settings, engine: Engine
) -> tuple[list[Series], list[Sign]]:
    """Ask Prometheus for all that it knows; where it does not answer, that is a sign itself."""
    try:
        return open_prometheus(containers, settings, engine).at(QUERY, _PATIENCE), []
    except UnhealthyError as error:
        # Who left monitoring out knows it; one that was started and does not answer is broken.
        state: State = "broken" if any(one.service == PROMETHEUS for one in containers) else "unknown"
        return [], [Sign("targets", PROMETHEUS, state, str(error), cure=error.cure)]


def _row(one: Sign) -> Sequence[str]:
    took = f"{one.figure:,.0f} ms" if one.unit == "ms" and one.figure else ""
    return (
        one.part,
        escape(one.what),
        f"[{_COLOURS[one.state]}]{one.state}[/]",
        escape(one.told),
        took,
        one.cure,
    )
