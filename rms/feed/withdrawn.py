"""Which comments must not be shown, whenever and from wherever they come: those that were hidden or erased, and those
of authors who were purged.

Rule: no clock, no socket.
"""

import re

import msgspec

from rms.feed.event import COMMENT, ERASED, RESTORED, Event

CHANGES_MAX = 10_000
"""comments for which a feed remembers what changed last, to tell what comes late: more than are changed in a minute"""

PURGES_MAX = 256
"""of one video, kept here: what comes later than the youngest of so many purges was purged in the store long ago"""


class _Author(msgspec.Struct):
    id: str


class _Data(msgspec.Struct):
    author: _Author


_decode = msgspec.json.Decoder(_Data).decode


_PLAIN = re.compile(r"[\w:.@ -]+", re.ASCII)


def in_any_json(author_id: str) -> bytes | None:
    """What stands in the JSON of each of the author's comments, whoever made it; None: JSON may write it in two ways"""
    return author_id.encode() if _PLAIN.fullmatch(author_id) else None


class Withdrawn:
    __slots__ = ("_changes", "_high", "_up_to")

    def __init__(self) -> None:
        self._changes: dict[int, tuple[int, str]] = {}  # by comment: the last event about it, and of what kind
        self._up_to: dict[str, int] = {}  # authors, the one purged last is last
        self._high = 0

    def add(self, author_id: str, up_to_id: int) -> None:
        """All of the author's comments up to this id are purged."""
        self._up_to[author_id] = max(up_to_id, self._up_to.pop(author_id, 0))
        self._high = max(self._high, up_to_id)
        if len(self._up_to) > PURGES_MAX:
            del self._up_to[next(iter(self._up_to))]

    def change(self, event: Event) -> bool:
        """An event about a comment has come. False: it changes nothing, as what came later holds, and nothing comes
        after an erasure or a purge."""
        if event.kind == RESTORED and self.holds(event.target_id, event.data):
            return False
        last_id, kind = self._changes.get(event.target_id, (0, ""))
        if last_id > event.id or (kind == ERASED and event.kind != ERASED):
            return False
        self._changes[event.target_id] = event.id, event.kind
        if len(self._changes) > CHANGES_MAX:
            del self._changes[next(iter(self._changes))]
        return True

    def takes(self, event: Event) -> bool:
        """Is this comment, or the one that this event restores, not to be shown any more?"""
        if event.kind not in (COMMENT, RESTORED):
            return False
        comment_id = event.target_id or event.id
        last_id, kind = self._changes.get(comment_id, (0, ""))
        return (last_id > event.id and kind != RESTORED) or self.holds(comment_id, event.data)

    def holds(self, comment_id: int, data: bytes) -> bool:
        """Is this comment purged? data: its JSON"""
        if comment_id > self._high:
            return False
        try:
            author_id = _decode(data).author.id
        except msgspec.DecodeError:
            return False
        return comment_id <= self._up_to.get(author_id, 0)
