"""A store that goes on accepting while the store behind it is away: a Store over a Store.

    the store answers            append ──► store
    it fails, or is too slow     append ──► store ──(slow_ms)──► spool      once: from then on it counts as away
    away                         append ──► spool, at once; beside it the drain writes the spool to the store
    drained quickly, again       it counts as back: append ──► store again, while the rest is drained

While the store is away the drain is also the probe that finds it again. What `append` has returned for is durable, on
the store's disks or on this machine's. The two promises differ: until it is drained a spooled comment is lost with this
machine's disk, and only this node's readers see it.

**Videos that the store doesn't take** while it takes others (history/spool/draining.py): their comments go to the spool
until a later step of the drain writes them. The store isn't away.

**What a spool hides.** An RMS node reads history when a viewer joins, and to fill gaps. Its reads don't see what lies
in the spool of a comment_service: a viewer who joined after such a comment was published got it neither live nor from
history. So when the spool is empty again the node that spooled asks all RMS nodes to read once more from the first
spooled comment on (`Visibility.show`); they skip what they have. As long as comments are hidden that node also keeps
the first one's id in a file, so that a kill in between changes nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import ParamSpec, Protocol, TypeVar

import structlog

from history.clocks import monotonic_ms
from history.core.model import Comment, Comments
from history.core.spool_format import SpooledKey
from history.core.spooled_comments import merged
from history.spool.draining import DrainStep, Withdraw
from history.spool.files import Spool, SpoolFailed, SpoolStatistics
from history.spool.settings import SpoolSettings
from history.store import Claimed, Outcome, Store, StoreRefuses, StoreUnavailable, own_comments
from proto.tasks import shared

_log = structlog.stdlib.get_logger()

T = TypeVar("T")
P = ParamSpec("P")

NO_KEYS: Mapping[int, SpooledKey] = {}


class Visibility(Protocol):
    """Hears from which comment on the spool hides some from readers on other nodes. Neither call waits."""

    def hide(self, from_id: int) -> None:
        """From now on, some comments from this id on can't be read elsewhere."""
        ...

    def show(self) -> None:
        """All comments can be read everywhere."""
        ...


class Availability(Enum):
    """The store's, as far as this process knows"""

    UNKNOWN = "unknown"  # it was never asked: it may just be opening
    AVAILABLE = "available"
    AWAY = "away"  # until a probe of the drain finds it


@dataclass(frozen=True, slots=True)
class SpooledStatistics:
    away: bool
    spool: SpoolStatistics
    drained: int
    """comments written from the spool to the store since the start"""


