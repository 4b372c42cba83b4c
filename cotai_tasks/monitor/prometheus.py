"""Asking Prometheus, through the engine: its own promtool does it, in its own container.

No port of this machine is needed, so that it works alike for development, production and an engine elsewhere; and every
image of Prometheus has the tool, whichever others it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotai_tasks.errors import EngineError, UnhealthyError
from cotai_tasks.monitor.series import read_series, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container
    from cotai_tasks.monitor.series import Series
    from cotai_tasks.settings import Settings

SERVICE = "prometheus"
_ADDRESS = {"dev": "http://127.0.0.1:9090", "prod": "http://127.0.0.1:9090/metrics"}
"""In its container; production serves it below the path that Nginx shows (--web.route-prefix)."""

_PATIENCE = 60
"""Seconds for an answer."""


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus of one stack."""

    container: str
    """Its id."""
    address: str
    engine: Engine

    def at(self, query: str, patience: int = _PATIENCE) -> list[Series]:
        """Ask what a query gives now, a point for each series.

        Raises `UsageError` for a query that is wrong, `UnhealthyError` where nothing answers within `patience` seconds.
        """
        return self._ask("instant", query, patience)

    def over(self, query: str, *, begin: float, end: float, step: int, patience: int = _PATIENCE) -> list[Series]:
        """Ask what a query gave from `begin` to `end`, in seconds since 1970, every `step` seconds; raises as `at`."""
        return self._ask("range", query, patience, f"--start={begin:.3f}", f"--end={end:.3f}", f"--step={step}s")

    def _ask(self, kind: str, query: str, patience: int, *flags: str) -> list[Series]:
        question = ("promtool", "query", kind, "--format=json", *flags, "--", self.address, query)
        try:
            return read_series(self.engine.command("exec", self.container, "timeout", str(patience), *question))
        except EngineError as error:
            if error.cure or "response from daemon" in error.evidence:  # no engine, no permission: not its fault
                raise
            raise refusal(query, error.evidence or f"nothing within {patience} s") from error


def open_prometheus(containers: Iterable[Container], settings: Settings, engine: Engine) -> Prometheus:
    """Give the Prometheus among a stack's containers; raise `UnhealthyError` where none runs."""
    found = next((one for one in containers if one.service == SERVICE and one.state == "running"), None)
    if not found:
        only = f" --only {SERVICE}" if settings.environment == "dev" else ""
        cure = f"Start it: inv deploy.{settings.environment}{only}"
        raise UnhealthyError(f"no Prometheus runs in {settings.stack_name}", cure=cure)
    return Prometheus(found.id, _ADDRESS[settings.environment], engine)
