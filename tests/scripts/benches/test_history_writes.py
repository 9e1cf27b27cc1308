"""Both ways of writing to a real Cassandra store all that they count"""

from pathlib import Path

from history.opening import open_reader
from scripts.benches.history_writes import VIDEO, Both, warm
from tests.cassandra_fixture import cassandra, cassandra_url
from tests.scripts.benches.tiny import TINY

__all__ = ["cassandra", "cassandra_url"]


async def test_both_ways_on_cassandra(cassandra_url: str) -> None:
    both = await Both.open(cassandra_url)
    reader = await open_reader(cassandra_url)
    grouped = await both.grouped(TINY)  # first: it also writes down that the bucket exists
    said = len(await reader.newer(VIDEO, 0, 1_000_000))
    assert said >= TINY.authors
    single = await both.singles(TINY)
    assert len(await reader.newer(VIDEO, 0, 1_000_000)) == said + TINY.singles
    for rate in (single, grouped):
        assert rate.per_s > 0
        assert rate.cpu_us > 0
    await reader.close()
    await both.close()


async def test_a_store_is_warmed_by_writes(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/comments.db"
    await warm(url, TINY)
    reader = await open_reader(url)
    assert len(await reader.newer(VIDEO, 0, 1_000)) >= TINY.authors
    await reader.close()
