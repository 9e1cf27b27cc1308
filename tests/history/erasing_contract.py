"""What every store promises about erasing. Derived as contract.py's class is; the same fixtures."""

import asyncio

import pytest

from history.clocks import wall_ms
from history.config import BUCKET_MS
from history.core.ids import ID_MAX, first_id_at
from history.core.model import Author, Comment
from history.opening import open_store
from history.store import History
from tests.history.comments import START_MS, comments_every
from tests.history.contract import scroll_back


def said_by(author_id: str, video_id: str, count: int, step_ms: int = 1000, start_ms: int = START_MS) -> list[Comment]:
    """Oldest first"""
    author = Author(author_id, author_id)
    return [
        Comment(
            first_id_at(start_ms + n * step_ms) + ord(author_id[0]) % 64, video_id, author, f"{author_id} {n}", START_MS
        )
        for n in range(count)
    ]


async def all_of(store: History, author_id: str, video_id: str | None, up_to_id: int = ID_MAX) -> set[tuple[str, int]]:
    return {(name, each) async for name, ids in store.comments_of(author_id, video_id, up_to_id) for each in ids}


def names(*comments: Comment) -> set[tuple[str, int]]:
    return {(comment.video_id, comment.id) for comment in comments}


@pytest.mark.asyncio(loop_scope="module")
class ErasingContract:
    async def test_an_erased_comment_is_gone_and_stays_gone(self, store: History, video: str) -> None:
        comments = comments_every(BUCKET_MS // 3, 9, video)
        await store.append(comments)
        gone, kept = comments[1::2], comments[::2]
        await store.erase(video, [comment.id for comment in gone])
        assert await store.newer(video, 0, 100) == kept
        await store.append(comments)  # a resend, a spool
        assert await store.newer(video, 0, 100) == kept
        assert await scroll_back(store, video, 2) == kept[::-1]
        await store.erase(video, [comment.id for comment in gone])
        assert await store.newer(video, 0, 100) == kept

    async def test_erased_before_it_came(self, store: History, video: str) -> None:
        """It waited in another node's spool."""
        erased, other = comments_every(1000, 2, video)
        await store.erase(video, [erased.id])
        await store.append([erased, other])
        assert await store.newer(video, 0, 100) == [other]

    async def test_erased_in_another_process(self, store: History, url: str, video: str) -> None:
        comments = comments_every(1000, 3, video)
        await store.append(comments)
        other = await open_store(url)
        await other.erase(video, [comments[0].id])
        assert await store.newer(video, 0, 100) == comments[1:]
        await store.append(comments)
        assert await other.newer(video, 0, 100) == comments[1:]
        await other.close()

    async def test_other_processes_can_ask_what_was_erased(self, store: History, url: str, video: str) -> None:
        before_ms = wall_ms()
        other = await open_store(url)
        await store.erase(video, [1, 2])
        await store.erase(f"{video}-2", [3])
        now_ms = wall_ms()
        announced = set(await other.erased_since(before_ms, now_ms))
        assert {(video, 1), (video, 2), (f"{video}-2", 3)} <= announced
        assert {(video, 1), (video, 2)} <= set(await other.erased_since(0, now_ms))
        assert (video, 1) not in await other.erased_since(now_ms + 1, now_ms)
        await other.close()

    async def test_nothing_may_be_erased(self, store: History, video: str) -> None:
        await store.erase(video, [])
        await store.erase(video, [1])
        assert await all_of(store, video, None) == set()

    async def test_ids_of_other_videos_stay(self, store: History, video: str) -> None:
        (here,), (there,) = comments_every(1, 1, video), comments_every(1, 1, f"{video}-2")
        assert here.id == there.id
        await store.append([here, there])
        await store.erase(video, [here.id])
        assert await store.newer(video, 0, 10) == []
        assert await store.newer(f"{video}-2", 0, 10) == [there]

    async def test_an_authors_comments_are_found(self, store: History, video: str) -> None:
        ann, bob = f"ann-{video}", f"bob-{video}"
        here = said_by(ann, video, 40, BUCKET_MS // 3)
        there = said_by(ann, f"{video}-2", 3)
        bobs = said_by(bob, video, 5)
        await store.append([*here, *there, *bobs])
        assert await all_of(store, ann, None) == names(*here, *there)
        assert await all_of(store, ann, video) == names(*here)
        assert await all_of(store, ann, f"{video}-2") == names(*there)
        assert await all_of(store, bob, None) == names(*bobs)
        assert await all_of(store, f"nobody-{video}", None) == set()
        assert await all_of(store, ann, video, here[20].id) == names(*here[:21])

    async def test_erasing_while_finding(self, store: History, video: str) -> None:
        ann = f"ann-{video}"
        for name in (video, f"{video}-2"):
            await store.append(said_by(ann, name, 1100, 1))
        found = 0
        async for name, ids in store.comments_of(ann, None, ID_MAX):
            found += len(ids)
            await store.erase(name, ids)
        assert found == 2200
        assert await all_of(store, ann, None) == set()
        assert await store.newer(video, 0, 10) == []

    async def test_a_barred_author_is_not_stored_later(self, store: History, video: str) -> None:
        ann, bob = f"ann-{video}", f"bob-{video}"
        anns, bobs, elsewhere = said_by(ann, video, 4), said_by(bob, video, 4), said_by(ann, f"{video}-2", 4)
        await store.bar_author(ann, video, anns[1].id)
        await store.append([*anns, *bobs, *elsewhere])
        assert names(*await store.newer(video, 0, 100)) == names(*anns[2:], *bobs)
        assert await store.newer(f"{video}-2", 0, 100) == elsewhere
        await store.bar_author(ann, None, anns[0].id)  # less in all videos takes nothing back in this one
        await store.bar_author(ann, video, anns[0].id)
        await store.append(anns)
        assert names(*await store.newer(video, 0, 100)) == names(*anns[2:], *bobs)

    async def test_an_author_barred_everywhere(self, store: History, video: str) -> None:
        ann = f"ann-{video}"
        comments = [*said_by(ann, video, 3), *said_by(ann, f"{video}-2", 3)]
        await store.bar_author(ann, None, comments[1].id)
        await asyncio.gather(*(store.append([comment]) for comment in comments))
        assert await all_of(store, ann, None) == names(comments[2], comments[5])
