"""Tenders in a real PostgreSQL: run where TEST_DATABASE_URL names a migrated database that may be written to."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.db import make_engine
from app.schemas import Fields, Status, TenderOut
from app.settings import read_settings
from app.tenders import Tenders
from tests.test_settings import URLS

TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "")
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not TEST_DATABASE_URL, reason="TEST_DATABASE_URL is not set")]


@pytest.fixture
async def tenders() -> AsyncIterator[Tenders]:
    """Reach the database that the tests were given."""
    engine = make_engine(read_settings(URLS | {"DATABASE_URL": TEST_DATABASE_URL}))
    yield Tenders(engine)
    await engine.dispose()


async def _begun(tenders: Tenders, title: str = "Notebooks") -> TenderOut:
    added = await tenders.add(uuid4(), title)
    begun = await tenders.begin(added.id)
    assert begun is not None
    return begun


async def test_tender_goes_from_received_to_drafted(tenders: Tenders) -> None:
    """Its row tells each state; the first of two drafts stays; nothing is begun after the end."""
    added = await tenders.add(uuid4(), "Notebooks")
    assert (added.status, added.attempts, added.reason) == (Status.RECEIVED, 0, None)
    await tenders.record(added.id, Status.RETRYING, "no model")
    begun = await tenders.begin(added.id)
    assert begun is not None
    assert (begun.status, begun.attempts, begun.reason) == (Status.PROCESSING, 1, None)

    await tenders.save_quotation(begun, Fields(agency="Campinas"), "We offer", "first")
    await tenders.save_quotation(begun, Fields(), "We also offer", "second")
    await tenders.record(added.id, Status.FAILED, "too late")

    drafted = await tenders.get(added.id)
    assert drafted is not None
    assert drafted.quotation is not None
    assert (drafted.status, drafted.reason, drafted.quotation.draft) == (Status.DRAFTED, None, "We offer")
    assert drafted.quotation.fields == Fields(agency="Campinas")
    assert await tenders.begin(added.id) is None


async def test_quotations_are_searched_by_words_and_paged(tenders: Tenders) -> None:
    """Words are found in any of their forms, as Portuguese has them; any search is a valid search."""
    mark = f"x{uuid4().hex}"
    for title in ("Cadeira de escritório", "Mesa"):
        await tenders.save_quotation(await _begun(tenders, f"{title} {mark}"), Fields(), "Oferecemos", "tiny")

    found = await tenders.quotations(page=1, size=10, search=f"cadeiras {mark}")
    assert [item.title for item in found.items] == [f"Cadeira de escritório {mark}"]
    second = await tenders.quotations(page=2, size=1, search=mark)
    assert ([item.title for item in second.items], second.total) == ([f"Cadeira de escritório {mark}"], 2)
    assert (await tenders.quotations(page=1, size=1, search="' & | ! ( <-> \\")).items == []


async def test_silent_tenders_are_claimed_once(tenders: Tenders) -> None:
    """A tender that nothing happened to is claimed by one caller; finished ones never are."""
    silent = await _begun(tenders)
    finished = await _begun(tenders)
    await tenders.record(finished.id, Status.FAILED, "no model")
    ours = {silent.id, finished.id}

    async def claim(silent_for: timedelta) -> set[UUID]:
        return ours & set(await tenders.claim_stuck(silent_for, limit=10_000))

    assert await claim(timedelta(hours=1)) == set()
    assert await claim(timedelta(0)) == {silent.id}
    assert await claim(timedelta(minutes=1)) == set()
