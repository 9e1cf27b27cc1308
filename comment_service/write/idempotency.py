"""Writes a comment once for each Idempotency-Key: a retry with the same key gets the first comment again.

In memory and bounded. A retry that reaches the same process, as most do, costs nothing, and two requests at the same
time share one write. What holds between processes and after a restart is in key_claims.py.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from history.core.model import Comment

Done = Callable[[Comment | Exception], None]
"""Gets the comment once it is durable, or the error"""


class Key(NamedTuple):
    """Each author has keys of his own in each video: they never collide with anybody else's."""

    author_id: str
    video_id: str
    key: str


class _Entry(msgspec.Struct, gc=False):
    """A Struct without garbage collection, as there are many. It is part of no cycle once it is written."""

    draft: Draft
    begun_ms: int
    waiting: list[Done] | None
    """who wants to hear of the write; None: it is done"""
    comment: Comment | None = None


class IdempotentWrites:
    """Belongs to one event loop. `monotonic_ms` is any clock that doesn't step back."""

    def __init__(self, *, entries_max: int, keep_ms: int) -> None:
        self._entries_max = entries_max
        self._keep_ms = keep_ms
        # Oldest first. Not a dict: finding the first key of one costs a walk over all that were deleted before it.
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def once(self, key: Key, draft: Draft, write: Callable[[Done], None], done: Done, monotonic_ms: int) -> None:
        """Calls `done` with what `write` gave to the first call with this key; calls during that write share it.

        If the write fails the key is dropped, so the next try writes again. Raises, and then never calls `done`: what
        `write` raises, and IdempotencyKeyReused if the key came with another draft.
        """
        self._drop_old(monotonic_ms)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(draft, monotonic_ms, [done])
            try:
                write(partial(self._end, key, entry))
            except BaseException:
                self._drop(key, entry)
                raise
        elif entry.draft != draft:
            raise IdempotencyKeyReused
        elif entry.waiting is not None:
            entry.waiting.append(done)
        else:
            assert entry.comment is not None
            done(entry.comment)

    def stands_for(self, key: Key, comment: Comment) -> None:
        """From now on a retry gets this one, which says the same as the one that was written here."""
        entry = self._entries.get(key)
        if entry is not None and entry.comment is not None:
            entry.comment = comment

    def _end(self, key: Key, entry: _Entry, outcome: Comment | Exception) -> None:
        waiting, entry.waiting = entry.waiting, None
        assert waiting is not None
        if isinstance(outcome, Comment):
            entry.comment = outcome
        else:
            self._drop(key, entry)
        for done in waiting:
            done(outcome)

    def _drop(self, key: Key, entry: _Entry) -> None:
        """Unless it is another one's by now"""
        if self._entries.get(key) is entry:
            del self._entries[key]

    def _drop_old(self, monotonic_ms: int) -> None:
        while self._entries:
            oldest = next(iter(self._entries))
            fresh = monotonic_ms - self._entries[oldest].begun_ms < self._keep_ms
            if fresh and len(self._entries) < self._entries_max:
                return
            del self._entries[oldest]
