"""What reading a video's log has in common for both stores: from rows to comments, and to events."""

from collections.abc import Sequence

from history.config import StoreSettings
from history.core.ids import ID_MAX
from history.core.log_rows import LogRow, Looking, comment_of, event_of, is_visible, restored_ids, with_restored
from history.core.model import Comments, Event


class LogReader:
    """`history.store.Log` but for `check` and `close`. A store derives its reader from this, and reads rows."""

    _settings: StoreSettings

    async def rows(self, video_id: str, bound: int, limit: int, *, newest_first: bool) -> Sequence[LogRow]:
        """Up to `limit` rows, at least 1, from the id `bound` on (it included), in that order. Fewer: there are no
        more. Raises StoreUnavailable."""
        raise NotImplementedError

    async def rows_of(self, video_id: str, ids: Sequence[int]) -> Sequence[LogRow]:
        """The rows with these ids, in any order. Raises StoreUnavailable."""
        raise NotImplementedError

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        return await self._look(video_id, _newest(before), limit, newest_first=True)

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        if after >= ID_MAX:
            return Comments([], None)
        return await self._look(video_id, after + 1, limit, newest_first=False)

    async def events(self, video_id: str, after: int, limit: int) -> list[Event]:
        if after >= ID_MAX:
            return []
        return await self._events(video_id, after + 1, limit, newest_first=False)

    async def events_before(self, video_id: str, before: int | None, limit: int) -> list[Event]:
        return await self._events(video_id, _newest(before), limit, newest_first=True)

    async def _look(self, video_id: str, bound: int, limit: int, *, newest_first: bool) -> Comments:
        if limit <= 0:
            return Comments([], None)
        looking = Looking(video_id, limit, self._settings.look_rows_max)
        while True:
            rows = await self.rows(video_id, bound, looking.size, newest_first=newest_first)
            if (found := looking.take(rows)) is not None:
                return found
            bound = rows[-1].id + (-1 if newest_first else 1)

    async def _events(self, video_id: str, bound: int, limit: int, *, newest_first: bool) -> list[Event]:
        if limit <= 0:
            return []
        rows = await self.rows(video_id, bound, limit, newest_first=newest_first)
        events = [event_of(video_id, row) for row in rows]
        if ids := restored_ids(events):
            found = await self.rows_of(video_id, ids)
            visible = {row.id: comment_of(video_id, row) for row in found if is_visible(row)}
            return with_restored(events, visible)
        return events


def _newest(before: int | None) -> int:
    return ID_MAX if before is None else min(before - 1, ID_MAX)
