"""Both ways of writing to a real Cassandra store all that they count"""

from history.opening import open_reader
from scripts.benches.history_writes import VIDEO, Both
from tests.cassandra_fixture import cassandra, cassandra_url
from tests.scripts.benches.tiny import TINY

__all__ = ["cassandra", "cassandra_url"]


async def test_both_ways(cassandra_url: str) -> None:
    both = await Both.open(cassandra_url)
    reader = await open_reader(cassandra_url)
    single = await both.singles(TINY)
    assert len(await reader.newer(VIDEO, 0, 1_000)) == TINY.singles
    grouped = await both.grouped(TINY)
    assert len(await reader.newer(VIDEO, 0, 1_000_000)) >= TINY.singles + TINY.authors
    for rate in (single, grouped):
        assert rate.per_s > 0
        assert rate.cpu_us > 0
    await reader.close()
    await both.close()
