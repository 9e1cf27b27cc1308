"""Every number of the benches: its unit, and why it is what it is."""

import signal
from dataclasses import dataclass

from scripts.config import SupervisorSettings


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How viewers are made, and when a server is said to fall behind."""

    viewers_per_process_max: int = 19_000  # below the 20,000 open files that one process may have on many machines
    in_flight: int = 1_000  # handshakes at once: fewer than any listener's backlog, so that no SYN is sent twice
    receive_bytes: int = 16 * 1024  # a viewer's receive buffer: 80 comments; what never reads can't take megabytes
    connect_timeout_s: float = 120.0  # for one order of viewers; 19,000 take 2 to 10 s
    lead_s: float = 0.5  # between the order to publish and the first comment's due time
    drain_s: float = 10.0  # after the last comment was due, for what is still on its way; a bound, rarely used
    settle_s: float = 0.3  # after all have come: a doubled comment would come now
    kept_up: float = 0.95  # a server that has delivered less of what was due, by the end, falls behind
    publisher_late: float = 0.05  # so does one that blocks its publisher for more than this share of the time
    http_publishers: int = 4  # keep-alive connections to the peers that are published to over HTTP
    ready_timeout_s: float = 60.0  # a peer needs a second

    search_factor: float = 2.0  # steps of --highest upwards, until a rate isn't sustained
    search_precision: float = 0.05  # and then it closes in on the highest one up to this share
    search_rate_max: float = 2_000.0  # comments/s; where 20 million deliveries/s would be, the search ends
    search_votes: int = 3  # runs that decide on one rate, by majority

    joins_backfill: int = 50  # comments a joiner gets at once: the RMS's default


@dataclass(frozen=True, slots=True)
class MillionSettings:
    """How a million viewers are brought onto one machine."""

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

    batch_comments: int = (
        100  # in one batch of a publisher that is as fast as it can: beyond that a comment costs no less
    )
    unanswered_batches: int = 16  # at once; a replica takes 64
    reconnect_s: float = 0.5  # a node tries again after at most this, as an RMS does at first
    settle_s: float = 1.0  # two beats after the last node has come: what so many at once bring about is over
    connect_timeout_s: float = 1.0  # of a simulated node's connection, on this machine
    receive_bytes: int = 64 * 1024  # that a simulated node reads at once: some hundred comments
    poll_s: float = 0.05  # between two looks whether all nodes are back
    nodes_timeout_s: float = 60.0  # for anything that nodes must do; a bound, rarely used
    kill: signal.Signals = signal.SIGKILL  # how the replica of the restart ends


@dataclass(frozen=True, slots=True)
class ChaosSettings:
    """What is started, and how it is broken."""

    replicas: int = 3
    nodes: int = 4
    connections: int = 64  # of authors: a post takes some ms, so 2,000/s need about 20
    restart_s: float = 3.0  # until a killed process is started again: a supervisor that isn't in a hurry
    stop_s: float = 5.0  # how long a stopped process stands still: longer than any lease
    connect_timeout_s: float = 30.0  # for the viewers of one video
    answer_timeout_s: float = 15.0  # for a post; longer than a comment_service waits for anything
    settle_s: float = 20.0  # behind the last post: a viewer that is just coming back needs 5 s, and then its backfill
    doubles_s: float = 0.5  # when all have all: a doubled comment would come now


BENCH = BenchSettings()
CHAOS = ChaosSettings()
DISPATCHER = DispatcherSettings()
MILLION = MillionSettings()
CHILDREN = SupervisorSettings(stop_timeout_s=10.0)  # of servers with thousands of viewers to say goodbye to
