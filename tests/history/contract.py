"""What every store must keep; each implementation's test module derives a class from this one.

The derived class's module has the fixtures `store` (an open store, one for the module, in the module's event loop),
`url` (of that store) and `new_url` (makes URLs of stores that nobody has opened yet).
"""

import asyncio
import uuid
from collections.abc import Callable

import pytest

from history.config import BUCKET_MS
from history.core.ids import ID_MAX, first_id_at, format_id, parse_id
from history.core.model import Author, Comment
from history.opening import open_reader, open_store
from history.store import Store
from tests.history.comments import START_MS, a_comment, comments_every
from tests.history.programs import program


@pytest.fixture
def video() -> str:
    return f"video-{uuid.uuid4().hex}"


async def scroll_back(store: Store, video_id: str, limit: int) -> list[Comment]:
    """All comments, newest first, page by page, as a viewer reads them"""
    found: list[Comment] = []
    before: int | None = None
    while True:
        page, before = await store.older(video_id, before, limit)
        found += page
        if before is None:
            return found


async def read_on(store: Store, video_id: str, limit: int) -> list[Comment]:
    """All comments, oldest first, page by page"""
    found: list[Comment] = []
    after: int | None = 0
    while after is not None:
        page, after = await store.newer(video_id, after, limit)
        found += page
    return found


