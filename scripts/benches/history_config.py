"""Every number of the history bench: its unit, and why it is what it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HistorySettings:
    message: str = "What a match, did you see that? I can't believe it"  # 50 bytes: what people say in a chat
    connections: int = 200  # as the issue of the write path asks
    seconds: float = 5.0  # of each load; a run on two cores varies more than a second of it does
    warm_s: float = 1.5  # before it: Cassandra's JIT and the first flush
    jit_s: float = 30.0  # of grouped writes, posts and keyed posts each, before posts: see history.py, `create`
    singles: int = 20_000  # single inserts of one run: some seconds
    singles_concurrency: int = 200  # more gain nothing from one process of the driver
    authors: int = 5_000  # who wait at once for the write path; each has one comment under way
    batch_max: int = 1_000  # comments in one write: twice the service's default, for ten times its connections
    writes_max: int = 4  # writes at a time, the service's default
    depth: int = 1_000_000  # comments below which the deep page lies
    depth_step_ms: int = 10  # between two of them: 100 comments/s for three hours, 17 buckets
    depth_batch: int = 1_000  # comments in one append of the load
    depth_pages: int = 20  # reads of each page in a run, taken in turns; each by a session of its own
    page: int = 10  # comments in a page
    scroll_pages: int = 100
    past: int = 2_000  # comments that the video has before it is read: more than are scrolled through


HISTORY = HistorySettings()
QUICK = HistorySettings(
    connections=20,
    seconds=0.5,
    warm_s=0.2,
    jit_s=0.5,
    singles=500,
    authors=100,
    depth=2_000,
    depth_pages=5,
)
