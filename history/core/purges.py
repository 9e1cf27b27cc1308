"""Authors whose comments were all erased, as a process remembers them, and the name by which stores keep them.

Rule 1: no clock; `now_ms` comes in.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS

_Author = tuple[str, str]
"""His id, and a video or ALL_VIDEOS"""

Purged = tuple[str, str, int]
"""The same, and up to which of his comments' ids"""


@dataclass(frozen=True, slots=True)
class Purge:
    """The order that all comments of an author up to an id are gone, and how far it was carried out"""

    id: int
    """Its time is the order's."""
    author_id: str
    video_id: str
    """or ALL_VIDEOS"""
    up_to_id: int
    looks: int = 0
    """How often his comments were looked for since"""


def author_hash(author_id: str) -> bytes:
    """16 bytes that tell authors apart and don't name them. (Who has a list of all ids can find out which is meant.)"""
    return hashlib.blake2b(author_id.encode("utf-8", "surrogatepass"), digest_size=16, person=b"barred author").digest()


class RecentPurges:
    """Which comments are gone by the purges of the last `keep_ms`"""

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self._up_to: dict[_Author, int] = {}

    def __bool__(self) -> bool:
        return bool(self._up_to)

    def learn(self, purges: Iterable[Purged], now_ms: int) -> list[str]:
        """Forgets old ones. Returns the authors of those that are new."""
        oldest = first_id_at(now_ms - self._keep_ms)
        new = []
        for author_id, video_id, up_to_id in purges:
            if up_to_id >= oldest and up_to_id > self._up_to.get((author_id, video_id), 0):
                self._up_to[author_id, video_id] = up_to_id
                new.append(author_id)
        for author, up_to_id in list(self._up_to.items()):
            if up_to_id < oldest:
                del self._up_to[author]
        return new

    def bar(self, author_id: str, video_id: str, comment_id: int) -> bool:
        """Whether this comment of his is gone"""
        return comment_id <= max(self._up_to.get((author_id, video_id), 0), self._up_to.get((author_id, ALL_VIDEOS), 0))
