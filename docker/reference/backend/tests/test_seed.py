"""Examples: the same ones every time, and nothing twice."""

import pytest

from app.schemas import Status
from app.seed import example, seed
from tests.fakes import FakeServices

pytestmark = pytest.mark.anyio


async def test_examples_are_complete(services: FakeServices) -> None:
    """Each has its document, its row and its quotation."""
    assert await seed(services, 3) == 3
    for number in range(3):
        one = example(number)
        row = services.tenders.rows[one.id]
        assert (row.title, row.status) == (one.title, Status.DRAFTED)
        assert row.quotation
        assert (row.quotation.fields, row.quotation.draft) == (one.fields, one.draft)
        assert services.documents.texts[one.id] == one.text


async def test_the_second_time_there_is_nothing_to_do(services: FakeServices) -> None:
    """What is there stays as it is, whatever became of it; more examples are added to them."""
    await seed(services, 2)
    before = dict(services.tenders.rows)
    assert await seed(services, 2) == 0
    assert services.tenders.rows == before
    assert await seed(services, 5) == 3


async def test_an_interrupted_example_is_finished(services: FakeServices) -> None:
    """A row without its quotation and its document gets both."""
    one = example(0)
    await services.tenders.add(one.id, one.title)
    assert await seed(services, 1) == 0
    assert services.tenders.rows[one.id].quotation
    assert one.id in services.documents.texts


def test_examples_differ() -> None:
    """Ids and titles of a thousand of them, and every deadline is a day of the calendar."""
    made = [example(number) for number in range(1000)]
    assert len({one.id for one in made}) == len({one.title for one in made}) == 1000
    assert all(one.fields.deadline and 1 <= int(one.fields.deadline[:2]) <= 28 for one in made)
