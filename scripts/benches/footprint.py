"""scripts/bench footprint: how many bytes on disk a comment takes in each store, for planning capacity."""

import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from history.config import BUCKET_MS
from history.core.ids import first_id_at
from history.core.model import Author, Comment
from history.opening import open_store
from history.store import StoreUnavailable
from scripts.benches.outage_cluster import BenchCluster, NodeNotUp
from scripts.benches.stopping import run_stoppable

RATE = 1_000
"""Comments/s of the one video: full partitions, as a hot video makes them"""

BATCH = 500
AUTHORS = 5_000
LETTERS = "etaoinshrdlucmfwypvbgkjqxz     "
DAY_S = 86_400


class Footprint(msgspec.Struct, frozen=True):
    store: str
    comments: int
    message_bytes: int
    bytes_on_disk: int  # of all tables, once flushed and compacted
    bytes_a_comment: float
    bucket_bytes: float  # of a Cassandra partition that a video of 1,000 comments/s fills; 0: it has none


def comments(count: int, message_bytes: int) -> Iterator[list[Comment]]:
    """In batches. Texts that can't be compressed better than people's."""
    chance = random.Random(7)
    start_ms = int(time.time() * 1000) - count * 1000 // RATE
    for begin in range(0, count, BATCH):
        batch = []
        for number in range(begin, min(count, begin + BATCH)):
            at_ms = start_ms + number * 1000 // RATE
            name = f"viewer-{chance.randrange(AUTHORS)}"
            text = "".join(chance.choices(LETTERS, k=chance.randrange(1, 2 * message_bytes)))
            batch.append(Comment(first_id_at(at_ms) + number % 1000, "footprint", Author(name, name), text, at_ms))
        yield batch


async def in_sqlite(count: int, message_bytes: int, folder: Path) -> Footprint:
    path = folder / "comments.db"
    await _write(f"sqlite:{path}", count, message_bytes)
    return _footprint("SQLite", count, message_bytes, path.stat().st_size)  # closing it has emptied the log


async def in_cassandra(count: int, message_bytes: int) -> Footprint:
    """Raises NodeNotUp."""
    async with BenchCluster(1) as cluster:
        await _write(cluster.url, count, message_bytes)
        for order in ("flush", "compact"):
            await cluster.nodetool(order, "bench")
        size = cluster.bytes_on_disk("bench")
    return _footprint("Cassandra, one replica", count, message_bytes, size, RATE * BUCKET_MS / 1000)


async def _write(url: str, count: int, message_bytes: int) -> None:
    store = await open_store(url)
    for batch in comments(count, message_bytes):
        await store.append(batch)
    await store.close()


def _footprint(store: str, count: int, message_bytes: int, size: int, bucket_comments: float = 0) -> Footprint:
    each = size / count
    return Footprint(store, count, message_bytes, size, each, each * bucket_comments)


async def _measure(count: int, message_bytes: int) -> list[Footprint]:
    with tempfile.TemporaryDirectory(prefix="bench-footprint-") as folder:
        return [await in_sqlite(count, message_bytes, Path(folder)), await in_cassandra(count, message_bytes)]


def footprint(count: int, message_bytes: int, json: Path | None) -> int:
    """The exit code"""
    try:
        measured = run_stoppable(_measure(count, message_bytes))
    except (NodeNotUp, StoreUnavailable, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; all that it started is ended", file=sys.stderr)
        return 130
    show(measured)
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(measured)) + b"\n")
    return 0


def show(measured: Sequence[Footprint]) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("store", no_wrap=True)
    for column in ("comments", "bytes each", "partition MB", "GB a day at 1,000/s"):
        table.add_column(column, justify="right")
    for each in measured:
        partition = f"{each.bucket_bytes / 1e6:.0f}" if each.bucket_bytes else "–"
        a_day = each.bytes_a_comment * RATE * DAY_S / 1e9
        table.add_row(each.store, f"{each.comments:,}", f"{each.bytes_a_comment:.0f}", partition, f"{a_day:.1f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"messages of {measured[0].message_bytes} letters on average, {AUTHORS:,} authors, one video")
