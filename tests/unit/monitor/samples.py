"""Series of Prometheus made of plain data."""

from __future__ import annotations

import json
from typing import Any

from cotai_tasks.monitor.series import Series

NOW = 1_800_000_000.0
"""When Prometheus was asked."""


def sample(name: str, value: float, **labels: str) -> Series:
    """Make the value of one metric at this moment."""
    return Series({"__name__": name, **labels}, ((NOW, value),))


def answer(*series: Series) -> list[str]:
    """Give what promtool prints of them."""
    told: list[dict[str, Any]] = [
        {"metric": one.labels, "value": [when, str(value)]} for one in series for when, value in one.points
    ]
    return [json.dumps(told)]
