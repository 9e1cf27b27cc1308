"""Authors whose comments are purged: which comments must not be shown, whenever and from wherever they come.

Rule: no clock, no socket.
"""

import msgspec

PURGES_MAX = 256
"""of one video, kept here: what comes later than the youngest of so many purges was purged in the store long ago"""


class _Author(msgspec.Struct):
    id: str


class _Data(msgspec.Struct):
    author: _Author


_decode = msgspec.json.Decoder(_Data).decode


class Withdrawn:
    __slots__ = ("_high", "_up_to")

    def __init__(self) -> None:
        self._up_to: dict[str, int] = {}  # authors, the one purged last is last
        self._high = 0

    def add(self, author_id: str, up_to_id: int) -> None:
        """All of the author's comments up to this id are purged."""
        self._up_to[author_id] = max(up_to_id, self._up_to.pop(author_id, 0))
        self._high = max(self._high, up_to_id)
        if len(self._up_to) > PURGES_MAX:
            del self._up_to[next(iter(self._up_to))]

    def holds(self, comment_id: int, data: bytes) -> bool:
        """Is this comment purged? data: its JSON"""
        if comment_id > self._high:
            return False
        try:
            author_id = _decode(data).author.id
        except msgspec.DecodeError:
            return False
        return comment_id <= self._up_to.get(author_id, 0)
