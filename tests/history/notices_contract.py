"""What every store promises about notices, of late comments and of changes. Derived as contract.py's class is."""

import pytest

from history.clocks import wall_ms
from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS, Stretch
from history.core.model import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Change, Comment
from history.opening import open_store
from history.store import History
from tests.history.comments import a_comment, comments_every
from tests.history.moderating_contract import change, changes_of, purge


def said(ago_ms: int, video_id: str) -> Comment:
    return a_comment(first_id_at(wall_ms() - ago_ms), video_id)


@pytest.mark.asyncio(loop_scope="module")
class NoticesContract:
    async def test_others_learn_where_comments_came_late(self, store: History, url: str, video: str) -> None:
        before_ms = wall_ms()
        old, other_old = comments_every(1000, 5, video), comments_every(1000, 2, f"{video}-2")
        await store.append([*old, said(0, video), *other_old])
        other = await open_store(url)
        expected = {Stretch(video, old[0].id, old[-1].id), Stretch(f"{video}-2", other_old[0].id, other_old[-1].id)}
        assert expected <= set(await other.late_since(before_ms, wall_ms()))
        assert expected <= set(await other.late_since(0, wall_ms()))
        assert not expected & set(await other.late_since(wall_ms() + 1, wall_ms()))
        await other.close()

    async def test_live_comments_are_not_announced(self, store: History, video: str) -> None:
        await store.append([said(0, video), said(1_000, video)])
        assert not [each for each in await store.late_since(0, wall_ms()) if each.video_id == video]

    async def test_it_is_announced_when_it_can_be_read(self, store: History, video: str) -> None:
        """Each append announces anew, as after a kill in the middle of a drain."""
        (comment,) = comments_every(1, 1, video)
        for times in (1, 2):
            await store.append([comment])
            announced = [each for each in await store.late_since(0, wall_ms()) if each.video_id == video]
            assert 1 <= len(announced) <= times
            assert (await store.newer(video, 0, 10)).comments == [comment]

    async def test_too_many_notices_are_one_of_everything(self, store: History, url: str, video: str) -> None:
        for n in range(4):
            await store.append(comments_every(1_000, 1, f"{video}-{n}"))
        asked_ms = wall_ms()
        some = await open_store(url, StoreSettings(late_notices_max=3))
        assert await some.late_since(0, asked_ms) == [Stretch(ALL_VIDEOS, 0, first_id_at(asked_ms))]
        await some.close()

    async def test_many_videos_are_announced_as_one_stretch(self, store: History, video: str) -> None:
        comments = [each for n in range(40) for each in comments_every(1_000 + n, 2, f"{video}-{n}")]
        await store.append(comments)
        ids = [each.id for each in comments]
        announced = await store.late_since(0, wall_ms())
        assert Stretch(ALL_VIDEOS, min(ids), max(ids)) in announced
        assert not [each for each in announced if each.video_id.startswith(video)]

    async def test_other_processes_can_ask_what_was_changed(self, store: History, url: str, video: str) -> None:
        before_ms = wall_ms()
        other = await open_store(url)
        comments = comments_every(1, 3, video)
        await store.append(comments)
        done = [change(kind, comments[n]) for n, kind in enumerate((ERASED, HIDDEN, RESTORED))]
        await store.apply(done)
        order = purge("ann", None, comments[0].id)
        await store.begin_purge(order)
        done.append(Change(order.id, ALL_VIDEOS, AUTHOR_PURGED, author_id="ann", up_to_id=comments[0].id))
        now_ms = wall_ms()
        assert set(done) <= set(await changes_of(other, before_ms, now_ms))
        assert set(done) <= set(await changes_of(other, 0, now_ms))
        assert not set(done) & set(await changes_of(other, now_ms + 1, now_ms))
        await other.close()

    @pytest.mark.parametrize("rows_max", [1, 3, 1_000])
    async def test_what_was_changed_comes_in_pages(self, url: str, video: str, rows_max: int) -> None:
        """Also changes of one order, which have one time"""
        store = await open_store(url, StoreSettings(change_notices_max=rows_max))
        before_ms = wall_ms()
        comments = comments_every(1, 7, video)
        done = [change(ERASED, comment) for comment in comments]
        await store.apply(done[:5])
        for each in done[5:]:
            await store.apply([each])
        pages = [page async for page in store.changes_since(before_ms, wall_ms())]
        assert all(0 < len(page) <= rows_max for page in pages)
        found = [each for page in pages for each in page if each.video_id == video]
        assert sorted(found, key=lambda each: each.id) == done
        await store.close()
