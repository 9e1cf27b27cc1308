"""Every tunable number of the stores, with its unit and reason. Services use them without options of their own."""

from dataclasses import dataclass
from typing import Protocol


class CassandraAccess(Protocol):
    """How a process shows Cassandra who it is, and how it knows Cassandra. Empty: not at all. What belongs together is
    given together: a user and one of the two forms of his password; certificate, key and authority."""

    @property
    def cassandra_user(self) -> str: ...
    @property
    def cassandra_password(self) -> str: ...
    @property
    def cassandra_password_file(self) -> str:
        """The password is its first line."""
        ...

    @property
    def cassandra_tls_ca(self) -> str:
        """A PEM file's name, as the next two; empty: no TLS."""
        ...

    @property
    def cassandra_tls_cert(self) -> str: ...
    @property
    def cassandra_tls_key(self) -> str: ...
    @property
    def cassandra_tls_check_host(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a process uses its store. Processes that share a history may differ in any of these."""

    comments_keep_s: int = 0
    """How long a comment is kept, in seconds; 0: for ever. Cassandra gives each comment a time to live when it is
    written; SQLite sweeps by the present setting."""

    erase_slice_max: int = 500
    """Comments in one step of erasing or sweeping: it takes 10 ms of SQLite's one writer, so authors hardly wait."""

    look_rows_max: int = 2_000
    """Rows that one call examines for comments that can be seen: 10 to 20 ms of a store. A stretch of 100,000 erased
    comments is walked in 50 calls, and no call holds up others."""

    late_ms: int = 10_000
    """A comment is late if it is appended so long after its id was given: it waited in a spool or was sent again. It is
    announced to all processes, for they may have read past it; in Cassandra it is also looked up among the erased, with
    one or two reads for a batch. Twice the longest time of a request: no live comment is late, even on a busy node."""

    late_videos_max: int = 16
    """Videos with late comments for which one append announces a stretch each. With more it announces one stretch of
    all videos: else an author who posts each comment into another video while the store is away makes every process
    read as many notices."""

    late_notices_max: int = 20_000
    """Notices of late comments that one call returns. If there are more it returns one of everything, and the caller
    drops all of its copies. Draining makes some 100 notices a second, and each call looks back 30 s: only a process
    that was cut off for minutes meets this limit."""

    change_notices_max: int = 2_000
    """Notices of changes in one page: some 1 MB, and 10 ms of a store. Whoever comes back after an outage in which
    100,000 comments were erased reads 50 pages."""

    video_notices_max: int = 5_000
    """Added or changed videos that one call returns. If there are more the caller forgets all that it knows of videos,
    and looks up again those that it needs. Calls come once a second and look back 30 s: a look costs less than reading
    more than 170 changes a second."""

    sqlite_busy_timeout_ms: int = 5_000
    """How long a write waits for another process's write. A write with its fsync takes 1 to 30 ms, so only a store that
    is stuck takes so long."""

    sqlite_readers: int = 4
    """Threads that read, each with its own connection. A page takes 0.1 ms of CPU, so more threads only help while the
    disk is cold."""

    sqlite_idle_ms: int = 10_000
    """After which connections that nobody reads with are closed. An open one keeps a failing disk from being unmounted
    and checked; opening takes 0.3 ms."""

    sqlite_wal_bytes_max: int = 64 * 1024 * 1024
    """Bytes to which the write-ahead log shrinks after a burst."""

    sqlite_fold_ms: int = 50
    """How long folding the log back waits for readers, while authors wait for it: a page takes 1 ms. During a backup,
    which reads for longer, it isn't folded; the next sweep tries again."""

    cassandra_access: CassandraAccess | None = None
    """None: in clear, and without a user"""

    cassandra_connect_timeout_ms: int = 3_000
    """For connecting to each host at the start: five times what a busy node needs. A dead host refuses at once, or
    never answers."""

    cassandra_request_timeout_ms: int = 5_000
    """For one request with all of its retries: longer than the pauses of a node that collects garbage (up to 1 s) and
    than the server's own limit for a write (2 s), shorter than the patience of an author who waits."""

    cassandra_second_try_ms: int = 500
    """When a node hasn't answered for so long, another one is asked too, and the first answer counts: a node that is
    stuck costs half a second, not the whole time-out. Ten times the normal time under load."""

    cassandra_lwt_ms: int = 5_000
    """How long the decision about one key that several requests claim may take; then only this key's request fails.
    Here as long as any request. It takes some 50 ms; a process that calls a store away after a shorter time sets it
    below that, or one slow decision would do it."""

    cassandra_schema_timeout_ms: int = 30_000
    """For making a table: all nodes have to agree on it."""

    cassandra_settle_ms: int = 5_000
    """How long a table that another process is just making may be unknown to requests, or make them fail in the
    server. Seen: 0.3 s."""

    cassandra_reconnect_ms: int = 1_000
    """Between two attempts to reach a lost node: after its return it is used within this time, and one attempt a second
    costs nothing."""

    cassandra_heartbeat_ms: int = 5_000
    """How often an idle connection is probed. A node that is stuck or cut off is noticed, and no longer used, after
    twice this at most."""

    cassandra_requests_max: int = 256
    """Requests in flight from this process. More would only wait in the server's queue (by default it does 128 writes
    and reads at a time) and time out there."""

    cassandra_batch_bytes_max: int = 40 * 1024
    """Payload of one batch, in bytes: below the 50 KiB where a server refuses a batch by default."""

    cassandra_bucket_reads_max: int = 16
    """Partitions that one page reads at the same time, at most. A quiet video's page comes from many buckets."""

    cassandra_authors_asked_max: int = 50
    """Authors of late comments that one request looks up among the barred. With one author in each request a spool
    drains at 2,000 comments/s."""

    cassandra_scan_ms: int = 60_000
    """Time of a bucket that one request searches for an author's comments: at 1,000 comments/s it filters 60,000 rows,
    some 0.1 s, far below the server's limit for a read (5 s)."""

    cassandra_known_authors_max: int = 100_000
    """Pairs of author and video that this process knows to be registered, about 25 MB. Any other is registered once
    more."""

    cassandra_known_buckets_max: int = 50_000
    """Buckets that this process knows to be registered, about 10 MB. Any other is registered once more."""


PURGE_FIRST_LOOK_MS = 60_000
"""How long after the order, in milliseconds, another process makes a purge's first look, if its own hasn't ended it: it
has died, or has much to do."""

PURGE_LOOKS_MS = (10_000, 60_000, 600_000, 3_600_000, 4 * 3_600_000)
"""When a purge looks again, in milliseconds after the order: soon for what was under way, and at last after the longest
of Cassandra's hints (3 h)."""

PURGE_LOOK_BACK_MS = 4 * 3_600_000
"""How old a comment may be at a purge's order and still become readable afterwards, in milliseconds: more than
Cassandra's hints. What comes later, from a spool, is refused. So the later looks needn't read years."""

EVICTED_MAX = 10_000
"""Ids that a cache remembers to have evicted, 2 MB: an append that was under way ends within 10 s."""

CHANGES_KNOWN_MAX = 100_000
"""Changes that a process remembers to have applied, 30 MB. Beyond these it applies some again, to no effect."""

SETTLED_MS = 2_000
"""After which nearly every comment can be read that has a smaller id than one that was read, in milliseconds: a write
takes up to a second, and synchronized clocks differ by some milliseconds. Pages behind younger comments are read from
the store, so a larger number costs busy videos more reads."""

PURGES_KEPT_MS = 6 * 3_600_000
"""How long processes remember purged authors, in milliseconds: longer than the last look of a purge (4 h), which finds
what became readable late."""

NAMED_MS = 86_400_000
"""How long the id of a purged author is kept at most, in milliseconds: in the orders that are being carried out, and in
the events that tell viewers whose comments go. Much longer than the last look (4 h) and any catch-up (11 min), so that
also a store that was away for a night gets its looks."""

NOTICES_KEPT_MS = 3_600_000
"""How long notices of erased and late comments can be read, in milliseconds. NOT tunable: in Cassandra it is the time
to live of their rows. A process that was cut off from the store for longer has no copies left that are older."""

BUCKET_MS = 600_000
"""The time that one Cassandra partition of a video covers, in milliseconds. NOT tunable: a part of the schema. The
bucket of a comment is computed from its id, so with another width everything stored before is no longer found.

10 minutes: at 1,000 comments/s a partition gets 600,000 rows of about 120 bytes, 70 MB, within the 100 MB up to which
partitions are known to be comfortable."""

BUCKET_KNOWN_MS = 2 * BUCKET_MS
"""After which a process registers a bucket once more, in milliseconds, if comments are kept for a time only: its row
lives as much longer than they do. A live bucket takes comments for 10 minutes, so nearly all are registered once."""

TTL_S_MAX = 20 * 365 * 86_400
"""The longest time to live that Cassandra takes, in seconds"""

ADOPTING_MS = 5_000
"""How long a start waits while another process holds what belongs to its node number, in milliseconds: one that is just
taking over what was left there. Reading 64 MiB of spool takes 2 s."""

ADOPTING_POLL_MS = 10
"""Between two looks whether it is free, in milliseconds. A look is one system call."""

DRAINED_AT_ONCE = 8
"""Videos whose spooled comments are written at the same time, each by itself, after a write of many has failed. If so
many fail and none is written, the store counts as away: that a few of a cluster's partitions fail, and just these are
tried, is rare, and the next step tries others."""
