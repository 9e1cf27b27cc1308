"""Every tunable number of the stores, with its unit and reason. The services take them as they are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a process uses its store. Processes that share a history may differ in any of these."""

    comments_keep_s: int = 0
    """How long a comment is kept, in seconds; 0: for ever. In Cassandra a time to live, in SQLite a sweep. A comment
    keeps the time that held when it was written (Cassandra) or that holds now (SQLite)."""

    erase_slice_max: int = 500
    """Comments that one step of erasing or sweeping takes: 10 ms of the one writer, so authors hardly notice it."""

    late_ms: int = 10_000
    """A comment that is appended so long after its id was given has waited in a spool or was resent. All processes are
    told of it, for they may have read past it; and in Cassandra it is looked up among the erased, with one or two reads
    for a batch. Twice the longest time of a request: a live comment, also one of a busy node, is never late."""

    late_videos_max: int = 16
    """Videos with late comments of which one append tells each by itself. With more it tells one stretch of all videos:
    else who posts each comment into another video while the store is away makes every process read as many rows."""

    late_notices_max: int = 20_000
    """Stretches that one reading of what came late gives. With more it gives one of everything, and whoever hears it
    forgets all that it kept. Draining tells some 100 a second, and each reading looks back 30 s: only who was cut off
    for minutes gets there."""

    sqlite_busy_timeout_ms: int = 5_000
    """How long a write waits for another process's write. One write with its fsync takes 1 to 30 ms, so only a store
    that is stuck gets here."""

    sqlite_readers: int = 4
    """Threads that read, each with its own connection. A page takes 0.1 ms of CPU; more than a few only help a cold
    disk."""

    sqlite_wal_bytes_max: int = 64 * 1024 * 1024
    """What the write-ahead log shrinks back to after a burst, in bytes."""

    cassandra_connect_timeout_ms: int = 3_000
    """For each host, at the start: five times what a busy node needs. A dead host answers at once, or never."""

    cassandra_request_timeout_ms: int = 5_000
    """For one request with all of its retries: longer than the pauses of a node that collects garbage (up to 1 s) and
    than the server's own limit for a write (2 s), shorter than the patience of an author who waits."""

    cassandra_second_try_ms: int = 500
    """When a node hasn't answered for so long, another one is asked as well, and the first answer counts: a node that
    is stuck costs half a second, not the whole time-out. Ten times a normal answer's time under load."""

    cassandra_schema_timeout_ms: int = 30_000
    """For making a table: all nodes have to agree on it."""

    cassandra_settle_ms: int = 5_000
    """How long a table that another process is just making may be unknown to requests, or make them fail in the
    server. Seen: 0.3 s."""

    cassandra_reconnect_ms: int = 1_000
    """Between two attempts to reach a node that was lost: after its return nobody waits longer than this, and one
    connection attempt a second costs nothing."""

    cassandra_heartbeat_ms: int = 5_000
    """How often a silent connection is asked whether it lives. A node that is stuck or cut off is noticed, and no
    longer used, after at most twice this."""

    cassandra_requests_max: int = 256
    """Requests in flight from this process; more would only wait in the server's queue (128 writes and reads at a time
    by default) and time out there."""

    cassandra_batch_bytes_max: int = 40 * 1024
    """Payload of one batch, in bytes: below the 50 KiB where a server refuses a batch by default."""

    cassandra_bucket_reads_max: int = 16
    """Partitions that one page reads at the same time, at most. A page of a quiet video comes from many buckets."""

    cassandra_authors_asked_max: int = 50
    """Authors of late comments that one request looks up among the barred. By ones a spool drains at 2,000/s."""

    cassandra_scan_ms: int = 60_000
    """Time of one bucket that is searched for an author's comments by one request: at 1,000 comments/s it filters
    60,000 rows, some 0.1 s, far below the server's limit for a read (5 s)."""

    cassandra_known_authors_max: int = 100_000
    """Pairs of author and video that this process remembers to have registered, about 25 MB. A forgotten one is
    registered again."""

    cassandra_known_buckets_max: int = 50_000
    """Buckets that this process remembers to have registered, about 10 MB. A forgotten one is registered again."""


NOTICES_KEPT_MS = 3_600_000
"""How far back a process can ask what was erased or came late, in milliseconds. NOT tunable: in Cassandra the time to
live of the rows that tell. Whoever was cut off from the store for longer has no copies left that are older."""

BUCKET_MS = 600_000
"""How much time one Cassandra partition of a video covers, in milliseconds. NOT tunable: a part of the schema. The
bucket of a comment is computed from its id, so with another width everything stored before is no longer found.

10 minutes: at 1,000 comments/s a partition gets 600,000 rows of about 120 bytes, 70 MB, within the 100 MB up to which
partitions are known to be comfortable."""
