"""scripts/bench footprint: measures how many bytes on disk a comment takes in each store, for planning capacity."""

from history.config import BUCKET_MS
from scripts.benches.config import HISTORY
from scripts.benches.stores import STORES, a_store, write_texts
from scripts.benches.table import console, table

RATE = 1_000
"""Comments/s of the one video: full partitions, as a hot video makes them"""

DAY_S = 86_400


async def footprint(comments: int, message_bytes: int) -> bool:
    """Shows them. Raises BenchFailed, StoreUnavailable."""
    rows = []
    for kind in STORES:
        async with a_store(kind) as store:
            await write_texts(store.url, comments, message_bytes, RATE, HISTORY)
            rows.append(row(kind, await store.bytes_on_disk() / comments))
    columns = ("store", "bytes a comment", "MB of ten minutes", "GB of a day")
    title = f"{comments:,} comments of {message_bytes} letters on average, {RATE:,}/s in one video"
    console().print(table(title, columns, rows))
    return True


def row(kind: str, each_bytes: float) -> tuple[str, ...]:
    """Ten minutes are a Cassandra partition."""
    bucket_mb, day_gb = RATE * BUCKET_MS / 1000 * each_bytes / 1e6, RATE * DAY_S * each_bytes / 1e9
    return (kind, f"{each_bytes:.0f}", f"{bucket_mb:.0f}", f"{day_gb:.1f}")
