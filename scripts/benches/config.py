"""Every number of the benches: its unit, and why it is what it is."""

from dataclasses import dataclass

from scripts.config import SupervisorSettings


@dataclass(frozen=True, slots=True)
class FanoutSettings:
    """How viewers are made, and when a server is said to fall behind."""

    viewers_per_process_max: int = 19_000  # below the 20,000 open files that one process may have on many machines
    in_flight: int = 1_000  # handshakes at once: fewer than any listener's backlog, so that no SYN is sent twice
    receive_bytes: int = 16 * 1024  # a viewer's receive buffer: 80 comments; what never reads can't take megabytes
    connect_timeout_s: float = 120.0  # for one order of viewers; 19,000 take 2 to 10 s
    answer_timeout_s: float = 30.0  # of a process of viewers, for a report
    lead_s: float = 0.5  # between the order to publish and the first comment's due time
    drain_s: float = 10.0  # after the last comment was due, for what is still on its way; a bound, rarely used
    settle_s: float = 0.3  # after all have come: a doubled comment would come now
    kept_up: float = 0.95  # a server that has delivered less of what was due, by the end, falls behind
    publisher_blocked: float = 0.05  # so does one that blocks its publisher for more than this share of the time
    http_publishers: int = 4  # keep-alive connections to the peers that are published to over HTTP
    unanswered_batches: int = 64  # that a publisher over gRPC has at once; as many as a replica takes
    pace_after: int = 32  # unanswered ones, above which that publisher pauses, as comment_service does: 1, 4, 9 ms


@dataclass(frozen=True, slots=True)
class MillionSettings:
    """How a million viewers are brought onto one machine."""

    dispatchers: int = 2
    capacity: int = 19_000  # viewers of one RMS process, and of one process of viewers: the limit of open files
    spare_nodes: float = 0.01  # seats left empty: placement is free to choose to the end
    # Two cores do here what 53 machines would: at the nodes' defaults, a million viewers' heartbeats and viewer counts
    # alone are 330,000 sends a second, and nobody gets in any more.
    heartbeat_ms: int = 60_000  # 17,000 sends/s
    count_sends_per_s: int = 200  # of each node: 11,000 sends/s
    start_together: int = 4  # RMS processes at once: each needs a second of CPU until it is ready
    batch: int = 100  # viewers that connect by one answer of Place
    workers: int = 4  # batches under way at once
    connect_timeout_s: float = 1800.0  # for all of them: 5 minutes on two quiet cores, longer on busy ones
    place_timeout_s: float = 5.0  # for one answer of a dispatcher; it takes a millisecond
    no_room_wait_s: float = 0.5  # until the next question: a beat brings the dispatchers the true load
    no_room_tries: int = 240  # of them, then the bench gives up
    comment_timeout_s: float = 120.0  # for a million deliveries; they take 4 to 10 s
    bytes_a_viewer: int = 9 * 1024  # both ends' sockets and all processes: what is asked of the free memory before


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """How a replica is loaded."""

    seconds: float = 5.0  # of each load
    nodes: int = 1_300  # simulated ones, of the wide run and the restart
    videos: int = 1_000_000  # in the simulated registry
    share: float = 1.0  # of the viewers whose placement is simulated
    latency_rate: float = 1_000.0  # comments/s to two nodes
    wide_rate: float = 50.0  # comments/s to all nodes
    batch_events: int = 500  # in one batch of a publisher at full speed: beyond that an event costs no less
    reconnect_s: float = 0.5  # a node tries again after at most this, as an RMS does at first
    settle_s: float = 1.0  # two beats after the last node has come: what so many at once bring about is over
    poll_s: float = 0.05  # between two looks whether all nodes are back
    nodes_timeout_s: float = 60.0  # for anything that nodes must do; a bound, rarely used


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """How stores are written and read."""

    message: str = "What a match, did you see that? I can't believe it"  # 50 bytes: what people say in a chat
    connections: int = 200  # of the load over HTTP
    seconds: float = 5.0  # of each load; a run on two cores varies more than a second of it does
    warm_s: float = 1.5  # before it: Cassandra's JIT and the first flush
    spare_s: float = 10.0  # for the connections of a load, and the sorting of its latencies
    jit_s: float = 30.0  # of grouped writes, posts and keyed posts each: a JVM that has just started is busy compiling
    videos: int = 3_000  # on which is posted in turn
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
    erased: int = 100_000  # comments of one hour: Cassandra's tombstone_failure_threshold
    past: int = 2_000  # comments that the video has before it is read: more than are scrolled through


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How the viewers' page is watched."""

    warm_s: float = 10.0  # until figures are taken: the page has its rate edition, and all rows that it keeps
    key_s: float = 0.2  # between two keys: somebody who types fast
    heap_looks: int = 12  # over the run; each collects garbage first
    task_ms_max: float = 50.0  # longer ones are felt
    chromium: tuple[str, ...] = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-precise-memory-info")


