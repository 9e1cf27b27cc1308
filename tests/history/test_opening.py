"""A store's URL is understood or refused with the right form; nothing else is guessed."""

from pathlib import Path

import pytest

from history.opening import CassandraUrl, InvalidStoreUrl, SqliteUrl, open_reader, open_store, parse_store_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:comments.db", SqliteUrl(Path("comments.db"))),
        ("sqlite:/var/lib/a b/ü.db", SqliteUrl(Path("/var/lib/a b/ü.db"))),
        ("cassandra://db/chat", CassandraUrl(("db",), 9042, "chat")),
        ("cassandra://10.0.0.1,db-2.example:9999/c_1", CassandraUrl(("10.0.0.1", "db-2.example"), 9999, "c_1")),
    ],
)
def test_urls(url: str, expected: SqliteUrl | CassandraUrl) -> None:
    assert parse_store_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("", "sqlite:", "sqlite::memory:", "sqlite:a\0b", "comments.db", "postgres://db/chat", "cassandra://"),
        *("cassandra://db", "cassandra://db/", "cassandra:///chat", "cassandra://db:0/chat", "cassandra://db:65536/c"),
        *("cassandra://db/Chat", "cassandra://db/1chat", "cassandra://db/chat;", "cassandra://db/" + "c" * 49),
        *("cassandra://a,,b/chat", "cassandra://db:9042:1/chat", "cassandra://db/chat\n", "x" * 10_000),
    ],
)
async def test_what_names_no_store(url: str) -> None:
    for opening in (open_store, open_reader):
        with pytest.raises(InvalidStoreUrl, match="cassandra://HOST") as refused:
            await opening(url)
        assert len(str(refused.value)) < 500
