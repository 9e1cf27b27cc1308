"""One walk over a spool that brings its comments to the store, whichever videos the store takes.

A cluster may have lost the replicas of some partitions and serve all others. So a write of many videos that fails is
repeated video by video. Videos that the store takes are drained; the others' comments stay in the spool. If nothing is
taken, nothing is known about single videos: the store is away.

**Idempotency-Keys.** A comment that came with a key is claimed now. Another process may have claimed the key meanwhile,
for another comment with the same text: then that one stands, and the spooled one, which viewers have got already, is
withdrawn (`Withdraw`). It leaves the spool only after that, so a kill in between repeats it. If the other one has
another text, then both stand, for both were accepted. What the store can't say of a key leaves its comment here.

**Ids given twice** (two processes with one node number, while nobody could tell): what stands stays, and the spooled
comment, which was accepted, too, gets another id (`Taken`).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from history.clocks import monotonic_ms, wall_ms
from history.config import DRAINED_AT_ONCE
from history.core.model import Comment
from history.core.spool_format import SpooledKey
from history.spool.files import Segment, Spool
from history.spool.settings import SpoolSettings
from history.store import Claim, IdTaken, Store, StoreUnavailable
from proto.tasks import shared


class Lost(NamedTuple):
    """A spooled comment whose key stands for another one, which has the same text"""

    comment: Comment
    key: str
    standing: Claim


class Taken(NamedTuple):
    """A spooled comment under whose id something else stands"""

    comment: Comment
    key: SpooledKey | None


Withdraw = Callable[[Lost | Taken], Awaitable[None]]
"""Lost: returns when the standing comment is durable and the lost one gone for good, also for those who have it. Taken:
when it is durable under another id. Safe to repeat; raises StoreUnavailable."""


@dataclass(slots=True)
class _Written:
    """What became of comments of the spool"""

    stored: list[Comment]
    lost: list[Lost | Taken] = field(default_factory=list)
    is_whole: bool = True
    """nothing else is left of them"""


class DrainStep:
    """Made for one `run`. Each video's comments go in order."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        settings: SpoolSettings,
        refused_before: Iterable[str],
        on_stored: Callable[[Sequence[Comment], int], None],
        on_slow: Callable[[Iterable[str]], None],
        withdraw: Withdraw,
    ) -> None:
        """refused_before: videos that the store didn't take while it took others; they
        are tried last. on_stored: gets comments that are in the store now, and within how many ms they were written.
        on_slow: gets videos whose writes take longer than `slow_ms` while the store has taken others."""
        self._store = store
        self._spool = spool
        self._slow_s = settings.slow_ms / 1000
        self._batch = settings.drain_batch
        self._keys_keep_ms = settings.keys_keep_ms
        self._refused_before = frozenset(refused_before)
        self._on_stored = on_stored
        self._on_slow = on_slow
        self._withdraw = withdraw
        self.refused: dict[str, StoreUnavailable] = {}
        """videos that the store hasn't taken, and why"""
        self.drained = 0
        self.is_undecided = False
        """The store could not say of some keys for which comment they stand."""

    @property
    def tells_nothing_new(self) -> bool:
        """Only videos are refused that were refused before."""
        return self.refused.keys() <= self._refused_before

    async def run(self, segments: Sequence[Segment]) -> None:
        """Raises StoreUnavailable as soon as it is clear that the store takes nothing; at the end that is for the
        caller to say. Raises SpoolFailed if what is stored can't be removed."""
        for segment in segments:
            well = [comment for comment in segment.comments if comment.video_id not in self._refused_before]
            for begin in range(0, len(well), self._batch):
                await self._write(segment, well[begin : begin + self._batch])
        for segment in segments:
            await self._write_apart(segment, self._left_of(segment.comments))

    def _left_of(self, comments: Sequence[Comment]) -> Sequence[Comment]:
        return [comment for comment in comments if comment.video_id not in self.refused]

    async def _write(self, segment: Segment, comments: Sequence[Comment]) -> None:
        """A store that has just been started is slow at first: one video's write may take its time."""
        comments = self._left_of(comments)
        if len({comment.video_id for comment in comments}) > 1:
            begin_ms = monotonic_ms()
            try:
                async with asyncio.timeout(self._slow_s):
                    written = await self._append(segment, comments)
            except (TimeoutError, StoreUnavailable):
                pass
            else:
                await self._settle(segment, written, begin_ms)
                return
        await self._write_apart(segment, comments)

    async def _write_apart(self, segment: Segment, comments: Sequence[Comment]) -> None:
        """Each video by itself, a few at a time, in random order: whichever fail, others are found."""
        videos: defaultdict[str, list[Comment]] = defaultdict(list)
        for comment in comments:
            videos[comment.video_id].append(comment)
        names = random.sample(list(videos), len(videos))
        for begin in range(0, len(names), DRAINED_AT_ONCE):
            some = names[begin : begin + DRAINED_AT_ONCE]
            if self.drained == 0 and len(self.refused) >= DRAINED_AT_ONCE:
                error = next(iter(self.refused.values()))
                if not self.tells_nothing_new:
                    raise error
                self.refused |= dict.fromkeys(names[begin:], error)  # the next step tries others of them
                return
            await self._write_some(segment, {name: videos[name] for name in some})

    async def _write_some(self, segment: Segment, videos: dict[str, list[Comment]]) -> None:
        writes = {shared(self._write_video(segment, name, comments)): name for name, comments in videos.items()}
        try:
            _, slow = await asyncio.wait(writes, timeout=self._slow_s)
            if slow and self.drained:
                self._on_slow([*self._refused_before, *self.refused, *(writes[write] for write in slow)])
            await asyncio.gather(*writes)
        finally:
            for write in writes:
                write.cancel()

    async def _write_video(self, segment: Segment, video_id: str, comments: Sequence[Comment]) -> None:
        begin_ms = monotonic_ms()
        try:
            written = await self._append(segment, comments)
        except StoreUnavailable as error:
            self.refused[video_id] = error
        else:
            await self._settle(segment, written, begin_ms)

    async def _append(self, segment: Segment, comments: Sequence[Comment]) -> _Written:
        """Raises StoreUnavailable; then some of them may be stored."""
        taken: list[Lost | Taken] = []
        while True:
            try:
                written = await self._append_free(segment, comments)
            except IdTaken as error:
                mine = [comment for comment in comments if comment.id in error.ids]
                if not mine:
                    raise
                taken += [Taken(comment, segment.keys.get(comment.id)) for comment in mine]
                comments = [comment for comment in comments if comment.id not in error.ids]
            else:
                written.lost += taken
                return written

    async def _append_free(self, segment: Segment, comments: Sequence[Comment]) -> _Written:
        """Raises IdTaken."""
        keyed = segment.keyed(comments)
        written = _Written([comment for comment in comments if comment.id not in segment.keys])
        outcomes = await self._store.append_claimed(keyed, wall_ms(), self._keys_keep_ms) if keyed else []
        others = list(written.stored)
        for (comment, claim), standing in zip(keyed, outcomes, strict=True):
            if not isinstance(standing, Claim):
                written.is_whole = False
            elif standing.comment_id == comment.id:
                written.stored.append(comment)
            elif standing.digest == claim.digest:
                written.lost.append(Lost(comment, claim.key, standing))
            else:
                others.append(comment)
                written.stored.append(comment)
        if others:
            await self._store.append(others)
        return written

    async def _settle(self, segment: Segment, written: _Written, begin_ms: int) -> None:
        self.is_undecided |= not written.is_whole
        if written.stored:
            await self._drop(segment, written.stored, begin_ms)
        for lost in written.lost:
            begin_ms = monotonic_ms()
            try:
                await self._withdraw(lost)
            except StoreUnavailable as error:
                self.refused[lost.comment.video_id] = error
            else:
                await self._drop(segment, [lost.comment], begin_ms)

    async def _drop(self, segment: Segment, comments: Sequence[Comment], begin_ms: int) -> None:
        self.drained += len(comments)
        self._on_stored(comments, monotonic_ms() - begin_ms)
        await self._spool.drop(segment, comments)
