"""The gateway as its clients see it: cache, least busy server, next model, honest 503."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gateway.main import create_app
from gateway.settings import Settings
from tests.stub import Network, Stub

Start = Callable[..., TestClient]
QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
CHAT = "/v1/chat/completions"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a gateway in front of the stubs given by name."""
    with ExitStack() as stack:

        def started(fallback: tuple[str, ...] = (), **stubs: Stub) -> TestClient:
            servers = tuple(f"http://{name}" for name in stubs)
            settings = Settings(servers=servers, model="large", fallback_models=fallback)
            return stack.enter_context(TestClient(create_app(settings, Network(**stubs))))

        yield started


def test_answer_comes_from_the_model_then_from_the_cache(start: Start) -> None:
    """A deterministic question is put to a model once; the configured model answers when none is named."""
    stub = Stub(["large"])
    gateway = start(a=stub)

    answers = [gateway.post(CHAT, json=QUESTION), gateway.post(CHAT, json=QUESTION | {"model": "large"})]
    assert [answer.headers["X-LLM-Cache"] for answer in answers] == ["miss", "hit"]
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["answer 1", "answer 1"]
    assert [question["model"] for question in stub.asked] == ["large"]


@pytest.mark.parametrize("change", [{"temperature": 0.7}, {"temperature": None}, {"n": 2}, {"stream": True}])
def test_other_answers_are_not_cached(start: Start, change: dict[str, Any]) -> None:
    """A question that may get another answer each time is always put to a model."""
    stub = Stub(["large"])
    gateway = start(a=stub)
    for _ in range(2):
        assert gateway.post(CHAT, json=QUESTION | change).status_code == 200
    assert len(stub.asked) == 2


def test_cache_answers_when_every_server_is_down(start: Start) -> None:
    """What was answered once is answered without any server."""
    stub = Stub(["large"])
    gateway = start(a=stub)
    gateway.post(CHAT, json=QUESTION)
    stub.unreachable = True
    assert gateway.post(CHAT, json=QUESTION).headers["X-LLM-Cache"] == "hit"


def test_load_is_spread_over_servers(start: Start) -> None:
    """Idle servers take turns."""
    a, b = Stub(["large"]), Stub(["large"])
    gateway = start(a=a, b=b)
    for _ in range(4):
        gateway.post(CHAT, json=QUESTION | {"temperature": 1})
    assert (len(a.asked), len(b.asked)) == (2, 2)


@pytest.mark.parametrize("failure", [{"unreachable": True}, {"status": 500}, {"status": 429}, {"status": 404}])
def test_another_server_answers_for_one_that_fails(start: Start, failure: dict[str, Any]) -> None:
    """The client does not notice a server that fails."""
    a, b = Stub(["large"]), Stub(["large"])
    gateway = start(a=a, b=b)
    for name, value in failure.items():
        setattr(a, name, value)
    answer = gateway.post(CHAT, json=QUESTION)
    assert (answer.status_code, answer.headers["X-LLM-Server"]) == (200, "http://b")


def test_next_model_answers_when_the_first_has_no_server(start: Start) -> None:
    """The fallback model answers under its own name, and its answer is not kept as the first model's."""
    stub = Stub(["small:latest"])
    gateway = start(fallback=("small",), a=stub)
    answers = [gateway.post(CHAT, json=QUESTION) for _ in range(2)]
    assert [(answer.headers["X-LLM-Model"], answer.headers["X-LLM-Cache"]) for answer in answers] == [
        ("small", "miss"),
        ("small", "miss"),
    ]
    assert answers[0].json()["model"] == "small"


@pytest.mark.parametrize(
    ("stub", "said"),
    [
        (Stub(["large"], unreachable=True), "no model server answers"),
        (Stub(["other"]), "no server has the model large; they have: other"),
        (Stub(["large"], status=500), "large at http://a: answered 500"),
    ],
)
def test_nobody_to_answer_is_an_honest_503(start: Start, stub: Stub, said: str) -> None:
    """The 503 says what was tried and when to come back; the gateway itself stays ready."""
    gateway = start(a=stub)
    answer = gateway.post(CHAT, json=QUESTION)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert said in answer.json()["error"]["message"]
    assert gateway.get("/health/ready").status_code == 200


def test_wrong_question_is_the_clients_error(start: Start) -> None:
    """A refusal of the model server comes back as it is, once, and is not cached."""
    a, b = Stub(["large"], status=400), Stub(["large"])
    gateway = start(a=a, b=b)
    assert gateway.post(CHAT, json=QUESTION).status_code == 400
    assert b.asked == []
    a.status = 200
    assert gateway.post(CHAT, json=QUESTION).headers["X-LLM-Cache"] == "miss"


def test_stream_is_passed_on(start: Start) -> None:
    """Server-sent events arrive as the server sent them, and the server is idle again after the last."""
    gateway = start(a=Stub(["large"]))
    answer = gateway.post(CHAT, json=QUESTION | {"stream": True})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert [line[:15] for line in answer.text.splitlines() if line] == [
        'data: {"choices',
        'data: {"choices',
        "data: [DONE]",
    ]
    assert gateway.get("/health/ready").json()["servers"][0]["busy"] == 0


def test_request_id_travels_to_the_model_server(start: Start) -> None:
    """One id names the request in every log on its way."""
    stub = Stub(["large"])
    answer = start(a=stub).post(CHAT, json=QUESTION, headers={"X-Request-ID": "tender-7"})
    assert (answer.headers["X-Request-ID"], stub.request_ids) == ("tender-7", ["tender-7"])


def test_ready_tells_each_servers_state(start: Start) -> None:
    """Ready is the gateway's own state; each server's is told beside it."""
    gateway = start(a=Stub(["large"]), b=Stub([], unreachable=True))
    servers = gateway.get("/health/ready").json()["servers"]
    assert [(server["url"], server["ok"], server["models"], server["error"]) for server in servers] == [
        ("http://a", True, ["large"], None),
        ("http://b", False, [], "connection refused"),
    ]
    assert [model["id"] for model in gateway.get("/v1/models").json()["data"]] == ["large"]


def test_metrics_have_no_name_that_a_client_invented(start: Start) -> None:
    """Only models that exist become labels."""
    gateway = start(a=Stub(["large"]))
    gateway.post(CHAT, json=QUESTION | {"model": "invented"})
    text = gateway.get("/metrics").text
    assert "invented" not in text
    assert 'llm_server_up{server="http://a"} 1.0' in text
    assert 'llm_tokens_total{kind="completion",model="large"}' in text


def test_question_that_is_no_object_is_refused(start: Start) -> None:
    """A body that is not a JSON object is a 422."""
    assert start(a=Stub(["large"])).post(CHAT, json=[1]).status_code == 422
