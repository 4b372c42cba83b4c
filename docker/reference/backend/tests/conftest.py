"""What the tests share."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from tests.fakes import FakeServices


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the servers do."""
    return "asyncio"


@pytest.fixture
def services() -> FakeServices:
    """Neighbours in memory."""
    return FakeServices()


@pytest.fixture
def api(services: FakeServices) -> Iterator[TestClient]:
    """Give a client of the API, started with those neighbours."""
    with TestClient(create_app(services.opened)) as client:
        yield client