@dataclass(frozen=True, slots=True)
class SmallSettings:
    """How many small videos there are, and what is said in them."""

    videos: int = 3_000  # that people post to in turn
    viewers_each: int = 2
    warm_rate: float = 500.0  # comments/s, one for each video, until what one costs is measured
    calm_rate: float = 300.0  # comments/s over all videos, for what one costs: far from any limit
    high_rate: float = 1_500.0  # for latency: what one comment_service just reached before rules came from memory
    seconds: float = 10.0  # of each load: one comment a video, and five
    opened: int = 5_000  # videos that are opened, and whose node is killed
    past: int = 200  # comments that each of these has: as many as a node reads
    quiet_s: float = 3.0  # until memory is looked at: some beats and rounds of housekeeping
    failover_rate: float = 1_000.0  # comments/s during a node's death
    failover_s: float = 5.0  # of posting, half of it before: one comment a video
    drain_s: float = 60.0  # after the last post, for all to have all
    answer_s: float = 10.0  # of the watchdog


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What stands behind the balancers, and how strangers attack it."""

    nodes: int = 3  # as in deploy/
    rate: float = 20.0  # comments/s to the viewers, for what a balancer costs
    seconds: float = 8.0  # of each load
    crowd: int = 500  # viewers beside an attack
    crowd_rate: float = 10.0  # comments/s to them: 40,000 deliveries in 8 s
    attack_share: float = 1.0  # of each mix's connections and rate
    calm_s: float = 0.5  # between an attack's begin and the crowd's first comment that counts
    back_s: float = 30.0  # after an attack, for seats and files to be as before; a video is served for 10 s more
    poll_s: float = 0.2  # between two looks
    files_spare: int = (
        60  # that may be open more than before: balancers keep idle connections, nginx 32 for each worker
    )


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """What chaos and outage start, how they break it, and how their authors and viewers behave."""

    replicas: int = 3  # of the dispatcher, in chaos
    nodes: int = 4  # RMS, in chaos
    restart_s: float = 3.0  # until a process that chaos has killed is started again: a supervisor without hurry
    stop_s: float = 5.0  # how long a stopped process stands still: longer than any lease
    outage_videos: int = 2  # a catch-up is a read for each video
    warm_s: float = 5.0  # posting before an outage: connections, JIT and caches are no longer new
    after_s: float = 5.0  # posting after all is drained: what was spooled and what is live meet
    drained_s: float = 60.0  # for the spool to empty once Cassandra answers; 20,000 comments take about a second
    poll_s: float = 0.2  # between two looks at the service's metrics
    authors: int = 256  # posts under way at one time: a store that hangs for half a second holds up 250
    keyed_every: int = 10  # in an outage each so many-th post carries an Idempotency-Key
    again_s: float = 0.1  # until a post that failed is sent again; a person takes longer
    answer_timeout_s: float = 10.0  # for a post; longer than a comment_service waits for anything
    give_up_s: float = 60.0  # for a post with all of its tries
    connect_timeout_s: float = 60.0  # for all viewers; a hundred take a second
    settle_s: float = 30.0  # after the last post, for all viewers to have all; the last catch-up retries every 5 s
    doubles_s: float = 0.5  # when all have all: a doubled comment would come now
    pause_s_max: float = 1.0  # the longest time in which nobody gets a 200 while comment_service is up


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """What the bench of partitions starts, when its faults strike, and how long it waits for what they delay."""

    services: int = 2  # comment_services
    replicas: int = 2  # of the dispatcher
    nodes: int = 3  # RMS: with two of them at fault one is left
    viewers_hosts: int = 2  # so that one of them may be cut off and the other is healthy
    videos: int = 3
    viewers: int = 2  # of each video, on each host of viewers, by each comment_service: 24 in all
    spill_viewers: int = 3  # each video's viewers are on several nodes
    heartbeat_ms: int = 1_000  # of the nodes: a cut that is shorter than three of them must also count
    silence_max_s: float = 3.0  # a viewer without a heartbeat for so long comes again; the page does so after two
    viewer_retry_ms_max: int = 2_000  # a viewer that can't get in tries again after at most this
    viewer_open_s: float = 4.0  # for one try of a viewer: a cut is silent, so only a time-out ends a try
    rate: float = 30.0  # comments/s over all videos: far from any limit, also beside other work
    first_at_s: float = 3.0  # posting before the first fault
    first_for_s: tuple[float, float] = (2.0, 10.0)  # leases last 3 s: some faults are shorter
    single_for_s: float = 6.0  # of a fault by itself
    second_at_s: tuple[float, float] = (1.0, 8.0)  # before, during and after the first one
    second_for_s: tuple[float, float] = (2.0, 8.0)
    after_s: float = 2.0  # posting after the last fault has been healed
    restart_s: float = 1.0  # until a process that was killed is started again
    drain_over_ms: int = 2_000  # how fast a drained node sends its viewers away
    answer_timeout_s: float = 3.0  # for a post; then its author asks the other comment_service
    again_s: float = 0.1  # until the author does so
    give_up_s: float = 60.0  # for a post with all of its tries
    start_s: float = 180.0  # for each process; the first one makes the schema in a JVM that has just started
    connect_timeout_s: float = 60.0  # for all viewers, before any fault
    ready_s: float = (
        40.0  # after the last fault, for every process; the drivers of stores wait some seconds between tries
    )
    settle_s: float = 40.0  # then for all viewers to have all; nodes read what they have missed at most 30 s later
    still_s: float = 0.5  # when all have all: a doubled comment would come now
    poll_s: float = 0.2  # between two looks
    delay_ms_max: float = 3_000.0  # p99 where no fault touched anything; beyond it the log is kept, to see why
    systems_pairs: int = 10  # pairs on one system; then it is started anew


SCHEMA_MS = 120_000
"""What a comment_service waits for a new schema where a bench is to begin with a whole system: it counts what is not
healed some time after its faults. Three Cassandra nodes on a busy machine took 52 s, one took 70 s."""

FANOUT = FanoutSettings()
MILLION = MillionSettings()
DISPATCHER = DispatcherSettings()
DISPATCHER_QUICK = DispatcherSettings(seconds=0.5, nodes=20, videos=10_000, share=0.01)
HISTORY = HistorySettings()
HISTORY_QUICK = HistorySettings(
    connections=20,
    seconds=0.5,
    warm_s=0.2,
    jit_s=0.5,
    videos=30,
    singles=500,
    authors=100,
    depth=2_000,
    depth_pages=5,
    erased=2_000,
)
PAGE = PageSettings()
SMALL = SmallSettings()
SMALL_QUICK = SmallSettings(videos=30, calm_rate=60, high_rate=100, seconds=1, opened=30, past=10, quiet_s=0.1)
EDGE = EdgeSettings()
EDGE_QUICK = EdgeSettings(seconds=0.5, crowd=20, attack_share=0.02, calm_s=0.1)
FAULTS = FaultSettings()
PARTITION = PartitionSettings()
CHILDREN = SupervisorSettings(stop_timeout_s=10.0)  # of servers with thousands of viewers to say goodbye to
