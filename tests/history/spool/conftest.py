"""A spool before a SQLite that can fail"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from history.opening import open_store
from tests.history.spool.parts import Parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    yield parts
    await parts.close()
