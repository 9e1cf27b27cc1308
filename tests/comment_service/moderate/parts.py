"""What the tests of moderating are made of: a node with a real store, and a publisher that tells what it gets"""

import asyncio
from dataclasses import dataclass, field

from comment_service.moderate.moderator import Changing
from comment_service.moderate.purging import Purges, PurgeSettings
from history.core.ids import IdSource
from history.core.model import Change
from history.store import History, StoreUnavailable
from tests.comment_service.parts import OwnNumber


@dataclass
class RecordedPublisher:
    begun: list[int] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    put_: list[Change] = field(default_factory=list)
    answers: bool = True
    doubts: int = 0
    """so many answers leave open whether nodes have it"""

    def begin(self, event_id: int, video_id: str) -> int:
        self.begun.append(event_id)
        return 0

    def abandon(self, event_id: int, after_id: int | None = None) -> None:
        self.abandoned.append(event_id)

    def put(self, event: Change) -> None:
        assert event.id in self.begun
        self.put_.append(event)

    async def published(self, event_id: int) -> bool:
        if not self.answers:
            await asyncio.Event().wait()
        self.doubts -= 1
        return self.doubts < 0


@dataclass
class RecordedCopies:
    applied: list[Change] = field(default_factory=list)
    error: Exception | None = None

    async def apply(self, *changes: Change) -> None:
        if self.error is not None:
            raise self.error
        self.applied += changes

    async def invalidate(self, video_id: str, low_id: int, high_id: int) -> None:
        raise AssertionError("not needed here")

    async def wait_drained(self) -> None:
        pass


class FailingStore:
    """A real store, whose calls with these names fail once each"""

    def __init__(self, store: History, *fails: str) -> None:
        self._store = store
        self._fails = set(fails)

    def __getattr__(self, name: str) -> object:
        if name in self._fails:
            self._fails.discard(name)
            return self._fail
        return getattr(self._store, name)

    async def _fail(self, *arguments: object) -> None:
        raise StoreUnavailable("cut off by the test")


class ModeratingNode:
    """node: the number of this process; several may share a store."""

    def __init__(self, store: History, node: int = 0, *, published_ms: int = 60_000) -> None:
        self.store = store
        self.publisher = RecordedPublisher()
        self.copies = RecordedCopies()
        ids = IdSource(node)
        own = (self.copies, self.publisher, ids, OwnNumber())
        self.changing = Changing(lambda: self.store, *own, published_ms=published_ms)
        settings = PurgeSettings(pause_ms=0, drained_ms=1_000, poll_ms=1)
        self.purges = Purges(lambda: self.store, self.copies, self.changing, ids, OwnNumber(), settings)
