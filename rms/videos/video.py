"""A served video: its feed, and the audiences of the feed's editions."""

import asyncio
from collections.abc import Callable

from history.core.model import Comment, Erasure
from rms.clocks import monotonic_ms, wall_ms
from rms.feed.editions import Edition, GzipEdition, PlainEdition, RateEdition
from rms.feed.feed import Feed
from rms.feed.resuming import Resuming
from rms.sending.audience import Audience, Viewer
from rms.sending.sweep import Sweeper
from rms.videos.request import Form


class ServedVideo:
    """`feed` and `resuming` are there once `opened` is done."""

    __slots__ = (
        *("_on_behind", "_sweeper", "audiences", "catching_up", "counted_ms", "empty_ms", "feed", "holds", "is_open"),
        *("lacks_past", "missed_from", "opened", "overflow_id", "pending", "resuming", "served", "told_viewers"),
        *("total_viewers", "video_id"),
    )

    feed: Feed
    resuming: Resuming
    opened: asyncio.Task[None]

    def __init__(self, video_id: str, sweeper: Sweeper, on_behind: Callable[["ServedVideo", Viewer], None]) -> None:
        """on_behind: called with a viewer that has fallen off its log; its socket is open and registered nowhere."""
        self.video_id = video_id
        self._sweeper = sweeper
        self.served = True  # until it is dropped
        self.audiences: dict[Form, Audience] = {}
        self.is_open = False
        self.pending: list[Comment | Erasure] | None = []  # came while history was read; None: nothing has to wait
        self.overflow_id = 0  # the smallest id that did not fit there
        self.lacks_past = False  # it could not be read when the feed opened
        self.missed_from = 0  # from this id on comments may be missing, and are still to be read; 0: none are
        self.catching_up = False  # a task reads what is missing
        self.holds = 0  # viewers that are neither in an audience nor gone: joining, streamed, catching up
        self.empty_ms = 0  # since when nobody is here; 0: somebody is, or was at the last look
        self.total_viewers = 0  # on all nodes, as a dispatcher has told
        self.told_viewers = 0  # what the viewers were last told
        self.counted_ms = 0  # when
        self._on_behind = on_behind

    def open(self, feed: Feed) -> None:
        """From here on comments go into the feed; those that came before, first. What came too late was in history when
        the feed's past was read, and isn't new to anybody."""
        self.feed, self.resuming, self.is_open = feed, Resuming(feed), True
        self.pending = [comment for comment in self.pending or () if not self.is_too_late(comment)]
        self.go_on()

    def hold(self) -> None:
        """What comes has to wait for what was said before it, until `go_on`."""
        if self.pending is None:
            self.pending = []

    def go_on(self) -> None:
        """What has waited goes into the feed, and what comes now needn't wait."""
        pending, self.pending = self.pending, None
        for comment in pending or ():
            self.append(comment)
        self.miss(self.overflow_id)
        self.overflow_id = 0

    def is_too_late(self, comment: Comment | Erasure) -> bool:
        """Can nobody tell any more whether the comment was here? Then it isn't to be sent."""
        return isinstance(comment, Comment) and self.feed.may_have_forgotten(comment.id, wall_ms())

    def forgo(self, from_id: int, to_id: int) -> None:
        """Tells all who are here that comments from the one id up to the other may be missing."""
        self.feed.add_gap(from_id, to_id, wall_ms())
        self.publish()

    def append(self, comment: Comment | Erasure) -> None:
        """Gives a comment, or the word that one is erased, to all who are here; doubles are dropped."""
        if isinstance(comment, Comment):
            if self.feed.append(comment, wall_ms()):
                self.publish()
        elif self.feed.erase(comment, wall_ms()):
            for audience in self.audiences.values():
                audience.edition.purge()
            self.publish()

    def publish(self) -> None:
        """The feed has grown."""
        for audience in self.audiences.values():
            self._sweeper.publish(audience)

    @property
    def viewers(self) -> int:
        return self.holds + sum(len(audience.viewers) for audience in self.audiences.values())

    @property
    def is_behind(self) -> bool:
        """Something is still to be read from history."""
        return self.lacks_past or self.missed_from > 0

    def miss(self, from_id: int) -> None:
        """Comments from this id on may be missing, beside what is known to be; 0: none."""
        if from_id:
            self.missed_from = min(self.missed_from or from_id, from_id)

    def audience(self, form: Form, backfill_max: int) -> Audience:
        """Those here who want it like this"""
        audience = self.audiences.get(form)
        if audience is None:
            edition: Edition
            if form.gzip:
                edition = GzipEdition(self.audience(Form(form.rate), backfill_max).edition, wall_ms())
            elif form.rate:
                edition = RateEdition(self.feed, form.rate, wall_ms(), backfill_max)
            else:
                edition = PlainEdition(self.feed)
            audience = Audience(self.video_id, edition, lambda viewer: self._on_behind(self, viewer), monotonic_ms())
            self.audiences[form] = audience
        return audience

    def drop_unused_audiences(self) -> None:
        """Nobody wants it like that any more."""
        for form, audience in list(self.audiences.items()):
            is_source = not form.gzip and Form(form.rate, True) in self.audiences
            if not audience.viewers and not audience.waiters and not is_source:
                del self.audiences[form]
