"""What every store promises about moderating. Derived as contract.py's class is; the same fixtures."""

import asyncio
import random
from itertools import count

import pytest
from msgspec.structs import replace

from history.clocks import wall_ms
from history.config import BUCKET_MS, StoreSettings
from history.core.ids import ID_MAX, first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import (
    AUTHOR_PURGED,
    ERASED,
    HIDDEN,
    RESTORED,
    Author,
    Change,
    Comment,
    Event,
    Found,
    Gone,
    State,
    withdrawn_json,
)
from history.core.model import comment_json as as_json
from history.core.purges import Purge
from history.opening import open_reader, open_store
from history.store import History, Notices
from tests.history.comments import START_MS, comments_every
from tests.history.contract import read_on, scroll_back

_later = count(1)


async def changes_of(store: Notices, since_ms: int, now_ms: int) -> list[Change]:
    """All pages of them"""
    return [each async for page in store.changes_since(since_ms, now_ms) for each in page]


def change(kind: str, target: Comment, change_id: int | None = None) -> Change:
    """About a comment, an hour later; each has a greater id than those before"""
    later_id = first_id_at(START_MS + 3_600_000 + next(_later)) if change_id is None else change_id
    return Change(later_id, target.video_id, kind, target.id)


def said_by(author_id: str, video_id: str, count: int, step_ms: int = 1000, start_ms: int = START_MS) -> list[Comment]:
    """Oldest first"""
    author = Author(author_id, author_id)
    return [
        Comment(
            first_id_at(start_ms + n * step_ms) + ord(author_id[0]) % 64, video_id, author, f"{author_id} {n}", START_MS
        )
        for n in range(count)
    ]


def purge(author_id: str, video_id: str | None, up_to_id: int) -> Purge:
    """Ordered now"""
    return Purge(first_id_at(wall_ms()) + random.randrange(1 << 16), author_id, video_id or ALL_VIDEOS, up_to_id)


async def all_of(
    store: History, author_id: str, video_id: str | None, up_to_id: int = ID_MAX, from_id: int = 0
) -> set[tuple[str, int]]:
    found = store.comments_of(author_id, video_id, from_id, up_to_id)
    return {(name, each) async for name, ids in found for each in ids}


def names(*comments: Comment) -> set[tuple[str, int]]:
    return {(comment.video_id, comment.id) for comment in comments}


async def visible(store: History, video_id: str) -> list[Comment]:
    return await read_on(store, video_id, 100)


async def state_of(store: History, comment: Comment) -> State | None:
    found = await store.find(comment.video_id, comment.id)
    return None if found is None else found.state