@pytest.mark.asyncio(loop_scope="module")
class StoreContract:
    async def test_unknown_video_is_empty(self, store: Store, video: str) -> None:
        assert (await store.older(video, None, 10)).comments == []
        assert (await store.older(video, 1, 10)).comments == []
        assert (await store.newer(video, 0, 10)).comments == []

    async def test_what_was_appended_comes_back_as_it_was(self, store: Store, video: str) -> None:
        texts = (
            "hello",
            "Grüße, 你好, 🎈👩‍🚀",
            "a\u2028b\u2029c\u0085d",
            "quote ' \" ; -- \\",
            "\0 and \x1f",
            " ",
            "é" * 1000,
        )
        comments = [
            Comment(first_id_at(START_MS) + n, video, Author(f"ä-{n}", text[:64]), text, START_MS + n)
            for n, text in enumerate(texts)
        ]
        await store.append(comments)
        assert (await store.newer(video, 0, 100)).comments == comments

    async def test_nothing_may_be_appended(self, store: Store) -> None:
        await store.append([])

    async def test_order_is_the_ids_whatever_the_order_of_arrival(self, store: Store, video: str) -> None:
        comments = comments_every(1000, 20, video)
        for shuffled in (comments[10:], comments[:10][::-1]):
            await store.append(shuffled)
        assert (await store.older(video, None, 100)).comments == comments[::-1]
        assert (await store.newer(video, 0, 100)).comments == comments

    async def test_limits_and_cursors(self, store: Store, video: str) -> None:
        comments = comments_every(7, 30, video)
        await store.append(comments)
        assert (await store.older(video, None, 10)).comments == comments[:19:-1]
        assert (await store.older(video, comments[20].id, 10)).comments == comments[10:20][::-1]
        assert (await store.older(video, comments[0].id, 10)).comments == []
        assert (await store.older(video, ID_MAX, 3)).comments == comments[:26:-1]
        assert (await store.older(video, 1 << 64, 3)).comments == comments[:26:-1]
        assert (await store.newer(video, comments[9].id, 10)).comments == comments[10:20]
        assert (await store.newer(video, comments[-1].id, 10)).comments == []
        assert (await store.newer(video, 0, 3)).comments == comments[:3]
        assert (await store.newer(video, ID_MAX, 3)).comments == []
        assert (await store.newer(video, 1 << 64, 3)).comments == []
        assert (await store.older(video, None, 0)).comments == []
        assert (await store.newer(video, 0, 0)).comments == []
        between = comments[20].id - 1  # a cursor needn't be a comment's id
        assert (await store.older(video, between, 1)).comments[0] == comments[19]
        assert (await store.newer(video, between, 1)).comments[0] == comments[20]

    @pytest.mark.parametrize("limit", [1, 7, 100])
    async def test_borders_of_time(self, store: Store, video: str, limit: int) -> None:
        """Comments at and beside the borders of buckets, with gaps of many buckets"""
        border = START_MS // BUCKET_MS * BUCKET_MS
        times = [border + step * BUCKET_MS + offset for step in (0, 1, 2, 500, 501) for offset in (-1, 0, 1)]
        comments = [a_comment(first_id_at(ms), video, str(ms)) for ms in sorted(times)]
        await store.append(comments)
        assert await scroll_back(store, video, limit) == comments[::-1]
        assert await read_on(store, video, limit) == comments

    async def test_a_quiet_video(self, store: Store, video: str) -> None:
        """A comment every eight hours for two months, each in a bucket of its own"""
        comments = comments_every(8 * 3_600_000, 180, video)
        await store.append(comments)
        assert await scroll_back(store, video, 50) == comments[::-1]
        assert await read_on(store, video, 50) == comments

    async def test_appended_twice_is_there_once(self, store: Store, video: str) -> None:
        comments = comments_every(1000, 10, video)
        await store.append(comments[:6])
        await store.append(comments[4:])
        await store.append([*comments, *comments])
        assert (await store.newer(video, 0, 100)).comments == comments

    async def test_videos_do_not_mix(self, store: Store, video: str) -> None:
        videos = [f"{video}{suffix}" for suffix in ("", "a", "A", "-", "~")]
        comments = {video_id: comments_every(1000, 5, video_id) for video_id in videos}
        await store.append([comment for of_video in comments.values() for comment in of_video])
        for video_id in videos:
            assert (await store.newer(video_id, 0, 100)).comments == comments[video_id]

    async def test_ten_thousand_comments(self, store: Store, video: str) -> None:
        comments = comments_every(200, 10_000, video)  # 33 minutes
        await store.append(comments)
        assert (await store.older(video, None, 10_001)).comments == comments[::-1]
        assert await scroll_back(store, video, 997) == comments[::-1]
        assert (await store.older(video, comments[5000].id, 10)).comments == comments[4990:5000][::-1]

    async def test_long_messages_in_one_append(self, store: Store, video: str) -> None:
        comments = [a_comment(first_id_at(START_MS) + n, video, "😀" * 500) for n in range(200)]
        await store.append(comments)
        assert (await store.newer(video, 0, 1000)).comments == comments

    async def test_two_stores_append_at_the_same_time(self, store: Store, url: str, video: str) -> None:
        other = await open_store(url)
        comments = comments_every(100, 400, video)
        appends = [
            (store, other)[n % 2].append(comments[n : n + 10])
            for n in range(0, 400, 5)  # each comment twice
        ]
        await asyncio.gather(*appends)
        assert (await store.newer(video, 0, 1000)).comments == comments
        assert (await other.older(video, None, 1000)).comments == comments[::-1]
        await other.close()

    async def test_a_read_in_another_process_sees_what_append_returned_for(
        self, store: Store, url: str, video: str
    ) -> None:
        comments = comments_every(BUCKET_MS // 3, 30, video)
        async with program("read", url, video) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            for comment in comments:
                await store.append([comment])
                reader.stdin.write(b"\n")
                line = await reader.stdout.readline()
                assert parse_id(line.split()[0].decode()) == comment.id

    async def test_a_reader_begins_to_see_once_there_is_a_schema(self, new_url: Callable[[], str], video: str) -> None:
        url = new_url()
        reader = await open_reader(url)
        await reader.check()
        assert (await reader.older(video, None, 10)).comments == []
        assert (await reader.newer(video, 0, 10)).comments == []
        store = await open_store(url)
        await store.append([a_comment(1, video)])
        assert (await reader.older(video, None, 10)).comments == [a_comment(1, video)]
        assert (await reader.newer(video, 0, 10)).comments == [a_comment(1, video)]
        await reader.close()
        await store.close()

    async def test_several_processes_make_the_schema_together(self, new_url: Callable[[], str], video: str) -> None:
        url = new_url()
        async with (
            program("write", url, video + "0", "3") as first,
            program("write", url, video + "1", "3") as second,
            program("write", url, video + "2", "3") as third,
        ):
            printed = await asyncio.gather(*(process.communicate() for process in (first, second, third)))
        reader = await open_reader(url)
        for n, (output, _) in enumerate(printed):
            stored = (await reader.newer(f"{video}{n}", 0, 10)).comments
            assert [format_id(comment.id) for comment in stored] == output.decode().split()
            assert len(stored) == 3
        await reader.close()

    async def test_opened_again(self, store: Store, url: str, video: str) -> None:
        await store.append([a_comment(1, video)])
        again = await open_store(url)
        assert (await again.older(video, None, 10)).comments == [a_comment(1, video)]
        await again.close()

    async def test_check_returns(self, store: Store) -> None:
        await store.check()
