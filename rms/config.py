"""Every setting of an RMS node and of a door, with its unit and its reason. docs/limits.md lists them."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from history.config import StoreSettings
from proto.cassandra_settings import CassandraSettings
from proto.clock_watch import ClockSettings
from proto.core.public_url import has_path, is_public_url
from proto.http_settings import OPERATORS_LISTEN, HttpSettings
from proto.placing import PlacingSettings
from proto.replicas import DispatcherSettings
from proto.settings import Address, is_wildcard
from rms.feed.entry import FeedLimits


class ViewersHttpSettings(HttpSettings):
    """How a node and a door listen for viewers, who may all come at once"""

    connections_max: int = Field(
        19_000,
        ge=1,
        description="connections beside the viewers who are in; beyond, each gets one 503: all may come at once",
    )
    listen_backlog: int = Field(
        65_535,
        ge=1,
        description="connections waiting to be accepted, as after a node's death; the kernel may hold less",
    )

    new_streams_per_s: float = Field(
        200.0,
        gt=0,
        description="new streams/s of one address, then 429: with the burst, 2,000 people come back at once",
    )
    new_streams_per_s_max: float = Field(
        10_000.0, gt=0, description="new streams/s of all who have limits, then 503: more than a process lets in"
    )
    polls_per_s: float = Field(
        100.0, gt=0, description="long polls/s of one address, then 429: of 100 people behind a proxy that buffers"
    )
    polls_per_s_max: float = Field(
        1_000.0, gt=0, description="long polls/s of all who have limits, then 503: a busy video's cost 0.5 ms each"
    )
    credentials_origins: str = Field(
        "",
        description="origins whose pages may read with credentials (EventSource's withCredentials), for a gateway that "
        "asks for cookies, with commas between; all others read without",
    )

    def credentials_origins_known(self) -> frozenset[str]:
        return frozenset(filter(None, self.credentials_origins.split(",")))


class RmsSettings(ViewersHttpSettings, DispatcherSettings, ClockSettings, CassandraSettings):
    """An RMS node: holds viewers' connections and sends them the comments of their videos."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_RMS_")

    listen: Address = Field("127.0.0.1:8101", description="host:port for viewers (HTTP)")
    operators_listen: Address = Field("127.0.0.1:9101", description=OPERATORS_LISTEN)
    public_url: str = Field(
        "",
        validate_default=True,
        max_length=256,
        description="where viewers reach this node: scheme://host:port, or the path that a balancer leads to it, as "
        "/n/rms-1 or /live/n/rms-1; empty: http:// and --listen",
    )
    node_id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.:-]{0,128}$",
        validate_default=True,
        description="stable name of this node, unique in the cluster; empty: the host and port of --public-url. "
        "Needed with a path, as a balancer knows the node by it",
    )
    door_socket: str = Field(
        "",
        description="path of the Unix socket on which the host's door (rms.door) hands over viewers; empty: none",
    )
    store: str = Field(
        "sqlite:.data/comments.db", description="history to read: sqlite:PATH or cassandra://HOST/KEYSPACE"
    )
    capacity: int = Field(
        19_000,
        gt=0,
        description="viewers; lowered at start to the limit of open files, less 500 for the rest",
    )
    videos_max: int = Field(
        50_000, gt=0, description="videos served at once; each costs some 10 KB here, and an entry at each dispatcher"
    )

    streams_per_address_max: int = Field(
        2_000,
        gt=0,
        description="open streams of one address, then 429: a tenth of the seats, and a school's behind one address",
    )
    new_videos_per_s: float = Field(
        20.0,
        gt=0,
        description="videos/s that one address's requests begin to be served, then 429: each costs reads and 10 KB",
    )
    new_videos_per_s_max: float = Field(
        300.0,
        gt=0,
        description="such videos/s of all who have limits, then 503: what a node opens, each for 2.8 ms of CPU; of a "
        "dead node's 10,000 a third comes within the burst, and the others are told to come in turn",
    )
    history_reads_per_s: float = Field(
        50.0,
        gt=0,
        description="reads/s of history for viewers of one address, then 429: few need one, for the log has the last "
        "minute",
    )
    history_reads_per_s_max: float = Field(
        2_000.0, gt=0, description="such reads/s for all who have limits, then 503: what a store of one machine answers"
    )

    backfill: int = Field(50, ge=0, description="comments that a new viewer gets at once: about two screens")
    backfill_max: int = Field(200, ge=0, description="comments that a viewer may ask for with ?backfill=")
    resume_events_max: int = Field(
        1_000, gt=0, description="events sent to one resuming viewer; one that lacks more is sent a gap: about 200 KB"
    )
    log_bytes_max: int = Field(4 << 20, gt=0, description="bytes of a video's log: 20 s of 1,000 comments/s")
    log_age_ms_max: int = Field(
        60_000, gt=0, description="ms a comment stays in the log: a phone that goes through a tunnel resumes from it"
    )
    dedupe_ms: int = Field(
        660_000,
        gt=0,
        description="least ms for which a comment's id is remembered, in 8 bytes, and how far back a catch-up reads: "
        "longer than the 600 s for which a dispatcher knows what was missed",
    )
    seed_events_max: int = Field(
        2_000,
        gt=0,
        description="most events read when a video's first viewer comes: the last seconds of a busy video",
    )
    opening_comments_max: int = Field(
        20_000,
        gt=0,
        description="live comments buffered while a video's history is read; those beyond are read from history, too",
    )
    feed_linger_ms: int = Field(
        10_000,
        ge=0,
        description="ms a video stays served after its last viewer: reloading the page costs no read of history",
    )
    video_news_ms: int = Field(
        1_000,
        ge=1,
        description="ms between two queries for videos that were added or changed: so long after its end a video's "
        "viewers are told; a small read",
    )
    video_overlap_ms: int = Field(
        30_000, ge=0, description="ms such a query goes back further: more than processes' clocks differ"
    )
    history_timeout_ms: int = Field(
        3_000, gt=0, description="ms for one read of history; a viewer whose read takes longer enters without it"
    )
    claims_max: int = Field(
        8,
        ge=0,
        description="positions of viewers who have more than a video's feed; each makes one more form of the stream, "
        "and a viewer beyond them is sent a gap",
    )
    claims_per_address_max: int = Field(
        2,
        ge=0,
        description="of these, such as one address has brought: a quarter, so that a stranger who makes positions up "
        "leaves room; all viewers at the same position are one",
    )
    claims_wait_ms: int = Field(
        3_000,
        ge=0,
        description="longest ms such a viewer waits until the feed has that, or until there is room for its form",
    )
    history_reads_max: int = Field(
        32,
        gt=0,
        description="reads of history at the same time, of any kind: when a node dies, others open thousands of videos "
        "at once, and a store answers them no sooner for being asked at once",
    )
    catch_up_reads: int = Field(
        16,
        gt=0,
        description="videos whose history is read at the same time after a dispatcher came back; and as many slow "
        "viewers for whom it is read",
    )
    catch_up_hold_ms: int = Field(
        500,
        ge=0,
        description="longest ms that live comments and new viewers wait for a catch-up: so comments come after the "
        "missed ones, and nobody is sent what was erased meanwhile",
    )
    catch_up_retry_ms_max: int = Field(
        5_000, gt=0, description="longest ms between two tries of a catch-up or of opening the store"
    )

    gzip_viewers_min: int = Field(
        10,
        ge=1,
        description="viewers of a video here from which on one that accepts gzip gets it: a block costs 50 us, whoever "
        "shares it, and saves each some 120 bytes",
    )
    heartbeat_ms: int = Field(15_000, gt=0, description="ms without a comment after which viewers get a heartbeat")
    stream_age_s_max: float = Field(
        0,
        ge=0,
        description="s after which a stream ends with `reconnect`, each between half and all of this, within a "
        "heartbeat; 0: never. 3600 behind a balancer: within an hour new nodes have their share of the viewers, and of "
        "19,000 viewers 7 a second come back",
    )
    poll_wait_s_max: int = Field(
        30,
        ge=1,
        description="s that a viewer without a stream may wait for events, by ?wait=: less than the 40 after which the "
        "balancers of deploy/ give a response up, and take a node that sends none for dead",
    )
    poll_bytes_max: int = Field(
        256 << 10,
        gt=0,
        description="bytes of the stream in one answer to such a viewer; there may be one frame more, and it gets the "
        "rest at once when it asks again",
    )
    poll_rest_ms: int = Field(
        3_000,
        ge=0,
        description="ms for which it keeps its seat, and counts as a viewer, until it asks again: a slow way there, "
        "and one to a dispatcher",
    )
    retry_ms: int = Field(
        2_000,
        gt=0,
        description="ms a viewer's client waits before it reconnects; each viewer gets 0.5 to 1.5 times this",
    )
    retry_after_s: int = Field(
        5, gt=0, description="s in Retry-After when the node is full; each viewer gets 1 to 2 times this"
    )
    slice_ms: float = Field(
        3.0, gt=0, description="ms of sends after which a sweep lets the event loop run; with 30, publishers starve"
    )
    chunk_bytes: int = Field(256 << 10, gt=0, description="bytes given to one send: more than a socket's buffer takes")
    send_buffer_bytes: int = Field(
        128 << 10,
        ge=0,
        description="kernel send buffer of one viewer, so that a stalled one can't take 4 MB; 0: the kernel decides",
    )
    stall_ms_max: int = Field(60_000, gt=0, description="ms a viewer's socket may be full; then it is closed")
    falls_max: int = Field(
        20, ge=0, description="times a viewer may be slower than the log and be served from history; then it is closed"
    )
    gc_objects: int = Field(
        700,
        ge=700,
        description="new objects until Python looks for cycles among them: Starlette leaves some for each viewer, and "
        "with the 20,000 of the other services a viewer cost 825 B instead of 400",
    )
    count_sends_per_s: int = Field(
        5_000, gt=0, description="sends a second of one video's viewer counts to its viewers: 2 % of a core"
    )
    drain_viewers_per_s: int = Field(
        4_000, gt=0, description="viewers a second sent elsewhere when the node ends: what the other nodes can take"
    )
    drain_ms_max: int = Field(10_000, ge=0, description="longest ms for sending viewers elsewhere when the node ends")

    interest_ack_ms: int = Field(
        1_000, gt=0, description="ms a dispatcher has to acknowledge an interest; then its link is made anew"
    )
    welcome_ms: int = Field(
        5_000,
        gt=0,
        description="ms a dispatcher has to welcome this node, also with 50,000 videos; then its link is made anew",
    )
    partial_read_ms_max: int = Field(
        30_000,
        gt=0,
        description="longest ms between reads of history for what is published through a replica out of reach",
    )
    isolated_reads_per_s: int = Field(
        100,
        ge=1,
        description="videos for which history is read in a second while no dispatcher is connected: 1,000 nodes are "
        "then 100,000 reads a second, which a cluster of their size bears, and up to 100 videos are read each second",
    )
    reconnect_ms_min: int = Field(
        50, gt=0, description="ms before a dispatcher is tried again, jittered; doubled with each failure in a row"
    )
    reconnect_ms_max: int = Field(
        1_000,
        gt=0,
        description="longest ms before a dispatcher is tried again: within this, a restarted one knows all nodes",
    )
    stop_ms: int = Field(5_000, gt=0, description="ms for requests under way to end, after the viewers")

    @field_validator("public_url")
    @classmethod
    def _can_be_reached(cls, public_url: str, others: ValidationInfo) -> str:
        """Without it all hosts would have one address for viewers, and their nodes one id."""
        listen = others.data.get("listen", "")
        if not public_url and is_wildcard(listen):
            raise ValueError(f"viewers can't call {listen}: say where they reach this node, http://HOST:PORT")
        if public_url and not is_public_url(public_url):
            raise ValueError("it is scheme://host:port, or a path of / and A-Z a-z 0-9 _ . : ~ -, as /n/rms-1, or both")
        return public_url

    @field_validator("node_id")
    @classmethod
    def _has_a_name(cls, node_id: str, others: ValidationInfo) -> str:
        """Behind one balancer all nodes may have the same origin, so a path gives no id by itself."""
        public_url = others.data.get("public_url", "")
        if not node_id and has_path(public_url):
            raise ValueError(f"the node needs a name beside --public-url {public_url}: the one in that path")
        return node_id

    def store_settings(self) -> StoreSettings:
        return StoreSettings(cassandra_access=self)

    def feed_limits(self) -> FeedLimits:
        return FeedLimits(
            log_bytes_max=self.log_bytes_max,
            log_age_ms_max=self.log_age_ms_max,
            log_comments_min=self.backfill,
            resume_events_max=self.resume_events_max,
            dedupe_ms=self.dedupe_ms,
        )


