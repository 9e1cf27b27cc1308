"""The first answer again: a retry with the same Idempotency-Key doesn't write a second comment.

In memory and bounded: a retry that comes to the same process, as most do, costs nothing, and two sends at once share
one write. What holds between processes and after a restart is key_claims.py.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from history.core.model import Comment


class Key(NamedTuple):
    """One author's keys in one video are his own: nobody else's can meet them."""

    author_id: str
    video_id: str
    key: str


@dataclass(frozen=True, slots=True)
class _First:
    draft: Draft
    writing: "asyncio.Task[Comment]"
    begun_ms: int


class FirstAnswers:
    """Belongs to one event loop. `now_ms` is any clock that doesn't step back."""

    def __init__(self, *, entries_max: int, keep_ms: int) -> None:
        self._entries_max = entries_max
        self._keep_ms = keep_ms
        self._firsts: dict[Key, _First] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._firsts)

    async def once(
        self, key: Key, draft: Draft, write: Callable[[], Coroutine[Any, Any, Comment]], now_ms: int
    ) -> Comment:
        """What `write` returned for the first of these calls; they share it while it is under way.

        A write that fails is forgotten, so the next try writes. It goes on when its caller is cancelled. Raises what
        `write` raises, and IdempotencyKeyReused if the key came with another draft.
        """
        self._forget_old(now_ms)
        first = self._firsts.get(key)
        if first is None:
            first = self._firsts[key] = _First(draft, asyncio.create_task(write()), now_ms)
            first.writing.add_done_callback(lambda writing: self._forget_failed(key, writing))
        elif first.draft != draft:
            raise IdempotencyKeyReused
        return await asyncio.shield(first.writing)

    def _forget_old(self, now_ms: int) -> None:
        while self._firsts:
            oldest = next(iter(self._firsts))
            fresh = now_ms - self._firsts[oldest].begun_ms < self._keep_ms
            if fresh and len(self._firsts) < self._entries_max:
                return
            del self._firsts[oldest]

    def _forget_failed(self, key: Key, writing: "asyncio.Task[Comment]") -> None:
        failed = writing.cancelled() or writing.exception() is not None
        if failed and key in self._firsts and self._firsts[key].writing is writing:
            del self._firsts[key]
