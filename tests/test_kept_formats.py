"""What disks, databases and clients hold of an earlier release: exact bytes, which every later release must read.

A test here fails when a release would no longer find what the one before has stored. Then the format needs a new name
beside the old one (as history/core/spool_format.py's MAGIC), not a new expectation. The spool's records are in
tests/history/core/test_spool_format.py, the layout of an id in tests/history/core/test_ids.py, the tables in
tests/history/sqlite/test_schema.py and tests/history/cassandra/test_schema.py.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from comment_service.core.body import AuthorFields
from comment_service.core.identity import AuthorLimits, author_of
from comment_service.node.claim import NODE_FILE
from comment_service.node.holding import HOLDER_FILE
from comment_service.publish.watermark import Saved, Watermark
from comment_service.write.idempotency import Key
from comment_service.write.key_claims import KeyClaims
from history.cassandra.tables import bucket_of
from history.core.holder import Holder
from history.core.ids import first_id_at
from history.core.keys import name_of_key
from history.core.model import Author, Comment, comment_json
from history.group_commit import GroupCommit
from history.opening import open_store
from history.spool.files import Spool
from rms.feed.position import Position, parse_position

T = 1_700_000_000_000
COMMENT = Comment(first_id_at(T) | 3 << 6 | 1, "demo", Author("guest:Ann", "Ann"), "h\u00e9llo", T + 2)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("AYvP5WgA", Position(first_id_at(T))),
        ("AYvP5WgAAMAAFH", Position(first_id_at(T), ((T + 5) << 16 | 3 << 6 | 7,))),
        (
            "AYvP5WgAAMAAFH_8APo_~AUAfQAAUAu4B!AYvP5X",
            Position(
                first_id_at(T),
                ((T + 5) << 16 | 3 << 6 | 7, (T + 1_000) << 16 | 1_023 << 6 | 63),
                (((T + 2_000) << 16 | 5 << 6, (T + 3_000) << 16 | 5 << 6 | 1),),
                0x18BCFE57 << 12,
            ),
        ),
    ],
)
def test_a_position_that_a_page_holds(text: str, position: Position) -> None:
    """A Last-Event-ID: pages that were open before a new release come back with it."""
    assert parse_position(text) == position
    assert str(position) == text


def test_an_id_of_a_release_before_positions() -> None:
    expected = Position(first_id_at(T - 10_000), (first_id_at(T),))
    assert parse_position("018bcfe568000000") == parse_position("018bcfe568000000.12.0123456789ab") == expected


def test_the_watermark(tmp_path: Path) -> None:
    file, watermark = tmp_path / "published-node3", Watermark(tmp_path, 3)
    watermark.write(0x018F3C4E5A6B7C8D)
    assert file.read_bytes() == b"018f3c4e5a6b7c8d\n"
    watermark.write(0x018F3C4E5A6B7C8D, clean=True)
    assert file.read_bytes() == b"018f3c4e5a6b7c8d clean\n"
    watermark.ids_up_to = 0x018F3C4E5A6B7CFF
    watermark.write(0x018F3C4E5A6B7C8D)
    assert file.read_bytes() == b"018f3c4e5a6b7c8d ids-up-to-018f3c4e5a6b7cff\n"
    watermark.settle(7, 9)
    assert file.read_bytes() == b"0000000000000007 clean ids-up-to-0000000000000009\n"
    file.write_bytes(b"018f3c4e5a6b7c8d clean later-words\n")
    assert watermark.read() == Saved(0x018F3C4E5A6B7C8D, clean=True)


async def test_the_names_of_a_spools_files(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, bytes_max=1_000, segment_bytes_max=500)
    await spool.append([COMMENT], {})
    assert sorted(os.listdir(tmp_path)) == ["000000000001.spool", "lock"]
    assert (tmp_path / "000000000001.spool").read_bytes()[:8] == b"LCspool1"
    await spool.close()


def test_the_names_of_a_nodes_files() -> None:
    assert (HOLDER_FILE, NODE_FILE) == ("holder", "node")
    assert str(Holder("3f9c", 7, "ab12")) == "3f9c.7.ab12"
    assert Holder.parse("3f9c") == ("3f9c", 0, ""), "of a release that knew no generations"


@pytest.mark.parametrize(
    ("key", "table", "name"),
    [
        ("key-1", "idempotency_keys", ["guest:Ann", "demo", "key-1"]),
        (
            "018bcfe5-6802-7abc-bdef-0123456789ab",
            "timed_claims",
            [T + 2, bytes.fromhex("29d0c263246f756cd0df31baa9affcbf")],
        ),
    ],
)
async def test_a_claim(tmp_path: Path, key: str, table: str, name: list[object]) -> None:
    """A retry may come after a new release has begun: the key and the text's digest must be the same."""
    store = await open_store(f"sqlite:{tmp_path / 'comments.db'}")
    claims = KeyClaims(
        store,
        lambda: store,
        86_400_000,
        lambda append: GroupCommit(append, batch_max=9, pending_max=9),
        lambda *_: None,
    )
    claims.submit(Key("guest:Ann", "demo", key), COMMENT, lambda _: None)
    await claims.close()
    await store.close()
    with closing(sqlite3.connect(tmp_path / "comments.db")) as file:
        (row,) = file.execute(f"SELECT * FROM {table}").fetchall()
    digest = bytes.fromhex("84d0b484be67bb49b9d4d0abe37535f5")
    assert list(row[:-1]) == [*name, COMMENT.id, COMMENT.created_at_ms, digest]


def test_where_cassandra_has_a_comment_and_a_key() -> None:
    assert name_of_key("guest:ann", "demo", "key-1").hex() == "7d2701357e8af990800920e657677512"
    assert bucket_of(COMMENT.id) == 1_700_000_000_000 // 600_000


def test_who_a_guest_is() -> None:
    """His comments are found and purged by it."""
    limits = AuthorLimits(characters_max=50, bytes_max=64)
    assert author_of(AuthorFields(name="Ann"), limits).id == "guest:Ann"
    long = author_of(AuthorFields(name="\u00e9" * 32), limits).id
    assert long == "guest:4bec8c794a984ae54121f89f5d9cdb6b"


def test_the_json_of_a_comment() -> None:
    """Of pages and streams. Fields may be added; these stay."""
    kept = {
        "id": "018bcfe5680000c1",
        "liveVideoId": "demo",
        "author": {"id": "guest:Ann", "name": "Ann"},
        "message": "h\u00e9llo",
        "createdAt": 1_700_000_000_002,
    }
    assert json.loads(comment_json(COMMENT)).items() >= kept.items()
