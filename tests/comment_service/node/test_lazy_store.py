"""LazyStore: unavailable until it is open, and opened as soon as it can be"""

from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from comment_service.node.lazy_store import LazyStore
from history.opening import InvalidStoreUrl, open_store
from history.store import Store, StoreUnavailable
from proto.tasks import Supervisor
from tests.comment_service.parts import comment


class Opening:
    """Fails as often as it should, then opens a real store."""

    def __init__(self, path: Path, failures: int) -> None:
        self.failures = failures
        self._open = partial(open_store, f"sqlite:{path / 'comments.db'}")

    async def __call__(self) -> Store:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return await self._open()


async def test_it_is_tried_until_it_opens(tmp_path: Path) -> None:
    store = LazyStore(Opening(tmp_path, failures=2), retry_max_ms=10, slow_ms=60_000)
    for call in (store.check(), store.append([comment(1)]), store.older("demo", None, 1), store.newer("demo", 0, 1)):
        with pytest.raises(StoreUnavailable, match="not been opened"):
            await call
    await store.open()
    await store.check()
    await store.append([comment(1)])
    assert (await store.older("demo", None, 1)).comments == (await store.newer("demo", 0, 1)).comments == [comment(1)]
    await store.close()


async def test_its_going_and_coming_are_each_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LazyStore(Opening(tmp_path, failures=0), retry_max_ms=10, slow_ms=60_000)
    await store.open()

    async def away() -> None:
        raise StoreUnavailable("cut off by the test")

    with capture_logs() as lines:
        with monkeypatch.context() as cut_off:
            cut_off.setattr(store._store, "check", away)
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await store.check()
        await store.check()
        await store.check()
    assert [line["event"] for line in lines] == ["store away", "store back"]
    await store.close()


async def test_what_can_never_open_is_said() -> None:
    store = LazyStore(partial(open_store, "nonsense"), retry_max_ms=10, slow_ms=60_000)
    with pytest.raises(InvalidStoreUrl):
        await store.open()
    await store.close()


async def test_it_ends_while_it_is_still_trying(tmp_path: Path) -> None:
    store = LazyStore(Opening(tmp_path, failures=10**9), retry_max_ms=10_000, slow_ms=60_000)
    tasks = Supervisor()
    opening = tasks.keep("open store", store.open)
    await store.tried.wait()
    await tasks.close()
    await store.close()
    assert opening.done()
