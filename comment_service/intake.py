"""The write path: an accepted draft gets its id, becomes durable, is acknowledged, and is handed to the publisher."""

import time
from functools import partial
from typing import Protocol

from comment_service.admission import Draft
from comment_service.idempotency import FirstAnswers, Key
from history.group_commit import GroupCommit
from history.ids import IdSource
from history.model import Comment


class Publishing(Protocol):
    """What the write path needs of a Publisher"""

    def begin(self, comment_id: int) -> None: ...

    def forget(self, comment_id: int) -> None: ...

    def put(self, comment: Comment) -> None: ...


class Intake:
    """Belongs to one event loop."""

    def __init__(self, ids: IdSource, commit: GroupCommit, publisher: Publishing, first_answers: FirstAnswers) -> None:
        self._ids = ids
        self._commit = commit
        self._publisher = publisher
        self._first_answers = first_answers

    async def accept(self, draft: Draft, idempotency_key: str | None) -> Comment:
        """Returns the comment once it is durable; its publishing goes on behind.

        Raises StoreUnavailable: then it is not published, and its author is told that it was not accepted.
        Raises IdempotencyKeyReused.
        """
        if idempotency_key is None:
            return await self._write(draft)
        key = Key(draft.author.id, draft.video_id, idempotency_key)
        return await self._first_answers.once(key, draft, partial(self._write, draft), int(time.monotonic() * 1000))

    async def _write(self, draft: Draft) -> Comment:
        now_ms = time.time_ns() // 1_000_000
        comment = Comment(self._ids.next(now_ms), draft.video_id, draft.author, draft.message, now_ms)
        self._publisher.begin(comment.id)
        try:
            await self._commit.append(comment)
        except BaseException:
            self._publisher.forget(comment.id)
            raise
        self._publisher.put(comment)
        return comment
