"""How a comment_service writes to its store, does without it, and reads from it."""

from pathlib import Path

from pydantic import Field

from comment_service.node.claim import LeaseSettings
from history.cache.store import CacheSettings
from history.config import StoreSettings
from history.spool.settings import SpoolSettings
from proto.cassandra_settings import CassandraSettings


class StoringSettings(CassandraSettings):
    """Each with its unit and its reason"""

    store: str = Field(
        "sqlite:.data/comments.db", description="store: sqlite:PATH or cassandra://HOST[,HOST...][:PORT]/KEYSPACE"
    )
    state_dir: Path = Field(
        Path(".data/comment_service"),
        description="folder for the watermark, a few bytes that say from which comment on a killed process may have "
        "left some unpublished; also for the node number's lease, and the spool",
    )

    # Writing
    idempotency_entries_max: int = Field(
        50_000, ge=1, description="Idempotency-Keys kept in memory, 1 KB each: 50 s of 1,000 comments/s"
    )
    idempotency_keep_s: int = Field(86_400, ge=1, description="s an Idempotency-Key is kept: a night offline, and more")
    commit_batch_max: int = Field(
        500, ge=1, description="comments in one write: an fsync costs as much as writing some hundred of them"
    )
    commit_pending_max: int = Field(
        10_000, ge=1, description="comments waiting for a write, then 503: at 5,000/s they already wait 2 s"
    )
    commit_writes_max: int = Field(
        4, ge=1, description="writes at the same time; a second begins only if the first is slow, or a full one waits"
    )
    commit_gather_ms: int = Field(
        10,
        ge=0,
        description="ms between the beginnings of two writes that aren't full: what comes close together is written, "
        "published and delivered together. With many videos each step costs more than a comment; nobody sees 10 ms",
    )
    commit_patience_ms: int = Field(
        20,
        ge=0,
        description="ms until a write counts as slow and another begins beside it: several times what a healthy store "
        "needs, for one large write costs less than two small ones",
    )
    store_retry_max_ms: int = Field(5_000, ge=100, description="ms between two attempts to open a store that is away")

    # While the store is away
    spool_dir: Path | None = Field(
        None, description="folder for comments accepted while the store is away; default: spool in --state-dir"
    )
    spool_bytes_max: int = Field(
        67_108_864,
        ge=0,
        description="bytes in the spool, then 503: 5 minutes of 1,000 comments/s; takes three times as much memory; "
        "0: no spool",
    )
    spool_segment_bytes_max: int = Field(
        4_194_304, ge=65_536, description="bytes in one file of the spool, removed as a whole: drained in half a second"
    )
    store_slow_ms: int = Field(
        700, ge=10, description="ms an author waits for the store, then the spool takes the comment: below 1 s"
    )
    store_check_ms: int = Field(
        200, ge=0, description="ms /health repeats what it knows of the store: its requests ask it 5 times/s at most"
    )
    drain_retry_min_ms: int = Field(
        100, ge=1, description="ms before a store that is away is tried again, doubling with each failure"
    )
    drain_retry_max_ms: int = Field(2_000, ge=1, description="ms at most between tries: until a returned store is used")
    drain_quick_writes: int = Field(
        3,
        ge=1,
        description="writes from the spool in a row that took less than half of --store-slow-ms, until authors wait "
        "for the store again: a store is slow just after its start",
    )
    drain_batch: int = Field(
        500, ge=1, description="comments in one write from the spool: as many as in the largest write of authors"
    )
    comments_keep_s: int = Field(
        0,
        ge=0,
        description="s a comment is kept; 0: for ever. In Cassandra it is the time to live of what is written from now "
        "on; SQLite is swept",
    )
    sweep_s: int = Field(600, ge=1, description="s between two sweeps of what has expired in SQLite; takes ms")

    # Node number
    node_lease_ms: int = Field(
        30_000, ge=3_000, description="ms a claim on the number lasts: three times --node-renew-ms"
    )
    node_renew_ms: int = Field(10_000, ge=100, description="ms between renewals; each is one small write")
    node_retry_ms: int = Field(500, ge=10, description="ms between tries to claim the number while the store is away")
    node_wait_ms: int = Field(
        3_000, ge=0, description="ms a start waits for store and claim, which takes 50; then the spool takes comments"
    )

    # Reading
    cache_bytes_max: int = Field(
        67_108_864, ge=1_048_576, description="bytes of comments cached for readers: about 100,000 of them"
    )
    cache_pages_bytes_max: int = Field(
        16_777_216, ge=0, description="bytes of whole pages kept beside that: about 4,000 pages of 10 comments"
    )
    cache_read_comments: int = Field(
        200, ge=1, description="comments in one read of the store: 20 pages of 10, for most readers who scroll go on"
    )
    cache_reads_max: int = Field(
        5,
        ge=1,
        description="reads of the store for one page: each examines 2,000 rows at most, so where all is erased a page "
        "takes 0.1 s and comes with fewer comments and a nextCursor",
    )
    cache_late_ms: int = Field(
        15_000,
        ge=0,
        description="ms until a comment of another node is readable: the longest write, and clocks that differ. Only "
        "older pages are closed. Not below 10,000, from which on stores report late comments",
    )
    cache_tip_ms: int = Field(2_000, ge=1, description="ms the newest page may lack what other nodes accepted")
    cache_closed_ms: int = Field(
        600_000,
        ge=1,
        description="ms a closed page is kept, here and by a CDN: so long a hidden or erased comment may stay there, "
        "and a restored one be missing",
    )

    def lease_settings(self) -> LeaseSettings:
        return LeaseSettings(self.node_lease_ms, self.node_renew_ms, self.node_retry_ms, self.node_wait_ms)

    def store_settings(self) -> StoreSettings:
        return StoreSettings(
            comments_keep_s=self.comments_keep_s, cassandra_access=self, cassandra_lwt_ms=self.store_slow_ms // 2
        )

    def spool_settings(self) -> SpoolSettings:
        return SpoolSettings(
            slow_ms=self.store_slow_ms,
            retry_min_ms=self.drain_retry_min_ms,
            retry_max_ms=self.drain_retry_max_ms,
            drain_batch=self.drain_batch,
            quick_writes=self.drain_quick_writes,
            keys_keep_ms=self.idempotency_keep_s * 1000,
            check_ms=self.store_check_ms,
        )

    def cache_settings(self) -> CacheSettings:
        return CacheSettings(
            bytes_max=self.cache_bytes_max,
            read_comments=self.cache_read_comments,
            reads_max=self.cache_reads_max,
            late_ms=self.cache_late_ms,
            tip_ms=self.cache_tip_ms,
            closed_ms=self.cache_closed_ms,
        )

    def spool_folder(self, node: int) -> Path:
        """Each node number has its own: two processes that share --spool-dir have different ones."""
        return (self.spool_dir or self.state_dir / "spool") / f"node{node}"
