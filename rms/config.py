"""Every number of an RMS node, with its unit and its reason. docs/limits.md lists them."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from proto.http_settings import HttpSettings
from proto.replicas import DispatcherSettings
from proto.settings import Address
from rms.feed.feed import FeedLimits


class RmsSettings(HttpSettings, DispatcherSettings):
    """An RMS node: holds viewers' connections and sends them the comments of their videos."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_RMS_")

    listen: Address = Field("127.0.0.1:8101", description="host:port for viewers (HTTP)")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/?#\s]{1,240})?$",
        description="where viewers reach this node, scheme://host:port; empty: http:// and --listen",
    )
    node_id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.:-]{0,128}$",
        description="stable name of this node, unique in the cluster; empty: the host and port of --public-url",
    )
    door_socket: str = Field(
        "",
        description="path of a Unix socket on which the host's door, python -m rms.door, hands over viewers",
    )
    store: str = Field(
        "sqlite:.data/comments.db", description="history to read: sqlite:PATH or cassandra://HOST/KEYSPACE"
    )
    capacity: int = Field(
        19_000,
        gt=0,
        description="viewers; lowered at start to what the limit of open files leaves, less 500 for the rest",
    )
    videos_max: int = Field(
        50_000, gt=0, description="videos served at once; each costs some 10 KB and a line at each dispatcher"
    )

    backfill: int = Field(50, ge=0, description="comments that a new viewer gets at once: about two screens")
    backfill_max: int = Field(200, ge=0, description="comments that a viewer may ask for with ?backfill=")
    resume_comments_max: int = Field(
        1_000, gt=0, description="comments sent to a single resuming viewer before it is told of a gap: about 200 KB"
    )
    log_bytes_max: int = Field(4 << 20, gt=0, description="bytes a video's log holds: 20 s of 1,000 comments/s")
    log_age_ms_max: int = Field(
        60_000, gt=0, description="ms a comment stays in the log: a phone's walk through a tunnel"
    )
    dedupe_ms: int = Field(
        660_000,
        gt=0,
        description="ms a comment's id is remembered at least, in 8 bytes, and how far back a catch-up reads: longer "
        "than the 600 s for which a dispatcher knows what was missed",
    )
    seed_comments_max: int = Field(
        2_000, gt=0, description="comments read when a video's first viewer comes: the last seconds of a hot video"
    )
    opening_comments_max: int = Field(
        20_000,
        gt=0,
        description="live comments kept while a video's history is read; more, and its viewers are told of a gap",
    )
    feed_linger_ms: int = Field(
        10_000, ge=0, description="ms a video stays served after its last viewer: reloading a page costs no read"
    )
    history_timeout_ms: int = Field(
        3_000, gt=0, description="ms to wait for history when a viewer joins; then it joins without the past"
    )
    catch_up_reads: int = Field(
        16,
        gt=0,
        description="videos whose history is read at once after a dispatcher came back, and, apart from these, slow "
        "viewers for whom it is read at once",
    )
    catch_up_hold_ms: int = Field(
        500,
        ge=0,
        description="longest ms that live comments wait while a dispatcher's word of missed ones is followed up: what "
        "is read comes before them then; its viewers have waited for longer already",
    )
    catch_up_retry_ms_max: int = Field(5_000, gt=0, description="longest ms between two tries of such a read")

    heartbeat_ms: int = Field(15_000, gt=0, description="ms without a comment after which viewers get a heartbeat")
    retry_ms: int = Field(
        2_000,
        gt=0,
        description="ms a viewer's client waits before it reconnects; each viewer gets 0.5 to 1.5 times this",
    )
    retry_after_s: int = Field(
        5, gt=0, description="s in Retry-After when the node is full; each viewer gets 1 to 2 times this"
    )
    slice_ms: float = Field(
        3.0, gt=0, description="ms of sends before a sweep lets the event loop breathe; with 30, publishers starve"
    )
    chunk_bytes: int = Field(256 << 10, gt=0, description="bytes given to one send: more than a socket's buffer takes")
    send_buffer_bytes: int = Field(
        128 << 10,
        ge=0,
        description="kernel send buffer of one viewer, so that a stalled one can't take 4 MB; 0: the kernel decides",
    )
    stall_ms_max: int = Field(60_000, gt=0, description="ms a viewer may read nothing before it is closed")
    falls_max: int = Field(
        20, ge=0, description="times a viewer may fall off the log and be served out of history, then it is closed"
    )
    gc_objects: int = Field(
        700,
        ge=700,
        description="new objects until Python looks for cycles: uvicorn leaves some for each viewer, and with the "
        "20,000 of the other services they made a viewer cost 825 B instead of 400",
    )
    user_timeout_ms: int = Field(
        30_000, gt=0, description="ms that sent bytes may stay unacknowledged by a dead peer (TCP_USER_TIMEOUT)"
    )
    count_sends_per_s: int = Field(
        5_000, gt=0, description="sends a second spent on telling one video's viewers how many they are: 2 % of a core"
    )
    drain_viewers_per_s: int = Field(
        4_000, gt=0, description="viewers a second sent elsewhere when the node ends: what the others can take in"
    )
    drain_ms_max: int = Field(10_000, ge=0, description="longest ms for that")
    connections_max: int = Field(
        19_000,
        ge=1,
        description="connections beside the viewers that are in; beyond, each gets one 503: all may come at once",
    )
    listen_backlog: int = Field(
        65_535,
        ge=1,
        description="connections waiting to be accepted, as after a node's death; the kernel may hold less",
    )

    interest_ack_ms: int = Field(
        1_000, gt=0, description="ms a dispatcher has to acknowledge an interest; then its link is taken for broken"
    )
    welcome_ms: int = Field(
        5_000, gt=0, description="ms a dispatcher has to welcome this node, also with 50,000 videos; then it is left"
    )
    partial_read_ms_max: int = Field(
        30_000, gt=0, description="longest ms between reads of history for comments that go through a lost replica"
    )
    reconnect_ms_min: int = Field(50, gt=0, description="first wait before a dispatcher is tried again, ms, jittered")
    reconnect_ms_max: int = Field(
        1_000, gt=0, description="longest such wait, ms: a restarted replica is whole within this"
    )
    stop_ms: int = Field(5_000, gt=0, description="ms for requests under way to end, once the viewers are gone")

    def feed_limits(self) -> FeedLimits:
        return FeedLimits(
            log_bytes_max=self.log_bytes_max,
            log_age_ms_max=self.log_age_ms_max,
            log_comments_min=self.backfill_max,
            resume_comments_max=self.resume_comments_max,
            dedupe_ms=self.dedupe_ms,
        )


