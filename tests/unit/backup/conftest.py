"""What every test of a command finds: a store in memory, and the catalogue of the host that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks.backup import catalogue as module
from tests.unit.backup.catalogues import MemoryStore, catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from cotai_tasks.backup.catalogue import Catalogue


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Give the store that every command finds."""
    made = MemoryStore()
    monkeypatch.setattr(module, "open_store", lambda *_: made)
    return made


@pytest.fixture
def found(tmp_path: Path, store: MemoryStore) -> Catalogue:
    """Give the catalogue of that store."""
    return catalogue(tmp_path, store)