class DoorSettings(ViewersHttpSettings, DispatcherSettings, PlacingSettings):
    """A host's door: one port for viewers, whose sockets go to the RMS processes beside it."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_DOOR_")

    listen: Address = Field("127.0.0.1:8100", description="host:port for viewers (HTTP)")
    operators_listen: Address = Field("127.0.0.1:9100", description=OPERATORS_LISTEN)
    sockets: str = Field(
        ".data/doors", description="folder of the nodes' Unix sockets, each with the name NODE_ID.sock"
    )
    place_timeout_ms: int = Field(
        1_000,
        gt=0,
        description="ms a dispatcher has to place a viewer, then the next one is asked; and ms between two tries to "
        "connect to one that is away",
    )
    place_wait_ms: int = Field(
        5_000, ge=10, description="ms a viewer waits for a place, also behind others: three tries at dead replicas"
    )
    handover_timeout_ms: int = Field(
        1_000, gt=0, description="ms a node's socket may be full before another node is taken"
    )
    tries: int = Field(3, gt=0, description="nodes tried for one viewer: more than die at the same moment")
    retry_after_s: int = Field(
        5, gt=0, description="s in Retry-After when no node takes a viewer; each viewer gets 1 to 2 times this"
    )
    stop_ms: int = Field(5_000, gt=0, description="ms for requests under way to end")
