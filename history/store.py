"""The store's contract. tests/history/contract.py holds every implementation to it.

What each method promises is promised across processes: what `append` has returned for in one process, a read that
begins afterwards in another process sees.
"""

from collections.abc import Sequence
from typing import Protocol

from history.model import Comment


class StoreError(Exception):
    """The store can't do it. The caller's request was right."""


class StoreUnavailable(StoreError):
    """The store is away, slow or overloaded. The same call may work later; whether an `append` was done is unknown,
    and repeating it is safe."""


class StoreOverloaded(StoreUnavailable):
    """More is waiting to be written than the caller allows (GroupCommit's `pending_max`). Nothing was stored."""


class Reader(Protocol):
    """What an RMS may do."""

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        """Up to `limit` comments with an id below `before` (None: the newest), newest first.

        Fewer than `limit` means that there are no more. Raises StoreUnavailable.
        """
        ...

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        """Up to `limit` comments with an id above `after`, oldest first; the lowest ids if there are more.

        Raises StoreUnavailable.
        """
        ...

    async def check(self) -> None:
        """Returns when the store answers; raises StoreUnavailable when it doesn't within its time-out."""
        ...

    async def close(self) -> None:
        """Lets go of files and connections. Calls under way may fail."""
        ...


class Store(Reader, Protocol):
    """What comment_service may do."""

    async def append(self, comments: Sequence[Comment]) -> None:
        """Returns when all of them are durable: they survive kill -9 of this process and of the store's.

        Idempotent by id. After an error some of them may be stored. Raises StoreUnavailable.
        """
        ...
