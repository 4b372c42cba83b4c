"""How Prometheus' answers read, and how figures are said."""

from __future__ import annotations

import math

import pytest

from cotai_tasks.errors import UnhealthyError, UsageError
from cotai_tasks.monitor.series import (
    Series,
    Summary,
    figure,
    read_series,
    refusal,
    seconds,
    sparkline,
    summarize,
)


@pytest.mark.parametrize(
    ("answer", "series"),
    [
        ("[]", []),
        ('[1800000000.5,"2"]', [Series({}, ((1800000000.5, 2.0),))]),
        (
            '[{"metric":{"job":"a"},"value":[1,"-1"]},{"metric":{"job":"b"},"value":[1,"+Inf"]}]',
            [Series({"job": "b"}, ((1.0, math.inf),)), Series({"job": "a"}, ((1.0, -1.0),))],
        ),
        (
            '[{"metric":{"job":"a"},"values":[[1,"1"],[2,"3"]]}]',
            [Series({"job": "a"}, ((1.0, 1.0), (2.0, 3.0)))],
        ),
    ],
)
def test_every_kind_of_answer_becomes_series(answer: str, series: list[Series]) -> None:
    """Nothing, a scalar, a vector (the greatest first), a matrix."""
    assert read_series(answer) == series


def test_what_is_no_number_comes_last() -> None:
    """NaN compares with nothing."""
    told = '[{"metric":{"n":"1"},"value":[1,"NaN"]},{"metric":{"n":"2"},"value":[1,"0"]}]'
    assert [one.labels["n"] for one in read_series(told)] == ["2", "1"]


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({}, "{}"),
        ({"__name__": "up"}, "up"),
        ({"__name__": "up", "job": "b", "instance": "a:1"}, 'up{instance="a:1", job="b"}'),
        ({"job": "b"}, '{job="b"}'),
    ],
)
def test_a_series_is_named_as_it_can_be_asked_for(labels: dict[str, str], name: str) -> None:
    """What stands in the table can be pasted into the next query."""
    assert Series(labels, ((0, 0),)).name == name


def test_a_stretch_of_time_is_summed_up() -> None:
    """Gaps count for nothing; where nothing is left nothing is claimed."""
    points = ((1.0, 4.0), (2.0, math.nan), (3.0, 1.0))
    assert summarize(Series({}, points)) == Summary(min=1.0, avg=2.5, max=4.0, last=1.0)
    assert math.isnan(summarize(Series({}, ((1.0, math.nan),))).avg)


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 8, ""),
        ([5], 8, "▁"),
        ([5, 5], 8, "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 7, 7], 2, "▁█"),
        ([0, math.nan, 7], 8, "▁ █"),
        ([math.nan], 8, " "),
        ([math.inf, 1, 2], 8, " ▁█"),
    ],
)
def test_a_line_of_bars(values: list[float], width: int, line: str) -> None:
    """From the least to the greatest; gaps are blanks; several values share a bar where there are many."""
    assert sparkline(values, width) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12, "12"),
        (0.12345, "0.1235"),
        (119_939_072.4, "119,939,072"),
        (-1234.5, "-1,234"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_figures_are_readable(value: float, text: str) -> None:
    """Bytes and fractions alike; no unit is known."""
    assert figure(value) == text


def test_lengths_of_time() -> None:
    """As Prometheus writes them; nothing else."""
    assert [seconds(text, "range") for text in ("90s", "15m", "6h", "7d", "2w")] == [90, 900, 21600, 604800, 1209600]
    for text in ("", "1", "0m", "1y", "-1h", "1h30m"):
        with pytest.raises(UsageError, match=f"--step {text}: no length of time"):
            seconds(text, "step")


@pytest.mark.parametrize(
    ("query", "said", "text", "shown"),
    [
        (
            "sum(up",
            'query error: bad_data: invalid parameter "query": 1:7: parse error: unclosed left parenthesis',
            "Prometheus refuses the query at character 7: unclosed left parenthesis",
            "sum(up\n      ^",
        ),
        (
            "up\n + sum(",
            'query error: bad_data: invalid parameter "query": 2:8: parse error: unclosed left parenthesis',
            "Prometheus refuses the query at character 8 of line 2: unclosed left parenthesis",
            " + sum(\n       ^",
        ),
        (
            "up / on (x) up",
            "query error: execution: found duplicate series for the match group {}",
            "Prometheus cannot work the query out: found duplicate series for the match group {}",
            "",
        ),
        (
            '"up"',
            'query error: unmarshalerDecoder: unexpected value type "string", error found',
            "the query is a text",
            "",
        ),
    ],
)
def test_a_wrong_query_is_the_askers_fault(query: str, said: str, text: str, shown: str) -> None:
    """One line says what and where, and the query is shown with a mark."""
    error = refusal(query, said)
    assert isinstance(error, UsageError)
    assert str(error).startswith(text)
    assert error.evidence == shown


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            'query error: Post "http://127.0.0.1:9090": connection refused',
            'Post "http://127.0.0.1:9090": connection refused',
        ),
        ("query error: server_error: server error: 503", "server_error: server error: 503"),
        ("", "it said nothing"),
    ],
)
def test_a_silent_server_is_not(said: str, text: str) -> None:
    """It has an exit code of its own, and a cure."""
    error = refusal("up", said)
    assert isinstance(error, UnhealthyError)
    assert str(error) == f"Prometheus does not answer: {text}"
    assert error.cure == "inv monitor.logs --svc prometheus shows why."
