"""`monitor.metrics`: what is asked, and what is printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import EngineError, UnhealthyError, UsageError
from cotai_tasks.monitor.metrics import read_period, show_metrics
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings
from tests.unit.monitor.samples import NOW, answer, sample

if TYPE_CHECKING:
    from cotai_tasks.facts import Container

SERVER = container("prometheus")
RANGE = '[{"metric":{"__name__":"up","job":"a"},"values":[[1,"1"],[2,"NaN"],[3,"0"]]}]'


def ask(
    query: str = "up",
    *servers: Container,
    span: str = "",
    step: str = "",
    as_json: bool = False,
    **fields: Any,  # noqa: ANN401 - any field of the engine
) -> tuple[str, FakeEngine]:
    """Ask; give what was printed, and the engine that was used."""
    engine = FakeEngine(found_containers=list(servers or [SERVER]), **fields)
    console = RecordingConsole()
    given: dict[str, Any] = {"settings": settings(), "engine": engine, "console": console}
    show_metrics(query, span=span, step=step, as_json=as_json, **given)
    return console.text(), engine


def test_this_moment_is_asked_in_prometheus_own_container() -> None:
    """No port of this machine, no shell that the query could leave."""
    text, engine = ask("up", answers={"exec": answer(sample("up", 1, job="[a]"), sample("up", 0, job="b"))})
    assert [line.split() for line in text.splitlines()] == [
        ["2", "series"],
        ["series", "value"],
        ['up{job="[a]"}', "1"],
        ['up{job="b"}', "0"],
    ]
    question = ("timeout", "60", "promtool", "query", "instant", "--format=json", "--", "http://127.0.0.1:9090", "up")
    assert engine.calls == [("exec", "id-prometheus", *question)]


def test_a_stretch_of_time_is_summed_up_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """From then until now, in steps: 60 where none is given."""
    monkeypatch.setattr("time.time", lambda: NOW)
    text, engine = ask(span="1h", answers={"exec": [RANGE]})
    assert engine.calls[0][8:11] == ("--start=1799996400.000", "--end=1800000000.000", "--step=60s")
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["series", "min", "avg", "max", "last", "from", "then", "to", "now"],
        ['up{job="a"}', "0", "0.5", "1", "0", "█", "▁"],
    ]


def test_json_knows_no_nan() -> None:
    """A program gets every point, and null where there is no number."""
    text, _ = ask(span="1h", step="30m", as_json=True, answers={"exec": [RANGE]})
    assert json.loads(text) == {
        "query": "up",
        "range_seconds": 3600,
        "step_seconds": 1800,
        "series": [
            {
                "labels": {"__name__": "up", "job": "a"},
                "min": 0,
                "avg": 0.5,
                "max": 1,
                "last": 0,
                "points": [[1, 1], [2, None], [3, 0]],
            }
        ],
    }


def test_nothing_found_is_an_answer() -> None:
    """A person is told, a program gets an empty list."""
    text, _ = ask(answers={"exec": ["[]"]})
    assert text.startswith("no series")
    text, _ = ask(as_json=True, answers={"exec": ["[]"]})
    assert json.loads(text)["series"] == []


def test_the_range_gives_the_step() -> None:
    """Sixty of them, and never below what Prometheus looks at."""
    assert read_period("", "") == (0, 0)
    assert read_period("6h", "") == (21600, 360)
    assert read_period("5m", "") == (300, 15)
    assert read_period("1h", "5m") == (3600, 300)
    with pytest.raises(UsageError, match="--step goes with --range"):
        read_period("", "1m")


@pytest.mark.parametrize("servers", [[container("api")], [container("prometheus", state="exited")]])
def test_without_a_prometheus_it_says_how_to_start_one(servers: list[Container]) -> None:
    """Left out, or stopped."""
    with pytest.raises(UnhealthyError, match=r"^no Prometheus runs in cotai-dev$") as caught:
        ask("up", *servers)
    assert caught.value.cure == "Start it: inv deploy.dev --only prometheus"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (EngineError("x", evidence="query error: bad_data: no"), UsageError, "Prometheus refuses the query: no"),
        (EngineError("it said nothing"), UnhealthyError, "Prometheus does not answer: nothing within 60 s"),
        (EngineError("no Docker Engine answers", cure="Start it"), EngineError, "no Docker Engine answers"),
        (EngineError("gone", evidence="Error response from daemon: no such container"), EngineError, "gone"),
    ],
)
def test_whose_fault_it_is(error: EngineError, kind: type[Exception], text: str) -> None:
    """The query's, the server's or the engine's: each has its own exit code."""
    with pytest.raises(kind, match=f"^{text}$"):
        ask(errors={"exec": error})