class SpooledStore:
    """A history.store.Store. Belongs to one event loop; `drain` has to run for as long as it is used."""

    def __init__(
        self, store: Store, spool: Spool, visibility: Visibility, settings: SpoolSettings, withdraw: Withdraw
    ) -> None:
        """withdraw: takes back a comment whose key stands for another one (history/spool/draining.py)."""
        self._store = store
        self._spool = spool
        self._visibility = visibility
        self._settings = settings
        self._withdraw = withdraw
        self._availability = Availability.UNKNOWN
        self._checking: asyncio.Task[str | None] | None = None  # the last check, under way or done
        self._checked_ms = 0  # once it is done: when it was
        self._quick = 0  # writes of the drain in a row
        self._drained = 0
        self._refused: set[str] = set()
        """videos that the store doesn't take while it takes others"""
        self._stored_ms = 0
        """when it took comments last"""
        self._has_left = False  # since the last comment was spooled
        self._left = asyncio.Event()  # and that comment is spooled
        self._work = asyncio.Event()
        self._work.set()  # the drain's first work is to find out whether the store answers
        self._emptied = asyncio.Event()
        self._stored_up_to = spool.high_id() or 0  # a former process may have stored some between those it spooled
        if (low_id := spool.low_id()) is not None:  # of a former process
            visibility.hide(low_id)

    async def append(self, comments: Sequence[Comment]) -> None:
        """Raises SpoolFull, StoreRefuses, or StoreUnavailable: neither the store nor this disk takes them."""
        if not comments:
            return
        held, others = self._split(comments, lambda comment: comment.video_id)
        if held:
            await self._append_to_spool(held)  # first: if it is full, nothing of the batch is stored
        if not others:
            return
        try:
            await self._in_time(self._store.append, others)
        except StoreRefuses:
            raise
        except StoreUnavailable:
            await self._append_to_spool(others)
        else:
            self._note_stored(others)

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        """While the store doesn't take a video's comments, no key of it can be claimed: each comment is spooled with
        its key, and its own claim returned. The drain claims it, and may find that it stands for another comment.
        Raises as `append` does."""
        held, others = self._split(items, lambda item: item[0].video_id)
        if held:
            await self._spool_keyed(held)
        if not others:
            return [claim for _, claim in items]
        try:
            outcomes = await self._in_time(self._store.append_claimed, others, now_ms, keep_ms)
        except StoreRefuses:
            raise
        except StoreUnavailable:
            await self._spool_keyed(others)
            return [claim for _, claim in items]
        if own := own_comments(others, outcomes):
            self._note_stored(own)
        if not held:
            return outcomes
        by_id = {comment.id: outcome for (comment, _), outcome in zip(others, outcomes, strict=True)}
        return [by_id.get(comment.id, claim) for comment, claim in items]

    def _split(self, items: Sequence[T], video_of: Callable[[T], str]) -> tuple[Sequence[T], Sequence[T]]:
        """Those of videos that the store doesn't take now, and the others"""
        if not self._refused:
            return (), items
        held = [item for item in items if video_of(item) in self._refused]
        return held, [item for item in items if video_of(item) not in self._refused]

    async def _spool_keyed(self, items: Sequence[Claimed]) -> None:
        keys = {comment.id: SpooledKey(claim.key, claim.digest) for comment, claim in items}
        await self._append_to_spool([comment for comment, _ in items], keys)

    async def _append_to_spool(self, comments: Sequence[Comment], keys: Mapping[int, SpooledKey] = NO_KEYS) -> None:
        try:
            await self._spool.append(comments, keys)
        finally:
            self._work.set()  # only now, so that the first probe is the drain of these comments
            if self._has_left:
                self._has_left = False
                self._left.set()
        # Before they are published; but once they are spooled, or a drain that is ending would show them too soon.
        self._visibility.hide(min(comment.id for comment in comments))

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        """While the store is away: what the spool holds, if that fills the page and is newer than all that only the
        store has. Raises StoreUnavailable."""
        spooled = self._spool.comments.older(video_id, before, limit)
        enough = len(spooled) >= limit and spooled[-1].id > self._stored_up_to
        stored = await self._read(self._store.older(video_id, before, limit), enough)
        return merged(stored, spooled, limit, newest_first=True) if spooled else stored

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        """While the store is away: what the spool holds, if it also holds one at or below `after`, and none above is in
        the store only: else some in between may be missing. Raises StoreUnavailable."""
        spooled = self._spool.comments.newer(video_id, after, limit)
        enough = after >= self._stored_up_to and self._spool.comments.reaches(video_id, after)
        stored = await self._read(self._store.newer(video_id, after, limit), enough)
        return merged(stored, spooled, limit, newest_first=False) if spooled else stored

    async def check(self) -> None:
        """Returns when comments are accepted: the store answers, or it is away and the spool has room. Raises
        StoreUnavailable, within slow_ms. Concurrent callers share one check of the store: however many ask, they don't
        slow it down until it counts as away."""
        if not self.is_away and (reason := await asyncio.shield(self._latest_check())) is not None:
            raise StoreUnavailable(reason)
        if self.is_away and not self._spool.has_room:
            raise StoreUnavailable("the store is away, and the spool is full")

    def evict(self, video_id: str, ids: Sequence[int]) -> None:
        """These are erased or hidden: they are no longer read from here. Draining doesn't bring them back, because the
        store knows it (`history.store.Moderating`)."""
        self._spool.comments.evict(video_id, ids)

    def evict_author(self, author_id: str, video_id: str, up_to_id: int) -> None:
        """His comments up to that id are erased, in that video or in ALL_VIDEOS. As `evict`."""
        self._spool.comments.evict_author(author_id, video_id, up_to_id)

    async def wait_drained(self) -> None:
        """Returns when nothing is in the spool."""
        while not self._spool.is_empty:
            self._emptied.clear()
            await self._emptied.wait()

    async def close(self) -> None:
        """What is in the spool waits for the next process."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        await self._store.close()
        await self._spool.close()

    @property
    def is_away(self) -> bool:
        """The store doesn't answer: pages may lack what other nodes accepted."""
        return self._availability is Availability.AWAY

    def statistics(self) -> SpooledStatistics:
        return SpooledStatistics(self.is_away, self._spool.statistics(), self._drained)

    async def drain(self) -> None:
        """For ever: writes the spool to the store, each video's comments in order, and finds the store when it is back.
        A step that fails is repeated after a pause that grows; what says nothing about the store is logged."""
        failures = 0
        while True:
            if self._spool.is_empty and not self.is_away:
                await self._work.wait()
                self._work.clear()
            self._left.clear()
            try:
                took_all = await self._drain_once()
            except StoreRefuses as error:
                self._stop_spooling(error)
            except Exception as error:
                if isinstance(error, StoreUnavailable) and not isinstance(error, SpoolFailed):
                    self.gone(error)
                else:
                    _log.exception("drain_failed", spooled=len(self._spool.comments), reason=repr(error))
                    self._work.set()
            else:
                if self._availability is Availability.UNKNOWN:
                    self._availability = Availability.AVAILABLE
                if took_all:
                    failures = 0
                    continue
            failures += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(failures)):
                    await self._left.wait()

    async def _drain_once(self) -> bool:
        """Whether the store took all. Raises StoreUnavailable if it takes nothing."""
        segments = await self._spool.sealed()
        if not segments:
            await self._store.check()
            self._back()
            return True
        step = DrainStep(
            *(self._store, self._spool, self._settings, self._refused),
            *(self._note_drained, self._pass_over, self._withdraw),
        )
        try:
            await step.run(segments)
        except SpoolFailed:
            self._back()  # it has taken what this disk couldn't let go
            raise
        if step.refused and not step.drained and (self.is_away or not step.tells_nothing_new):
            raise next(iter(step.refused.values()))
        self._note_refused(name for name, error in step.refused.items() if not isinstance(error, StoreRefuses))
        if self._spool.is_empty:
            self._back()
            self._visibility.show()
            self._emptied.set()
            _log.info("spool_drained", drained=self._drained)
        elif (step.refused and step.drained) or step.is_undecided:
            self._back()
            self._visibility.show()
            if (low_id := self._spool.low_id()) is not None:
                self._visibility.hide(low_id)
        return not (step.refused or step.is_undecided)

    def _note_drained(self, comments: Sequence[Comment], took_ms: int) -> None:
        """A store that has just been started is slow at first. Authors don't wait for that: the drain warms it up."""
        self._note_stored(comments)
        self._drained += len(comments)
        self._quick = self._quick + 1 if took_ms < self._settings.slow_ms / 2 else 0
        if self._quick >= self._settings.quick_writes:
            self._back()

    def _pass_over(self, video_ids: Iterable[str]) -> None:
        """The store takes others than these: authors needn't wait until that has failed for each."""
        self._note_refused(video_ids)
        self._back()

    def _note_refused(self, video_ids: Iterable[str]) -> None:
        refused = set(video_ids)
        if refused and not self._refused:
            _log.warning("spooling_some_videos", videos=len(refused), first=min(refused))
        elif self._refused and not refused:
            _log.info("all_videos_are_stored_again")
        self._refused = refused

    def _latest_check(self) -> "asyncio.Task[str | None]":
        """The one under way, or one that was just done"""
        checking = self._checking
        if checking is None or (checking.done() and monotonic_ms() - self._checked_ms >= self._settings.check_ms):
            self._checking = checking = shared(self._check())
        return checking

    async def _check(self) -> str | None:
        """None: the store answers, or is away from now on. Else why that isn't known."""
        begin_ms = monotonic_ms()
        try:
            async with asyncio.timeout(self._settings.slow_ms / 1000):
                await self._store.check()
        except (TimeoutError, StoreUnavailable) as error:
            reason = str(error) or "the store doesn't answer"
            if self._stored_ms > begin_ms:  # it is only what the check reads
                return None
            if self._availability is Availability.UNKNOWN or isinstance(error, StoreRefuses):
                return reason
            self.gone(StoreUnavailable(reason))
        except Exception as error:
            _log.exception("store_check_failed", reason=repr(error))
            return f"the check of the store failed: {error!r}"
        finally:
            self._checked_ms = monotonic_ms()
        return None

    async def _in_time(self, write: Callable[P, Awaitable[T]], *arguments: P.args, **options: P.kwargs) -> T:
        """What the write returns. Raises StoreUnavailable if the store is away, which it is from now on if the write
        fails or takes too long."""
        if self.is_away:
            raise StoreUnavailable("the store is away")
        try:
            async with asyncio.timeout(self._settings.slow_ms / 1000):
                return await write(*arguments, **options)
        except TimeoutError:
            self._leave(f"a write wasn't done within {self._settings.slow_ms} ms")
            raise StoreUnavailable("the store is slow") from None
        except StoreRefuses:
            raise
        except StoreUnavailable as error:
            self._leave(str(error))
            raise

    def _note_stored(self, comments: Sequence[Comment]) -> None:
        """From now on only the store has them."""
        self._stored_up_to = max(self._stored_up_to, max(comment.id for comment in comments))
        self._stored_ms = monotonic_ms()

    async def _read(self, reading: Awaitable[Comments], enough: bool) -> Comments:
        """While the store is away a reader waits no longer than an author. enough: an empty result will do then, but
        only then: whoever keeps the result asks `is_away` whether it is all there is."""
        limit_s = self._settings.slow_ms / 1000 if self.is_away else None
        try:
            async with asyncio.timeout(limit_s):
                return await reading
        except (TimeoutError, StoreUnavailable) as error:
            if enough and self.is_away:
                return Comments([], None)
            raise StoreUnavailable(str(error) or "the store is away") from error

    def gone(self, error: StoreUnavailable) -> None:
        """The store counts as away until a probe of the drain finds it."""
        self._leave(str(error))
        self._work.set()

    def _stop_spooling(self, error: StoreRefuses) -> None:
        """Authors are refused by the store itself, and `check` says why, until a probe of the drain finds it mended."""
        if self._availability is not Availability.UNKNOWN:
            _log.error("store_refuses", spooled=len(self._spool.comments), reason=str(error))
        self._availability = Availability.UNKNOWN
        self._work.set()

    def _leave(self, reason: str) -> None:
        if not self.is_away:
            _log.warning("spooling", reason=reason)
            self._has_left = True
        self._availability = Availability.AWAY
        self._quick = 0

    def _back(self) -> None:
        if self.is_away:
            _log.info("store_answers_again", spooled=len(self._spool.comments))
        self._availability = Availability.AVAILABLE

    def _pause_s(self, failures: int) -> float:
        """Between half and all of a time that doubles with each failure"""
        settings = self._settings
        longest_ms = min(settings.retry_max_ms, settings.retry_min_ms * 2 ** min(failures - 1, 16))
        return random.uniform(longest_ms / 2, longest_ms) / 1000
