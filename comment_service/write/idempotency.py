"""Writes a comment once for each Idempotency-Key: a retry with the same key gets the first comment again.

In memory and bounded. A retry that reaches the same process, as most do, costs nothing, and two requests at the same
time share one write. What holds between processes and after a restart is in key_claims.py.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused, ServiceError
from history.core.model import Comment
from history.store import StoreError
from proto.tasks import Shared


class Key(NamedTuple):
    """Each author has keys of his own in each video: they never collide with anybody else's."""

    author_id: str
    video_id: str
    key: str


@dataclass(frozen=True, slots=True)
class _Entry:
    draft: Draft
    writing: Shared[Comment]
    begun_ms: int


class IdempotentWrites:
    """Belongs to one event loop. `monotonic_ms` is any clock that doesn't step back."""

    def __init__(self, *, entries_max: int, keep_ms: int) -> None:
        self._entries_max = entries_max
        self._keep_ms = keep_ms
        self._entries: dict[Key, _Entry] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._entries)

    async def once(
        self, key: Key, draft: Draft, write: Callable[[], Coroutine[Any, Any, Comment]], monotonic_ms: int
    ) -> Comment:
        """What `write` returned for the first call with this key; calls during that write share it.

        If the write fails the key is dropped, so the next try writes again. The write goes on when its caller is
        cancelled. Raises what `write` raises, and IdempotencyKeyReused if the key came with another draft.
        """
        self._drop_old(monotonic_ms)
        entry = self._entries.get(key)
        if entry is None:
            # What a client or a store that is away bring about is no fault.
            expected = (ServiceError, StoreError)
            writing = Shared("write with a key", self._write(key, draft, write), expected=expected)
            entry = self._entries[key] = _Entry(draft, writing, monotonic_ms)
        elif entry.draft != draft:
            raise IdempotencyKeyReused
        return await entry.writing.wait()

    async def _write(self, key: Key, draft: Draft, write: Callable[[], Coroutine[Any, Any, Comment]]) -> Comment:
        try:
            return await write()
        except BaseException:
            entry = self._entries.get(key)
            if entry is not None and entry.draft is draft:
                del self._entries[key]
            raise

    def _drop_old(self, monotonic_ms: int) -> None:
        while self._entries:
            oldest = next(iter(self._entries))
            fresh = monotonic_ms - self._entries[oldest].begun_ms < self._keep_ms
            if fresh and len(self._entries) < self._entries_max:
                return
            del self._entries[oldest]