@pytest.mark.asyncio(loop_scope="module")
class ModeratingContract:
    async def test_an_erased_comment_is_gone_and_stays_gone(self, store: History, video: str) -> None:
        comments = comments_every(BUCKET_MS // 3, 9, video)
        await store.append(comments)
        gone, kept = comments[1::2], comments[::2]
        await store.apply([change(ERASED, each) for each in gone])
        assert await visible(store, video) == kept
        await store.append(comments)  # a resend, a spool
        assert await visible(store, video) == kept
        assert await scroll_back(store, video, 2) == kept[::-1]
        await store.apply([change(ERASED, each) for each in gone])
        await store.apply([change(RESTORED, each) for each in gone])
        assert await visible(store, video) == kept
        found = await store.find(video, gone[0].id)
        assert found is not None
        assert (found.state, found.comment.message, found.comment.author) == (State.ERASED, "", Author("", ""))

    async def test_erased_before_it_came(self, store: History, video: str) -> None:
        """It waited in another node's spool."""
        erased, other = comments_every(1000, 2, video)
        await store.apply([change(ERASED, erased)])
        await store.append([erased, other])
        assert await visible(store, video) == [other]
        assert (await store.events(video, 0, 10))[:2] == [Gone(erased.id, video), other]

    async def test_erased_in_another_process(self, store: History, url: str, video: str) -> None:
        comments = comments_every(1000, 3, video)
        await store.append(comments)
        other = await open_store(url)
        await other.apply([change(ERASED, comments[0])])
        assert await visible(store, video) == comments[1:]
        await store.append(comments)
        assert await visible(other, video) == comments[1:]
        await other.close()

    async def test_erased_without_an_event(self, store: History, video: str) -> None:
        comments = comments_every(1000, 3, video)
        await store.append(comments)
        await store.erase(video, [comments[1].id])
        await store.erase(video, [])
        assert await store.events(video, 0, 9) == [comments[0], Gone(comments[1].id, video), comments[2]]

    async def test_ids_of_other_videos_stay(self, store: History, video: str) -> None:
        (here,), (there,) = comments_every(1, 1, video), comments_every(1, 1, f"{video}-2")
        assert here.id == there.id
        await store.append([here, there])
        await store.apply([change(ERASED, here)])
        assert await visible(store, video) == []
        assert await visible(store, f"{video}-2") == [there]

    async def test_hidden_and_restored(self, store: History, video: str) -> None:
        first, second = comments_every(1000, 2, video)
        await store.append([first, second])
        for _ in range(2):
            await store.apply([change(HIDDEN, first)])
            assert await state_of(store, first) is State.HIDDEN
            assert await visible(store, video) == [second]
            await store.append([first])  # again
            assert await visible(store, video) == [second]
            await store.apply([change(RESTORED, first)])
            assert await state_of(store, first) is State.VISIBLE
            assert await visible(store, video) == [first, second]

    async def test_the_change_with_the_greatest_id_counts(self, store: History, video: str) -> None:
        """Also of one millisecond, whatever comes first, and however often"""
        (comment,) = comments_every(1, 1, video)
        await store.append([comment])
        at = first_id_at(START_MS + 60_000)
        changes = [change((HIDDEN, RESTORED)[n % 2], comment, at + n * 64) for n in range(10)]
        for shown, last in ((True, changes), (False, changes[:-1])):
            mixed = list(last)
            random.Random(7).shuffle(mixed)
            (other,) = comments_every(1, 1, f"{video}-{shown}")
            await store.append([other])
            for each in (*mixed, *mixed[:3]):
                await store.apply([change(each.kind, other, each.id)])
            assert await visible(store, other.video_id) == ([other] if shown else [])

    async def test_of_a_comment_that_was_accepted_twice_the_other_one_is_told(self, store: History, video: str) -> None:
        stored, spooled, stands, erased = comments_every(1, 4, video)
        await store.append([stored, stands, erased])
        for each in (stored, spooled):
            data = withdrawn_json(each.id, stands.id)
            taken_back = replace(change(ERASED, each), data=data)
            for again in (taken_back, replace(taken_back, id=taken_back.id + 1, data=b"")):  # an order comes, too
                await store.apply([again])
                found = await store.find(video, each.id)
                assert found is not None
                assert (found.state, found.stands_id) == (State.ERASED, stands.id)
        await store.apply([change(ERASED, erased)])
        for each in (stands, erased):
            found = await store.find(video, each.id)
            assert found is not None
            assert found.stands_id == 0
        assert await visible(store, video) == [stands]
        assert [type(each) for each in (await store.events(video, 0, 4))] == [Gone, Gone, Comment, Gone]

    async def test_the_last_change_is_told(self, store: History, url: str, video: str) -> None:
        (comment,) = comments_every(1, 1, video)
        await store.append([comment])
        found = await store.find(video, comment.id)
        assert found is not None
        assert found == Found(State.VISIBLE, comment, 0)
        other = await open_store(url)
        hidden, restored = change(HIDDEN, comment), change(RESTORED, comment)
        for each, last in ((hidden, hidden), (restored, restored), (hidden, restored)):
            await other.apply([each])
            found = await store.find(video, comment.id)
            assert found is not None
            assert found.changed_id == last.id
        await other.close()

    async def test_what_is_not_there_is_told(self, store: History, video: str) -> None:
        (comment,) = comments_every(1, 1, video)
        assert await store.find(video, comment.id) is None
        event = change(HIDDEN, comment)
        await store.apply([event])
        assert await store.find(video, comment.id) is None
        assert await store.find(video, event.id) is None  # an event is no comment
        assert await visible(store, video) == []

    async def test_events_are_all_there_is_in_the_order_of_ids(self, store: History, video: str) -> None:
        comments = comments_every(BUCKET_MS // 2, 5, video)
        await store.append(comments)
        hidden, restored, erased, again = (
            change(kind, comments[n]) for kind, n in ((HIDDEN, 1), (RESTORED, 1), (ERASED, 2), (HIDDEN, 3))
        )
        unknown = Change(first_id_at(START_MS + 2), video, "of the next release", 7, b'{"some": "json"}', up_to_id=9)
        await store.apply([hidden, restored, erased, again, unknown])
        shown = Change(restored.id, video, RESTORED, comments[1].id, as_json(comments[1]))
        expected: list[Event] = [
            *(comments[0], comments[1], Gone(comments[2].id, video), Gone(comments[3].id, video), comments[4]),
            *(hidden, shown, erased, again, unknown),
        ]
        expected.sort(key=lambda event: event.id)
        assert await store.events(video, 0, 100) == expected
        assert await store.events_before(video, None, 100) == expected[::-1]
        for n in range(len(expected)):
            assert await store.events(video, expected[n].id, 2) == expected[n + 1 : n + 3]
            assert await store.events_before(video, expected[n].id, 2) == expected[:n][::-1][:2]
        assert await store.events(video, ID_MAX, 1) == await store.events(video, 0, 0) == []
        assert await visible(store, video) == [comments[0], comments[1], comments[4]]
        await store.apply([hidden, restored, erased, again, unknown])  # safe to repeat
        assert await store.events(video, 0, 100) == expected

    async def test_a_restored_comment_that_is_gone_again_has_no_data(self, store: History, video: str) -> None:
        (comment,) = comments_every(1, 1, video)
        await store.append([comment])
        hidden, restored = change(HIDDEN, comment), change(RESTORED, comment)
        await store.apply([hidden, Change(restored.id, video, RESTORED, comment.id, as_json(comment))])
        await store.apply([change(ERASED, comment)])
        assert restored in await store.events(video, 0, 10)

    async def test_a_long_stretch_that_nobody_sees_is_walked_with_bounded_calls(
        self, store: History, url: str, video: str
    ) -> None:
        comments = comments_every(100, 400, video)
        await store.append(comments)
        await store.erase(video, [each.id for each in comments[50:350]])
        bounded = await open_store(url, StoreSettings(look_rows_max=40))
        page = await bounded.older(video, None, 60)
        assert page.comments == comments[:349:-1]
        assert page.next_id == comments[340].id
        calls, found = 0, list[Comment]()
        before: int | None = page.next_id
        while before is not None:
            page = await bounded.older(video, before, 10)
            found += page.comments
            assert before > (page.next_id or 0)
            before = page.next_id
            calls += 1
        assert found == comments[49::-1]
        assert 300 / 40 < calls < 30
        assert await read_on(bounded, video, 10) == [*comments[:50], *comments[350:]]
        assert await bounded.newer(video, comments[350].id - 1, 50) == (comments[350:], comments[399].id)
        assert await bounded.newer(video, comments[350].id - 1, 51) == (comments[350:], None)
        assert await bounded.newer(video, comments[60].id, 5) == ([], comments[100].id)
        await bounded.close()

    async def test_nothing_may_be_changed(self, store: History, video: str) -> None:
        await store.apply([])
        await store.erase(video, [1])
        assert await all_of(store, video, None) == set()

    async def test_an_authors_comments_are_found(self, store: History, video: str) -> None:
        ann, bob = f"ann-{video}", f"bob-{video}"
        here = said_by(ann, video, 40, BUCKET_MS // 3)
        there = said_by(ann, f"{video}-2", 3)
        bobs = said_by(bob, video, 5)
        await store.append([*here, *there, *bobs])
        await store.apply([Change(here[-1].id + 1, video, AUTHOR_PURGED, author_id=ann)])  # no comment of his
        assert await all_of(store, ann, None) == names(*here, *there)
        assert await all_of(store, ann, video) == names(*here)
        assert await all_of(store, ann, f"{video}-2") == names(*there)
        assert await all_of(store, bob, None) == names(*bobs)
        assert await all_of(store, f"nobody-{video}", None) == set()
        assert await all_of(store, ann, video, here[20].id) == names(*here[:21])
        assert await all_of(store, ann, None, here[20].id, here[2].id) == names(*here[2:21])

    async def test_erasing_while_finding(self, store: History, video: str) -> None:
        ann = f"ann-{video}"
        for name in (video, f"{video}-2"):
            await store.append(said_by(ann, name, 1100, 1))
        found = 0
        async for name, ids in store.comments_of(ann, None, 0, ID_MAX):
            found += len(ids)
            await store.erase(name, ids)
        assert found == 2200
        assert await all_of(store, ann, None) == set()
        assert await visible(store, video) == []

    async def test_a_purged_author_is_not_stored_later(self, store: History, url: str, video: str) -> None:
        ann, bob = f"ann-{video}", f"bob-{video}"
        anns, bobs, elsewhere = said_by(ann, video, 4), said_by(bob, video, 4), said_by(ann, f"{video}-2", 4)
        other = await open_store(url)
        await store.begin_purge(purge(ann, video, anns[1].id))
        await other.append([*anns, *bobs, *elsewhere])
        assert names(*await visible(store, video)) == names(*anns[2:], *bobs)
        assert await visible(store, f"{video}-2") == elsewhere
        await store.begin_purge(purge(ann, None, anns[0].id))  # less in all videos takes nothing back in this one
        await store.begin_purge(purge(ann, video, anns[0].id))
        await other.append(anns)
        assert names(*await visible(other, video)) == names(*anns[2:], *bobs)
        await other.close()

    async def test_an_author_purged_everywhere(self, store: History, video: str) -> None:
        ann = f"ann-{video}"
        comments = [*said_by(ann, video, 3), *said_by(ann, f"{video}-2", 3)]
        await store.begin_purge(purge(ann, None, comments[1].id))
        await asyncio.gather(*(store.append([comment]) for comment in comments))
        assert await all_of(store, ann, None) == names(comments[2], comments[5])

    @pytest.mark.parametrize("learns", ["changes_since", "purges"])
    async def test_his_youngest_comments_are_refused_too(
        self, store: History, url: str, video: str, learns: str
    ) -> None:
        """In every process that asks what was changed, as all do each second"""
        other = await open_store(url)
        now_ms = wall_ms()
        young = said_by("ann", video, 3, 1, now_ms)
        await store.begin_purge(purge("ann", video, young[1].id))
        if learns == "purges":
            await other.purges(wall_ms())
        else:
            await changes_of(other, now_ms - 1_000, wall_ms())
        for each in (store, other):
            await each.append(young)
            assert await visible(each, video) == young[2:]
        await other.close()

    async def test_any_process_carries_a_purge_on(self, store: History, url: str, video: str) -> None:
        order = purge("ann", video, 1)
        other = await open_store(url)
        await store.begin_purge(order)
        assert order in await other.purges(wall_ms())
        looked = Purge(order.id, "ann", video, 1, 3)
        await other.note_look(looked)
        assert looked in await store.purges(wall_ms())
        await store.end_purge(looked)
        assert order.id not in [each.id for each in await other.purges(wall_ms())]
        await other.close()

    async def test_after_a_purge_he_is_found_again_where_he_still_has_comments(
        self, store: History, url: str, video: str
    ) -> None:
        ann = f"ann-{video}"
        now_ms = wall_ms()
        before, after = (said_by(ann, video, 2, 1, now_ms + add_ms) for add_ms in (0, 1_000))
        elsewhere = said_by(ann, f"{video}-2", 1, start_ms=now_ms)
        await store.append([*before, *elsewhere])
        order = purge(ann, None, before[-1].id)
        await store.begin_purge(order)
        async for name, ids in store.comments_of(ann, None, 0, before[-1].id):
            await store.erase(name, ids)
        await store.append(after)
        await store.end_purge(order)
        assert await all_of(store, ann, None) == names(*after)
        later = said_by(ann, f"{video}-2", 1, start_ms=now_ms + 2_000)
        await store.append(later)
        assert await all_of(store, ann, None) == names(*after, *later)

    async def test_the_event_names_the_author_for_those_who_read_it(self, store: History, url: str, video: str) -> None:
        (comment,) = comments_every(1, 1, video)
        event = Change(comment.id + 1, video, AUTHOR_PURGED, author_id="ann", up_to_id=comment.id)
        await store.append([comment])
        await store.apply([event])
        reader = await open_reader(url)
        assert await reader.events(video, 0, 10) == [comment, event]
        await reader.close()
