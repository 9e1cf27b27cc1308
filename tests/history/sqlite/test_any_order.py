"""Whatever is appended, hidden, restored, erased and purged in any order: readers see what a simple model says"""

import asyncio
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import ERASED, HIDDEN, RESTORED, Author, Change, Comment, Gone, State
from history.core.purges import Purge
from history.opening import open_store
from history.store import History
from tests.history.comments import START_MS
from tests.history.contract import read_on

AUTHORS = ("ann", "bob")
SAID = [
    Comment(first_id_at(START_MS + n), "video", Author(AUTHORS[n % 2], "name"), f"comment {n}", START_MS)
    for n in range(6)
]
KINDS = (HIDDEN, RESTORED, ERASED)
numbers = st.integers(0, len(SAID) - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(numbers, min_size=1)),
        st.tuples(st.sampled_from(KINDS), st.tuples(numbers, st.integers(1, 20))),
        st.tuples(st.just("purge"), st.tuples(st.sampled_from(AUTHORS), numbers)),
    ),
    max_size=25,
)


class Model:
    def __init__(self) -> None:
        self.stored: set[int] = set()
        self.erased: set[int] = set()
        self.newest: dict[int, tuple[int, str]] = {}
        self.purged = dict.fromkeys(AUTHORS, -1)

    def append(self, number: int) -> None:
        if number > self.purged[SAID[number].author.id] or number in self.stored:
            self.stored.add(number)

    def change(self, kind: str, number: int, at: int) -> None:
        if kind == ERASED:
            self.erased.add(number)
        elif number in self.stored and number not in self.erased:
            self.newest[number] = max(self.newest.get(number, (0, RESTORED)), (at, kind), key=lambda each: each[0])

    def purge(self, author_id: str, number: int) -> None:
        self.purged[author_id] = max(self.purged[author_id], number)
        self.erased |= {n for n in self.stored if SAID[n].author.id == author_id and n <= number}

    def state(self, number: int) -> State | None:
        if number in self.erased:
            return State.ERASED
        if number not in self.stored:
            return None
        return State.HIDDEN if self.newest.get(number, (0, RESTORED))[1] == HIDDEN else State.VISIBLE


async def do(store: History, model: Model, what: str, how: object) -> None:
    if what == "append":
        assert isinstance(how, list)
        await store.append([SAID[n] for n in how])
        for number in how:
            model.append(number)
        return
    assert isinstance(how, tuple)
    if what == "purge":
        author_id, number = how
        up_to_id = SAID[number].id
        await store.begin_purge(Purge(first_id_at(START_MS) + number, author_id, ALL_VIDEOS, up_to_id))
        async for video_id, ids in store.comments_of(author_id, None, 0, up_to_id):
            await store.erase(video_id, ids)
        model.purge(author_id, number)
    else:
        number, at = how
        # Of its own, as an event's is: of two changes at one time one comes after the other.
        change_id = first_id_at(START_MS + 1_000) + (at * len(SAID) + number) * len(KINDS) + KINDS.index(what)
        await store.apply([Change(change_id, "video", what, SAID[number].id)])
        model.change(what, number, change_id)


async def run(some: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, model = await open_store(f"sqlite:{folder}/comments.db"), Model()
        for what, how in some:
            await do(store, model, what, how)
        states = [model.state(n) for n in range(len(SAID))]
        found = [await store.find("video", comment.id) for comment in SAID]
        assert [None if each is None else each.state for each in found] == states
        visible = [comment for comment, state in zip(SAID, states, strict=True) if state is State.VISIBLE]
        assert await read_on(store, "video", 2) == visible
        events = await store.events("video", 0, 100)
        gone = [each.id for each in events if isinstance(each, Gone)]
        assert gone == [c.id for c, state in zip(SAID, states, strict=True) if state in (State.HIDDEN, State.ERASED)]
        await store.close()


@settings(max_examples=60, deadline=None)
@given(steps)
def test_readers_see_what_the_model_says(some: list[tuple[str, object]]) -> None:
    asyncio.run(run(some))
