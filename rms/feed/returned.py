"""Which events of a feed's log have brought a comment back, and where a new viewer gets it.

Such an event has the comment's text: it is in the log for viewers who saw the comment go. If the feed began while the
comment was hidden, or would have got it then, the comment stands nowhere else in the log.

Rule: no clock, no socket.
"""

from array import array
from collections.abc import Iterable, Sequence


class Returned:
    __slots__ = ("_comments",)

    def __init__(self) -> None:
        self._comments: dict[int, int] = {}  # by event, of those in the log that aren't blank

    def add(self, event_id: int, comment_id: int) -> None:
        self._comments[event_id] = comment_id

    def forget(self, event_ids: Iterable[int]) -> None:
        """They are blank, or no longer in the log. Any other ids do no harm."""
        if self._comments:
            for event_id in event_ids:
                self._comments.pop(event_id, None)

    def comment_of(self, entry_id: int) -> int:
        """The comment whose text the entry has: the one that it restored, or itself"""
        return self._comments.get(entry_id, entry_id)

    def indices_of(self, comment_id: int, ids: "array[int]") -> list[int]:
        """Where the log may have the comment's text. ids: of the log's entries. Each is looked for once, as a look
        walks them all."""
        found = []
        for entry_id in (comment_id, *(event_id for event_id, to in self._comments.items() if to == comment_id)):
            try:
                found.append(ids.index(entry_id))
            except ValueError:
                continue
        return found

    def places(self, shown: Sequence[int], lowest_id: int) -> list[tuple[int, int]]:
        """For each comment from `lowest_id` on that stands nowhere else: the event that restored it, and how many of
        the shown ones it comes behind. In the order of ids; shown: the comments' ids, in the order of the log."""
        known = set(shown)
        back = {to: event_id for event_id, to in self._comments.items() if to >= lowest_id and to not in known}
        places = []
        for comment_id, event_id in sorted(back.items()):
            behind = next((number for number, each in enumerate(shown) if each > comment_id), len(shown))
            places.append((event_id, behind))
        return places
