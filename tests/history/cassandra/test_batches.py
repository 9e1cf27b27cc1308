"""Batches hold what the driver would have put into them, and are cut where they must be"""

import io

import pytest
from cassandra.cqltypes import Int32Type, LongType, UTF8Type
from cassandra.protocol import BatchMessage, ColumnMetadata
from cassandra.query import BatchStatement, BatchType, PreparedStatement
from hypothesis import given, settings
from hypothesis import strategies as st

from history.cassandra.batches import ROW_BYTES, comment_batches, row_us
from history.cassandra.tables import bucket_of
from history.core.ids import ID_MAX
from history.core.model import Author, Comment

COLUMNS = {
    "video_id": UTF8Type,
    "bucket": Int32Type,
    "id": LongType,
    "author_id": UTF8Type,
    "author_name": UTF8Type,
    "message": UTF8Type,
    "created_at_ms": LongType,
    "after_id": LongType,
    "[timestamp]": LongType,
    "[ttl]": Int32Type,
}
INSERT = PreparedStatement(
    column_metadata=[ColumnMetadata("keyspace", "comments", name, type_) for name, type_ in COLUMNS.items()],
    query_id=b"the insert's id!",
    routing_key_indexes=[0, 1],
    query="INSERT",
    keyspace="keyspace",
    protocol_version=5,
    result_metadata=[],
    result_metadata_id=b"",
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
comments = st.builds(
    Comment,
    st.integers(0, ID_MAX),
    st.just("video"),
    st.builds(Author, texts, texts),
    texts,
    st.integers(0, 1 << 60),
    st.integers(0, ID_MAX),
)


def on_the_wire(batch: BatchStatement) -> bytes:
    out = io.BytesIO()
    BatchMessage(batch.batch_type, batch._statements_and_parameters, 6).send_body(out, 5)
    return out.getvalue()


@settings(max_examples=100, deadline=None)
@given(st.lists(comments, min_size=1, max_size=5), st.integers(0, 1 << 30))
def test_it_is_what_the_driver_would_send(said: list[Comment], ttl_s: int) -> None:
    partition = ("video", bucket_of(said[0].id) % (1 << 31))
    drivers = BatchStatement(BatchType.UNLOGGED)
    for each in said:
        author = each.author
        row = (
            *partition,
            each.id,
            author.id,
            author.name,
            each.message,
            each.created_at_ms,
            each.after_id,
            row_us(each.id, f"{author.id}\n{author.name}\n{each.message}".encode()),
            ttl_s,
        )
        drivers.add(INSERT, row)
    (ours,) = comment_batches(INSERT, partition, said, bytes_max=1_000_000, ttl_s=ttl_s)
    assert on_the_wire(ours) == on_the_wire(drivers)
    assert (ours.routing_key, ours.keyspace) == (drivers.routing_key, drivers.keyspace)
    assert ours.is_idempotent


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=30))
def test_batches_are_cut_in_order(sizes: list[int]) -> None:
    said = [Comment(n, "v", Author("a", "a"), "x" * size, 1) for n, size in enumerate(sizes)]
    batches = list(comment_batches(INSERT, ("v", 1), said, bytes_max=1_000, ttl_s=0))
    rows = [row for batch in batches for _, _, row in batch._statements_and_parameters]
    assert [int.from_bytes(row[2]) for row in rows] == list(range(len(sizes)))
    for batch in batches:
        assert batch.size == sum(ROW_BYTES + 3 + len(row[5]) for _, _, row in batch._statements_and_parameters)
        assert batch.size <= 1_000 or len(batch) == 1


def test_a_lone_surrogate_is_the_callers_fault() -> None:
    with pytest.raises(UnicodeEncodeError):
        list(comment_batches(INSERT, ("v", 1), [Comment(1, "v", Author("a", "a"), "\ud800", 1)], bytes_max=9, ttl_s=0))
