"""What must still be published, and since which comment it can't be proven that all is: the core of publish.py.

The way of an id, always forwards:

    begin ──► put ──► next_batch ──► answered            published
      │         │          └──► take_back ──► put's place again (the replica is gone; at least once)
      │         └── dropped, if the backlog is full ──► owed
      └──► forget                                        was not stored; nobody was told 200

An owed comment is not sent any more. Its id lowers `catch_up_from_id`, and that is sent: every node then reads its
videos' history from there. So the memory is bounded, and what was acknowledged to its author still reaches the viewers.

Hidden comments are published, but can't be read from history yet (a spool of this node holds them). A node that
serves their video only since then has missed them: they are owed as soon as they can be read.

`low_id()` is the watermark: each comment of this process with a smaller id is published, or was never acknowledged.
It counts an id from `begin` on, *before* the comment is durable, and ids only grow. That is why a watermark that was
saved long ago is still true: whatever came later has a larger id. It may be too low, which costs a longer catch-up,
but never too high.

Rule 1: no clock; `now_ms` comes in. Rule 2: it does not know gRPC.
"""

from collections import deque
from dataclasses import dataclass

from history.core.model import Comment, Erasure

Publishable = Comment | Erasure
"""What travels to the viewers. An erasure is sent and answered as a comment is, but no catch-up finds it in history:
whoever ordered it and got no answer orders it again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One PublishRequest. `seq` is never used again, so the answer to a batch that was taken back can do no harm."""

    seq: int
    comments: tuple[Publishable, ...]
    catch_up_from_id: int
    """0: nothing to catch up"""
    sent_ms: int


class Outbox:
    """Comments wait in the backlog, or are in flight in batches. Order is kept, also after `take_back`."""

    def __init__(
        self, *, first_id: int, batch_comments_max: int, batches_in_flight_max: int, comments_max: int
    ) -> None:
        """first_id: a bound that all ids to come are above. comments_max: backlog and flight together."""
        self._batch_comments_max = batch_comments_max
        self._batches_in_flight_max = batches_in_flight_max
        self._comments_max = comments_max
        self._newest_id = first_id
        self._open: dict[int, None] = {}  # begun, not yet answered, forgotten or owed; in the order of ids
        self._backlog: deque[Publishable] = deque()
        self._in_flight: dict[int, Batch] = {}
        self._comments_in_flight = 0
        self._owed_from_id = 0
        self._hidden_from_id = 0
        self._seq = 0
        self.published = 0
        self.resent = 0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Comments that wait to be sent"""
        return len(self._backlog)

    @property
    def has_full_batch(self) -> bool:
        return len(self._backlog) >= self._batch_comments_max

    @property
    def batches_in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def comments_in_flight(self) -> int:
        return self._comments_in_flight

    @property
    def catch_up_from_id(self) -> int:
        """The smallest id that nodes have to read history from, sent or not; 0: none"""
        return _lower(self._owed_from_id, self._catch_up_in_flight())

    @property
    def is_empty(self) -> bool:
        """Everything that was begun is published, and no catch-up is due or will be."""
        return not (self._open or self._in_flight or self._owed_from_id or self._hidden_from_id)

    def low_id(self) -> int:
        """The watermark. See above."""
        low = next(iter(self._open), self._newest_id + 1)
        return _lower(low, _lower(self.catch_up_from_id, self._hidden_from_id))

    def begin(self, comment_id: int) -> None:
        """The id is given to a comment. Larger than all before, but for a retry that completes what another process
        began: from then on the watermark counts it, too."""
        self._open[comment_id] = None
        if comment_id < self._newest_id:
            self._open = dict.fromkeys(sorted(self._open))
        else:
            self._newest_id = comment_id

    def forget(self, comment_id: int) -> None:
        """The comment with that id wasn't accepted: its author was not told that it was."""
        del self._open[comment_id]

    def put(self, comment: Publishable) -> None:
        """The comment is durable and must reach the viewers. Its id has begun."""
        self._backlog.append(comment)
        while len(self._backlog) + self._comments_in_flight > self._comments_max and self._backlog:
            self.dropped += 1
            self._owe_comment(self._backlog.popleft())

    def owe(self, from_id: int) -> None:
        """Nodes have to read history from this id on."""
        self._owed_from_id = _lower(self._owed_from_id, from_id)

    def hide(self, from_id: int) -> None:
        """Comments from this id on can't be read from history yet."""
        self._hidden_from_id = _lower(self._hidden_from_id, from_id)

    def show(self) -> None:
        """What was hidden can be read."""
        self.owe(self._hidden_from_id)
        self._hidden_from_id = 0

    def next_batch(self, now_ms: int) -> Batch | None:
        """What to send now: a catch-up first, one at a time; then all that waits, up to a batch. None: nothing, or
        enough is in flight."""
        if len(self._in_flight) >= self._batches_in_flight_max:
            return None
        comments: tuple[Publishable, ...] = ()
        catch_up_from_id = 0
        if self._owed_from_id and not self._catch_up_in_flight():
            catch_up_from_id, self._owed_from_id = self._owed_from_id, 0
        elif self._backlog:
            size = min(len(self._backlog), self._batch_comments_max)
            comments = tuple(self._backlog.popleft() for _ in range(size))
        else:
            return None
        self._seq += 1
        batch = Batch(self._seq, comments, catch_up_from_id, now_ms)
        self._in_flight[batch.seq] = batch
        self._comments_in_flight += len(comments)
        return batch

    def answered(self, seq: int) -> None:
        """A replica has answered the batch. An unknown seq changes nothing."""
        batch = self._in_flight.pop(seq, None)
        if batch is None:
            return
        self._comments_in_flight -= len(batch.comments)
        self.published += len(batch.comments)
        for comment in batch.comments:
            del self._open[comment.id]

    def take_back(self) -> int:
        """The stream has ended: what is in flight waits again, before all else. Returns how many comments."""
        taken = self._land()
        for batch in reversed(taken):
            self._backlog.extendleft(reversed(batch.comments))
        resent = sum(len(batch.comments) for batch in taken)
        self.resent += resent
        return resent

    def owe_in_flight(self) -> None:
        """A replica refuses a batch for what is in it, so sending it again can't help: its comments become owed."""
        for batch in self._land():
            for comment in batch.comments:
                self.dropped += 1
                self._owe_comment(comment)

    def oldest_sent_ms(self) -> int | None:
        """When the longest unanswered batch was sent; None if there is none"""
        return next((batch.sent_ms for batch in self._in_flight.values()), None)

    def _land(self) -> list[Batch]:
        """All that is in flight, no longer in flight; catch-ups are owed again."""
        batches = list(self._in_flight.values())
        self._in_flight.clear()
        self._comments_in_flight = 0
        for batch in batches:
            self.owe(batch.catch_up_from_id)
        return batches

    def _owe_comment(self, comment: Publishable) -> None:
        self.owe(comment.id)
        del self._open[comment.id]

    def _catch_up_in_flight(self) -> int:
        return next((batch.catch_up_from_id for batch in self._in_flight.values() if batch.catch_up_from_id), 0)


def _lower(one: int, other: int) -> int:
    """The smaller of two ids, where 0 is none"""
    return min(one, other) if one and other else one or other
