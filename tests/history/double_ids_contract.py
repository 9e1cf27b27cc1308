"""What every store must do when two processes give one id; as contract.py."""

from contextlib import suppress

import pytest
from msgspec.structs import replace

from history.clocks import wall_ms
from history.core.ids import first_id_at
from history.core.model import ERASED, HIDDEN, Author, Change, Comment
from history.opening import open_store
from history.store import Claim, History, IdTaken
from tests.history.comments import START_MS, a_comment

OLD = first_id_at(START_MS)
OTHER = Author("author-2", "Bob")


def a_claim(comment: Comment) -> Claim:
    return Claim(comment.author.id, comment.video_id, f"key {comment.id}", comment.id, comment.created_at_ms, b"digest")


@pytest.mark.asyncio(loop_scope="module")
class DoubleIdsContract:
    async def test_a_spooled_comment_whose_id_is_anothers_is_refused(
        self, store: History, url: str, video: str
    ) -> None:
        other = await open_store(url)
        stands = a_comment(OLD, video)
        await store.append([stands])
        for again in (replace(stands, author=OTHER), replace(stands, message="bye"), replace(stands, created_at_ms=1)):
            with pytest.raises(IdTaken) as refused:
                await other.append([a_comment(OLD + 1, video), again])
            assert refused.value.ids == {OLD}
            assert str(refused.value).startswith("something else stands already under 1 ids")
        with pytest.raises(IdTaken):
            await other.append_claimed([(again, a_claim(again))], wall_ms(), 60_000)
        assert await store.claim_of(again.author.id, video, f"key {OLD}") is None
        await other.append([a_comment(OLD + 1, video), replace(stands, after_id=7)])
        assert [each.message for each in (await store.newer(video, 0, 9)).comments] == ["hello", "hello"]
        await other.close()

    async def test_an_erased_comments_id_is_not_free(self, store: History, video: str) -> None:
        stands = a_comment(OLD, video)
        await store.append([stands])
        await store.erase(video, [OLD, OLD + 1])
        await store.append([stands, a_comment(OLD + 1, video)])  # they stay away
        with pytest.raises(IdTaken):
            await store.append([replace(stands, author=OTHER, created_at_ms=START_MS + 1)])
        assert (await store.newer(video, 0, 9)).comments == []

    async def test_a_changes_id_is_its_own(self, store: History, video: str) -> None:
        await store.append([a_comment(OLD, video), a_comment(OLD + 1, video)])
        change = Change(OLD + 2, video, HIDDEN, target_id=OLD)
        for _ in range(2):
            await store.apply([change])
        for taken in (replace(change, id=OLD + 1), replace(change, kind=ERASED), replace(change, target_id=OLD + 1)):
            with pytest.raises(IdTaken):
                await store.apply([taken])
        with pytest.raises(IdTaken):
            await store.append([a_comment(change.id, video)])
        assert [each.id for each in (await store.newer(video, 0, 9)).comments] == [OLD + 1]

    async def test_of_two_live_comments_with_one_id_one_stands_whole(
        self, store: History, url: str, video: str
    ) -> None:
        other = await open_store(url)
        low_id, now_ms = first_id_at(wall_ms()), wall_ms()
        ones = [Comment(low_id + n, video, Author(f"a{n * 7 % 9}", "A"), f"z{n}", now_ms) for n in range(200)]
        others = [Comment(low_id + n, video, Author(f"b{n * 5 % 9}", "B"), f"y{n}", now_ms + n % 3) for n in range(200)]
        await store.append(ones)
        with suppress(IdTaken):
            await other.append(others)
        found = (await store.newer(video, 0, 500)).comments
        assert len(found) == 200
        assert all(each in (one, another) for each, one, another in zip(found, ones, others, strict=True))
        await other.close()
