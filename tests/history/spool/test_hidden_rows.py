"""SpooledStore over a store in which much is hidden, and where authors are purged"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from history.config import StoreSettings
from history.core.late import ALL_VIDEOS
from history.opening import open_store
from tests.history.comments import comments_every
from tests.history.contract import read_on, scroll_back
from tests.history.moderating_contract import said_by
from tests.history.spool.parts import Parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    yield parts
    await parts.close()


async def test_a_page_does_not_pass_over_rows_that_the_store_has_not_examined(tmp_path: Path) -> None:
    """Most of the store's rows are hidden, so each of its calls examines only some of them."""
    inner = await open_store(f"sqlite:{tmp_path / 'comments.db'}", StoreSettings(look_rows_max=5))
    comments = comments_every(10, 60, "video")
    spooled, stored = comments[::6], [each for n, each in enumerate(comments) if n % 6]
    await inner.append(stored)
    shown = stored[::9]
    await inner.erase("video", [each.id for each in stored if each not in shown])
    parts = Parts(inner, tmp_path)
    parts.draining.cancel()
    await parts.spool.append(spooled, {})
    expected = sorted([*spooled, *shown], key=lambda comment: comment.id)
    assert await scroll_back(parts.store, "video", 4) == expected[::-1]
    assert await read_on(parts.store, "video", 4) == expected
    await parts.close()


async def test_a_purged_authors_comments_are_no_longer_read(parts: Parts) -> None:
    parts.draining.cancel()
    here, there, bobs = said_by("ann", "here", 5), said_by("ann", "there", 5), said_by("bob", "here", 5)
    for each in (here, there, bobs):
        await parts.spool.append(each, {})
    parts.store.evict_author("ann", "here", here[2].id)
    assert len((await parts.store.older("here", None, 20)).comments) == 7
    parts.store.evict_author("ann", ALL_VIDEOS, here[-1].id)
    assert (await parts.store.older("here", None, 20)).comments == bobs[::-1]
    assert (await parts.store.older("there", None, 20)).comments == []
