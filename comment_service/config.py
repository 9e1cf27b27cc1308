"""Every number of a comment_service, with its unit and its reason. No other file of the service holds one."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from comment_service.core.admission import Admission
from comment_service.core.identity import AuthorLimits
from comment_service.core.outbox import OutboxLimits
from comment_service.core.pacing import Pacing
from comment_service.http.app import HttpLimits
from comment_service.http.pages import PageSettings
from comment_service.http.videos import VideoLimits
from comment_service.moderate.purging import PurgeSettings
from comment_service.node.claim import LeaseSettings
from comment_service.publish.publisher import PublishSettings
from comment_service.publish.replicas import Keepalive
from comment_service.videos.gate import GateSettings, Verdict
from history.cache.store import CacheSettings
from history.config import StoreSettings
from history.core.ids import NODES
from history.spool.settings import SpoolSettings
from proto.clock_watch import ClockSettings
from proto.http_settings import HttpSettings
from proto.replicas import DispatcherSettings
from proto.settings import Address


def _node(value: object) -> int | str:
    if value == "auto":
        return "auto"
    if isinstance(value, int | str) and re.fullmatch("[0-9]{1,4}", str(value)) and int(value) < NODES:
        return int(value)
    raise ValueError(f"0 to {NODES - 1}, or auto")


class Config(HttpSettings, DispatcherSettings, ClockSettings):
    """One comment_service: accepts comments, serves pages of them, and sends viewers to their RMS node."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_COMMENT_SERVICE_")

    listen: Address = Field("127.0.0.1:8000", description="host:port for HTTP; port 0 takes a free one and logs it")
    node: Annotated[int | Literal["auto"], BeforeValidator(_node)] = Field(
        0,
        description="number of this process, 0 to 1023, unique among all that share a store: it is a part of each "
        "comment's id, so two processes with the same number could give one id to two comments. auto takes a free "
        "number, and needs a --state-dir of its own",
    )
    store: str = Field(
        "sqlite:.data/comments.db", description="store: sqlite:PATH or cassandra://HOST[,HOST...][:PORT]/KEYSPACE"
    )
    state_dir: Path = Field(
        Path(".data/comment_service"),
        description="folder for the watermark, a few bytes that say from which comment on a killed process may have "
        "left some unpublished; also for the node number's lease, and the spool",
    )
    cors_origins: str = Field(
        "*", description="origins whose pages may use the API, with cookies too, comma between; *: all, without cookies"
    )
    admin_token: str = Field(
        "",
        description="operator's token, for `Authorization: Bearer`; without one erasing is off, and anybody may "
        "create, start and end videos. Better set it in the environment: all users of a machine can see its flags",
    )

    # Videos
    ended_videos: Verdict = Field(
        "refuse", description="comments on a video that has ended: refuse (409), or accept as comments on a recording"
    )
    unknown_videos: Verdict = Field(
        "accept", description="comments on a video that nobody has created: accept, for a try-out, or refuse (404)"
    )
    video_news_ms: int = Field(
        1_000, ge=1, description="ms between two queries for what others changed: so long after an end comments come"
    )
    video_look_ms: int = Field(
        250, ge=1, description="ms an author waits for a video's state, which takes 1; then the comment is accepted"
    )
    videos_known_max: int = Field(
        50_000, ge=1, description="videos whose state is remembered, 250 bytes each; others are looked up again"
    )
    title_characters_max: int = Field(200, ge=1, description="characters in a video's title: two lines on a phone")

    # What a comment may be
    message_characters_max: int = Field(500, ge=1, description="characters in a message: what a viewer reads in 5 s")
    message_bytes_max: int = Field(2_000, ge=1, description="bytes of UTF-8 in a message: 500 longest characters")
    author_characters_max: int = Field(64, ge=1, le=128, description="characters in an author's id or name")
    author_bytes_max: int = Field(
        128, ge=64, le=128, description="bytes of UTF-8 in an author's id or name; dispatchers take 128 at most"
    )

    # Requests
    body_bytes_max: int = Field(
        16_384, ge=1024, description="bytes in a body: the longest comment with every character escaped has 7 KB"
    )
    body_timeout_ms: int = Field(
        10_000, ge=100, description="ms until a body must be complete: 2 KB in 10 s is slower than any phone"
    )
    pagesize_default: int = Field(10, ge=1, description="comments in a page if the request doesn't say")
    pagesize_max: int = Field(100, ge=1, description="comments in a page at most: about 50 KB")
    retry_after_min_s: int = Field(1, ge=0, description="s, least Retry-After of a 503: a dispatcher is back in 2")
    retry_after_max_s: int = Field(5, ge=0, description="s, greatest Retry-After: clients that wait return spread out")
    idempotency_entries_max: int = Field(
        50_000, ge=1, description="Idempotency-Keys kept in memory, 1 KB each: 50 s of 1,000 comments/s"
    )
    idempotency_keep_s: int = Field(86_400, ge=1, description="s an Idempotency-Key is kept: a night offline, and more")

    # Writing
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
        3_000, ge=0, description="ms a start waits for its claim, which takes 50; then it accepts comments without one"
    )

    # Moderating
    moderate_published_ms: int = Field(
        3_000,
        ge=0,
        description="ms an order waits until viewers' nodes have it, which takes 10, or a lease (2 s) if one has died; "
        "then 202",
    )
    purge_pause_ms: int = Field(
        50, ge=0, description="ms of pause after each 500 purged comments: 10,000/s, so live ones aren't held up"
    )
    purge_drained_ms: int = Field(
        5_000, ge=0, description="ms the purge of an author waits for this process's spool to be empty; then 503"
    )
    purge_poll_ms: int = Field(
        5_000,
        ge=1,
        description="ms between two queries for purges to carry on: half of the first pause (10 s); two small reads",
    )
    forget_ms: int = Field(
        1_000, ge=1, description="ms between two queries for what others changed: so long it may still be read here"
    )
    forget_overlap_ms: int = Field(
        30_000, ge=0, description="ms such a query goes back further: more than nodes' clocks differ; a small read"
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

    # Dispatchers
    publish_batch_max: int = Field(1_000, ge=1, le=1_000, description="events in one publish; dispatchers refuse more")
    publish_batch_bytes_max: int = Field(3 << 20, ge=4_096, le=3 << 20, description="bytes in one publish, likewise")
    publish_in_flight_max: int = Field(
        64, ge=1, description="unanswered batches: as many as a dispatcher works on; more would only wait there"
    )
    publish_pace_after: int = Field(
        32, ge=0, description="unanswered batches above which the next one waits: nodes acknowledge after 10 ms or more"
    )
    publish_window_ms: int = Field(
        10_500,
        ge=0,
        description="ms that all these pauses last, each longer than the one before, the last 1 s: longer than a "
        "dispatcher waits for a node that acknowledges late (10 s), so viewers of the others don't wait for it",
    )
    publish_ack_timeout_ms: int = Field(
        12_000,
        ge=100,
        description="ms for an answer to a batch, then its replica is left: longer than a dispatcher waits for a node "
        "(10 s); keepalive finds a dead replica long before",
    )
    publish_look_ms: int = Field(
        1_000, ge=10, description="ms between questions to replicas which nodes they reach; two may change the replica"
    )
    publish_backlog_max: int = Field(
        100_000, ge=1, description="unanswered events: 100 s of 1,000/s; beyond, nodes read history instead"
    )
    publish_backlog_bytes_max: int = Field(
        100_663_296, ge=4_096, description="their bytes in memory: 100,000 events of 600, or 25,000 of the longest"
    )
    publish_videos_max: int = Field(
        100_000,
        ge=1,
        description="videos of which the last event is remembered, some 15 MB: the next one is chained to it, so that "
        "nodes see what they missed; for another video they may read history once",
    )
    connect_timeout_ms: int = Field(1_000, ge=50, description="ms to connect to a replica, then the next one is tried")
    backoff_min_ms: int = Field(
        100, ge=1, description="ms before all replicas are tried again, doubling; a restart takes about 500"
    )
    backoff_max_ms: int = Field(2_000, ge=1, description="ms at most between tries: until a returned replica is found")
    keepalive_ms: int = Field(1_000, ge=100, description="ms between pings to a replica: a dead one is left after 2 s")
    keepalive_timeout_ms: int = Field(1_000, ge=100, description="ms for the answer to a ping")
    watermark_ms: int = Field(
        100, ge=1, description="ms between two saves of the watermark: nodes read so much again after a kill"
    )
    lookback_s: int = Field(
        60,
        ge=0,
        description="s of history that nodes read if there is no watermark (a new disk): longer than a restart",
    )
    place_try_timeout_ms: int = Field(500, ge=10, description="ms for one replica to place a viewer, which takes 1")
    place_timeout_ms: int = Field(2_000, ge=10, description="ms for a placement by any replica: a person is waiting")

    # Ending
    stop_requests_s: int = Field(5, ge=1, description="s after SIGTERM for requests under way")
    stop_backlog_ms: int = Field(
        3_000, ge=0, description="ms after that to publish the backlog; the next process's catch-up covers the rest"
    )

    @model_validator(mode="after")
    def _limits_fit_together(self) -> Self:
        if self.retry_after_max_s < self.retry_after_min_s:
            raise ValueError("--retry-after-max-s is below --retry-after-min-s")
        if self.pagesize_max < self.pagesize_default:
            raise ValueError("--pagesize-max is below --pagesize-default")
        if self.cache_late_ms < (late_ms := self.store_settings().late_ms):
            raise ValueError(f"--cache-late-ms is below {late_ms}, from which on stores report late comments")
        return self

    def admission(self) -> Admission:
        return Admission(self.message_characters_max, self.message_bytes_max, self.author_limits())

    def author_limits(self) -> AuthorLimits:
        return AuthorLimits(self.author_characters_max, self.author_bytes_max)

    def http_limits(self) -> HttpLimits:
        return HttpLimits(self.body_bytes_max, self.body_timeout_ms)

    def page_settings(self) -> PageSettings:
        late_ms = self.cache_late_ms + self.cache_tip_ms  # a page may come from a copy that is so old
        return PageSettings(self.pagesize_default, self.pagesize_max, late_ms, self.cache_closed_ms)

    def video_limits(self) -> VideoLimits:
        return VideoLimits(
            body_bytes_max=self.body_bytes_max,
            body_timeout_ms=self.body_timeout_ms,
            title_characters_max=self.title_characters_max,
            author=self.author_limits(),
            pagesize_default=self.pagesize_default,
            pagesize_max=self.pagesize_max,
        )

    def gate_settings(self) -> GateSettings:
        return GateSettings(
            ended=self.ended_videos,
            unknown=self.unknown_videos,
            news_ms=self.video_news_ms,
            overlap_ms=self.forget_overlap_ms,
            look_ms=self.video_look_ms,
            videos_max=self.videos_known_max,
        )

    def purge_settings(self) -> PurgeSettings:
        return PurgeSettings(self.purge_pause_ms, self.purge_drained_ms, self.purge_poll_ms)

    def lease_settings(self) -> LeaseSettings:
        return LeaseSettings(self.node_lease_ms, self.node_renew_ms, self.node_retry_ms, self.node_wait_ms)

    def store_settings(self) -> StoreSettings:
        return StoreSettings(comments_keep_s=self.comments_keep_s, cassandra_lwt_ms=self.store_slow_ms // 2)

    def keepalive(self) -> Keepalive:
        return Keepalive(self.keepalive_ms, self.keepalive_timeout_ms)

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

    def outbox_limits(self) -> OutboxLimits:
        return OutboxLimits(
            batch_events_max=self.publish_batch_max,
            batch_bytes_max=self.publish_batch_bytes_max,
            batches_in_flight_max=self.publish_in_flight_max,
            events_max=self.publish_backlog_max,
            bytes_max=self.publish_backlog_bytes_max,
            videos_max=self.publish_videos_max,
        )

    def publish_settings(self) -> PublishSettings:
        return PublishSettings(
            connect_timeout_ms=self.connect_timeout_ms,
            ack_timeout_ms=self.publish_ack_timeout_ms,
            backoff_min_ms=self.backoff_min_ms,
            backoff_max_ms=self.backoff_max_ms,
            pacing=Pacing(self.publish_pace_after, self.publish_in_flight_max, self.publish_window_ms),
            look_ms=self.publish_look_ms,
            watermark_ms=self.watermark_ms,
        )
