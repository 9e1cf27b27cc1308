"""Serialises batches of comments, because the driver is too slow at it.

The driver binds a prepared statement's values one by one, through an object for each row and a lookup for each column.
That costs more than all else that happens to a comment between the author and the socket. We know the columns' types
(schema.cql), and most of a batch is the same for all of its rows: so a row is a few short serialisations. All else
(routing, retries, the frame) is left to the driver.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from cassandra.query import BatchStatement, BatchType, PreparedStatement

from history.cassandra.tables import Partition
from history.core.ids import time_of
from history.core.model import Comment

COLUMNS = "id, author_id, author_name, message, created_at_ms, after_id"
INSERT_COMMENT = (
    f"INSERT INTO $keyspace.comments (video_id, bucket, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    "USING TIMESTAMP ? AND TTL ?"
)
ROW_BYTES = 80
"""A row's fixed part in a batch, rounded up"""

SPREAD_US = 1 << 24
"""A row's write timestamp is up to 17 s below its id's time, by a checksum of what it says. Cassandra decides cell by
cell, by the timestamp and then by the value: of two comments with one id and one timestamp a reader would get one's
name and the other's text. So one of them stands whole. Repeated, a comment gets the same timestamp."""

_int = struct.Struct(">i").pack
_bigint = struct.Struct(">q").pack


class SerialisedBatch(BatchStatement):  # type: ignore[misc]  # the driver ships no types
    """Rows of one prepared statement, as serialised values. Unlogged and idempotent."""

    def __init__(self, statement: PreparedStatement, routing_key: tuple[bytes, ...] | bytes) -> None:
        """routing_key: the partition whose nodes are asked first."""
        super().__init__(BatchType.UNLOGGED)
        self.is_idempotent = True
        self.keyspace = statement.column_metadata[0].keyspace_name
        self.routing_key = routing_key
        self._statement_id = statement.query_id

    def add_values(self, values: tuple[bytes, ...]) -> None:
        self._add_statement_and_params(True, self._statement_id, values)


class CommentBatch(SerialisedBatch):
    """Comments of one partition: one mutation, so all of them are stored, or none."""

    def __init__(self, insert: PreparedStatement, partition: Partition, ttl_s: int) -> None:
        """insert: INSERT_COMMENT, prepared."""
        video_id, bucket = partition
        self._partition = (video_id.encode(), _int(bucket))
        super().__init__(insert, self._partition)
        self._ttl = _int(ttl_s)
        self.size = 0
        """Bytes of its rows, at most"""

    def row_of(self, comment: Comment) -> tuple[bytes, ...]:
        """Raises UnicodeEncodeError for a lone surrogate."""
        author_id, name, message = comment.author.id.encode(), comment.author.name.encode(), comment.message.encode()
        return (
            *self._partition,
            _bigint(comment.id),
            author_id,
            name,
            message,
            _bigint(comment.created_at_ms),
            _bigint(comment.after_id),
            _bigint(row_us(comment.id, b"\n".join((author_id, name, message)))),
            self._ttl,
        )

    def add_row(self, row: tuple[bytes, ...], size: int) -> None:
        self.add_values(row)
        self.size += size


def comment_batches(
    insert: PreparedStatement, partition: Partition, comments: Sequence[Comment], *, bytes_max: int, ttl_s: int
) -> Iterator[CommentBatch]:
    """As few batches as possible, each of bytes_max at most, or of one comment."""
    batch = CommentBatch(insert, partition, ttl_s)
    for comment in comments:
        row = batch.row_of(comment)
        size = ROW_BYTES + len(row[0]) + len(row[3]) + len(row[4]) + len(row[5])
        if batch.size and batch.size + size > bytes_max:
            yield batch
            batch = CommentBatch(insert, partition, ttl_s)
        batch.add_row(row, size)
    yield batch


def row_us(event_id: int, said: bytes) -> int:
    """The write timestamp of the row of a comment or another event, which says that: see SPREAD_US"""
    return written_us(event_id) - zlib.crc32(said) % SPREAD_US


def written_us(comment_id: int) -> int:
    """The id's time as a write timestamp, in microseconds since 1970"""
    return time_of(comment_id) * 1000
