"""Health, version and metrics."""

import pytest
from fastapi.testclient import TestClient

from app.llm import LlmUnavailableError
from tests.fakes import FakeServices

REQUIRED = ["mongodb", "postgres", "redis", "redis-cache"]


def test_ready_names_every_dependency(api: TestClient) -> None:
    """Ready means that every dependency was asked, and how long each took."""
    answer = api.get("/health/ready")

    dependencies = answer.json()["dependencies"]
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert sorted(name for name, state in dependencies.items() if state["required"]) == REQUIRED
    assert all(state["ok"] and state["latency_ms"] >= 0 for state in dependencies.values())


def test_required_dependency_down_is_503(api: TestClient, services: FakeServices) -> None:
    """Without PostgreSQL the backend is not ready, and says so by the error's name only; it still lives."""
    services.tenders.error = ConnectionRefusedError("postgres:5432 with its password")

    answer = api.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["dependencies"]["postgres"]["error"] == "ConnectionRefusedError"
    assert "password" not in answer.text
    assert api.get("/health/live").json() == {"status": "alive"}


def test_model_gateway_down_is_told_but_ready(api: TestClient, services: FakeServices) -> None:
    """Without a model tenders are still taken in."""
    services.llm.error = LlmUnavailableError("down")

    answer = api.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["dependencies"]["llm-service"]["ok"] is False


def test_version_is_the_release(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is the one that was deployed."""
    monkeypatch.setenv("COTAI_VERSION", "1.4.2")
    assert api.get("/version").json() == {"version": "1.4.2"}


def test_metrics_count_by_route(api: TestClient) -> None:
    """Requests are counted by the route's pattern: ids and unknown paths make no series of their own."""
    api.get("/api/v1/tenders/00000000-0000-0000-0000-000000000000")
    api.get("/no/such/path")

    text = api.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/api/v1/tenders/{tender_id}",status="404"}' in text
    assert 'http_requests_total{method="GET",route="unmatched",status="404"}' in text
    assert "00000000-0000" not in text
