"""Moderating in SQLite: each call is one transaction, so a change, its event and its notice come together.

An erased comment's row stays, with nothing in it; one that was never stored gets such a row. So an append finds a row
with its id, and changes nothing. Overwritten bytes are zeroed in the file (`secure_delete`); the write-ahead log may
hold them until it is folded back (sqlite/sweeping.py).
"""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import itemgetter

from history.clocks import wall_ms
from history.config import NAMED_MS, StoreSettings
from history.core.ids import first_id_at
from history.core.log_rows import LogRow, taken_ids
from history.core.model import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Change, Comment, State, stands_as
from history.core.purges import Purge, author_hash
from history.sqlite.file import WriteFile
from history.sqlite.notices import announce_changes
from history.store import IdTaken

ERASE = """
INSERT INTO comments (video_id, id, author_id, author_name, message, created_at_ms, state, target_id)
VALUES (?, ?, '', '', '', 0, 2, ?)
ON CONFLICT (video_id, id) DO UPDATE SET author_id = '', author_name = '', message = '', state = 2,
    target_id = max(target_id, excluded.target_id)
WHERE kind = ''
"""
SET_STATE = """
UPDATE comments SET state = ?1, changed_id = ?2
WHERE video_id = ?3 AND id = ?4 AND kind = '' AND state <> 2 AND changed_id < ?2
"""
LOG = """
INSERT INTO comments
    (video_id, id, author_id, author_name, message, created_at_ms, kind, target_id, up_to_id, data, after_id)
VALUES (?, ?, ?, '', '', 0, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
BAR = """
INSERT INTO barred VALUES (?, ?, ?)
ON CONFLICT (author, video_id) DO UPDATE SET up_to_id = max(up_to_id, excluded.up_to_id)
"""
IS_ANY_BARRED = "SELECT EXISTS (SELECT 1 FROM barred WHERE up_to_id >= ?)"
BARRED_UP_TO = "SELECT max(up_to_id) FROM barred WHERE author = ? AND video_id IN (?, '')"
BEGIN_PURGE = "INSERT INTO purges VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
PURGES = "SELECT id, author_id, video_id, up_to_id, looks FROM purges WHERE id >= ?"
NOTE_LOOK = "UPDATE purges SET looks = max(looks, ?) WHERE id = ?"
END_PURGE = "DELETE FROM purges WHERE id = ?"
COMMENTS_OF = """
SELECT video_id, id FROM comments WHERE author_id = ? AND (video_id, id) > (?, ?) AND id BETWEEN ? AND ? AND kind = ''
ORDER BY video_id, id LIMIT ?
"""
COMMENTS_OF_IN_VIDEO = """
SELECT video_id, id FROM comments
WHERE author_id = ? AND video_id = ? AND id > ? AND id BETWEEN ? AND ? AND kind = '' ORDER BY id LIMIT ?
"""
STANDING = "SELECT id, kind, target_id, up_to_id FROM comments WHERE video_id = ? AND id = ?"
SWEEP_NAMES = """
UPDATE comments SET author_id = '' WHERE (video_id, id) IN (
    SELECT video_id, id FROM comments WHERE kind <> '' AND author_id <> '' AND id < ? LIMIT ?
)
"""
SWEEP_PURGES = "DELETE FROM purges WHERE id IN (SELECT id FROM purges WHERE id < ? LIMIT ?)"


class SqliteModerating:
    """`history.store.Moderating` but for `find`"""

    def __init__(self, file: WriteFile, settings: StoreSettings) -> None:
        self._file = file
        self._settings = settings

    async def apply(self, changes: Sequence[Change]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for change in changes:
                if change.kind == ERASED:
                    connection.execute(ERASE, (change.video_id, change.target_id, stands_as(change)))
                elif change.kind in (HIDDEN, RESTORED):
                    state = State.HIDDEN if change.kind == HIDDEN else State.VISIBLE
                    connection.execute(SET_STATE, (state, change.id, change.video_id, change.target_id))
            if connection.executemany(LOG, map(_log_row, changes)).rowcount < len(changes):
                _refuse_taken(connection, changes)
            announce_changes(connection, changes, wall_ms())

        if changes:
            await self._file.write(work)

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        rows = [(video_id, comment_id, 0) for comment_id in ids]
        if rows:
            await self._file.write(lambda connection: connection.executemany(ERASE, rows).rowcount)

    async def begin_purge(self, purge: Purge) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(BAR, (author_hash(purge.author_id), purge.video_id, purge.up_to_id))
            connection.execute(BEGIN_PURGE, (purge.id, purge.author_id, purge.video_id, purge.up_to_id, purge.looks))
            notice = Change(purge.id, purge.video_id, AUTHOR_PURGED, author_id=purge.author_id, up_to_id=purge.up_to_id)
            announce_changes(connection, [notice], wall_ms())

        await self._file.write(work)

    async def purges(self, now_ms: int) -> list[Purge]:
        return [Purge(*row) for row in await self._file.query(PURGES, (first_id_at(now_ms - NAMED_MS),))]

    async def note_look(self, purge: Purge) -> None:
        await self._file.write(lambda connection: connection.execute(NOTE_LOOK, (purge.looks, purge.id)).rowcount)

    async def end_purge(self, purge: Purge) -> None:
        """Nothing but the comments themselves leads from an author to a video here."""
        await self._file.write(lambda connection: connection.execute(END_PURGE, (purge.id,)).rowcount)

    async def comments_of(
        self, author_id: str, video_id: str | None, from_id: int, up_to_id: int
    ) -> AsyncIterator[tuple[str, list[int]]]:
        limit = self._settings.erase_slice_max
        query = COMMENTS_OF if video_id is None else COMMENTS_OF_IN_VIDEO
        last = (video_id or "", 0)
        while True:
            rows = await self._file.query(query, (author_id, *last, from_id, up_to_id, limit))
            for of_video, found in groupby(rows, itemgetter(0)):
                yield of_video, [comment_id for _, comment_id in found]
            if len(rows) < limit:
                return
            last = rows[-1][0], rows[-1][1]


def without_barred(connection: sqlite3.Connection, comments: Sequence[Comment]) -> Sequence[Comment]:
    """What may be stored. Within the comments' own transaction, so no purge comes between."""
    lowest = min((comment.id for comment in comments), default=0)
    if not connection.execute(IS_ANY_BARRED, (lowest,)).fetchone()[0]:
        return comments
    up_to: dict[tuple[str, str], int] = {}
    for name in {(comment.author.id, comment.video_id) for comment in comments}:
        (found,) = connection.execute(BARRED_UP_TO, (author_hash(name[0]), name[1])).fetchone()
        up_to[name] = found or 0
    return [comment for comment in comments if comment.id > up_to[comment.author.id, comment.video_id]]


def sweep_names(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` names of purged authors from events, and returns how many it has deleted."""
    return connection.execute(SWEEP_NAMES, (first_id_at(now_ms - NAMED_MS), limit)).rowcount


def sweep_purges(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` purges that nobody has ended, and returns how many it has deleted."""
    return connection.execute(SWEEP_PURGES, (first_id_at(now_ms - NAMED_MS), limit)).rowcount


def _log_row(change: Change) -> tuple[object, ...]:
    """Of a restored comment the data isn't kept twice."""
    data = b"" if change.kind == RESTORED else change.data
    about = (change.kind, change.target_id, change.up_to_id, data, change.after_id)
    return change.video_id, change.id, change.author_id, *about


def _refuse_taken(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Raises IdTaken, unless the same changes stand there already."""
    rows = {}
    for change in changes:
        for id_, kind, target_id, up_to_id in connection.execute(STANDING, (change.video_id, change.id)):
            rows[change.video_id, id_] = LogRow(id_, "", "", "", 0, 0, kind, target_id, up_to_id)
    if taken := taken_ids(rows, changes):
        raise IdTaken(taken)