class DoorSettings(HttpSettings, DispatcherSettings):
    """A host's door: one port for viewers, whose sockets go to the RMS processes beside it."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_DOOR_")

    listen: Address = Field("127.0.0.1:8100", description="host:port for viewers (HTTP)")
    sockets: str = Field(".data/doors", description="folder of the nodes' Unix sockets, each named NODE_ID.sock")
    place_timeout_ms: int = Field(
        1_000,
        gt=0,
        description="ms a dispatcher has to place a viewer, then the next is asked; one that is away is tried as often",
    )
    handover_timeout_ms: int = Field(
        1_000, gt=0, description="ms a node's socket may be full before another node is taken"
    )
    tries: int = Field(3, gt=0, description="nodes that are tried for one viewer: more than can die at the same moment")
    retry_after_s: int = Field(
        5, gt=0, description="s in Retry-After when nobody takes a viewer; each gets 1 to 2 times this"
    )
    connections_max: int = Field(
        19_000,
        ge=1,
        description="connections beside the viewers that are in; beyond, each gets one 503: all may come at once",
    )
    listen_backlog: int = Field(
        65_535,
        ge=1,
        description="connections waiting to be accepted, as after a node's death; the kernel may hold less",
    )
    stop_ms: int = Field(5_000, gt=0, description="ms for requests under way to end")
