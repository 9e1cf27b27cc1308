"""Keeps pages as the bytes that were sent, for the next request of the same page; bounded in bytes.

A page stays only while every run of comments that it was made from is unchanged (`history.core.runs.Validity`): a new
comment, an erased one, the end of a run's lifetime or its eviction drops it at once. So no page here is staler than
what history/cache/store.py would return. No clock: `now_s` is an argument.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from comment_service.http.whole_responses import Head
from history.core.runs import Validity

ENTRY_BYTES = 1_500
"""What Python's objects take beside the texts, rounded up"""

Name = tuple[str, bytes]
"""Path and query, as they came"""


@dataclass(frozen=True, slots=True)
class MadePage:
    body: bytes
    etag: str
    head: Head
    unchanged: Head
    """of the answer to who has it already"""
    validities: Sequence[Validity]

    def is_valid(self, now_s: float) -> bool:
        return all(now_s < validity.until_s for validity in self.validities)


@dataclass(frozen=True, slots=True)
class KeptPagesStatistics:
    hits: int
    bytes: int
    bytes_max: int


class KeptPages:
    """Belongs to one event loop."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pages: OrderedDict[Name, MadePage] = OrderedDict()  # the one used last is last
        self._bytes = 0
        self._hits = 0

    def find(self, name: Name, now_s: float) -> MadePage | None:
        page = self._pages.get(name)
        if page is None:
            return None
        if not page.is_valid(now_s):
            self._remove(name)
            return None
        self._pages.move_to_end(name)
        self._hits += 1
        return page

    def keep(self, name: Name, page: MadePage, now_s: float) -> None:
        """In place of an older one with that name. Not if it is no longer valid, or larger than all may be."""
        self._remove(name)
        size = _size(name, page)
        if not page.is_valid(now_s) or size > self._bytes_max:
            return
        self._pages[name] = page
        self._bytes += size
        while self._bytes > self._bytes_max:
            self._remove(next(iter(self._pages)))

    def statistics(self) -> KeptPagesStatistics:
        return KeptPagesStatistics(self._hits, self._bytes, self._bytes_max)

    def _remove(self, name: Name) -> None:
        page = self._pages.pop(name, None)
        if page is not None:
            self._bytes -= _size(name, page)


def _size(name: Name, page: MadePage) -> int:
    return ENTRY_BYTES + len(name[0]) + len(name[1]) + len(page.body)
