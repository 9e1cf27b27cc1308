"""Every number of a dispatcher replica, with its unit and its reason. No other file of the service holds one."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from dispatcher.core.placement import PlacementPolicy
from dispatcher.core.registry import RegistryLimits
from proto.channel import TlsSettings
from proto.settings import Address


@dataclass(frozen=True, slots=True)
class LinkLimits:
    outbox_comments_max: int  # queued and unacknowledged together
    outbox_bytes_max: int  # queued
    deliver_comments_max: int
    deliver_bytes_max: int
    ack_ms_max: int


class Config(TlsSettings):
    """One replica of the dispatcher: knows which node serves which video, and sends each comment to those."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_DISPATCHER_")

    listen: Address = Field("127.0.0.1:7001", description="host:port for gRPC; port 0 takes a free one and logs it")
    replica_id: str = Field("", max_length=128, description="name of this replica; empty: the address it listens on")

    metrics_listen: Address | Literal[""] = Field(
        "", description="host:port for Prometheus, GET /metrics; empty: none. Nobody is asked who they are there"
    )
    metrics_ms: int = Field(
        1000, ge=10, description="how long a scrape may wait for the numbers; a loop that is stuck for longer has none"
    )

    # Leases
    lease_ms: int = Field(
        2000, ge=100, description="a node that is silent for longer is expired: four beats, so that one lost is none"
    )
    beat_ms: int = Field(500, ge=10, description="how often a node says that it lives; leases are looked at as often")
    hello_ms: int = Field(2000, ge=10, description="a node's stream without a hello in this time is closed")
    keepalive_ms: int = Field(
        1000, ge=100, description="between HTTP/2 pings: with the time-out a dead peer's connection is gone in 2 s"
    )
    keepalive_timeout_ms: int = Field(
        1000, ge=100, description="a ping that isn't answered in this time ends the connection"
    )
    recent_s: int = Field(
        600,
        ge=10,
        le=86_400,
        description="how far back a returning node can be told what it missed; 8 bytes for each second",
    )

    # Placement
    nearly_full_percent: int = Field(
        90, ge=1, le=100, description="of a node's capacity: from here on its videos spill to one more node"
    )
    spill_viewers: int = Field(
        5000,
        ge=1,
        description="viewers of one video on each of its nodes from which it spills: at 100 comments/s a node sends "
        "them 500,000 events/s, half of what it can",
    )
    load_bound_percent: int = Field(
        125, ge=101, le=1000, description="of the average load: a video's next node isn't loaded above this"
    )
    idle_load_percent: int = Field(
        10,
        ge=1,
        le=100,
        description="of a node's capacity: below this a node is never called loaded, so that few "
        "viewers don't move videos about",
    )
    looked_at_max: int = Field(
        8, ge=2, le=1000, description="nodes of one video that are compared for a placement; 2 would do, 8 costs 5 us"
    )

    # Links to nodes
    nodes_max: int = Field(2000, ge=1, description="nodes: 1,300 hold 25 million viewers, and there is room")
    sums_max: int = Field(
        10_000, ge=1, description="videos whose viewers on all nodes one BeatAck tells; the rest goes with the next"
    )
    videos_per_node_max: int = Field(
        50_000, ge=1, description="videos of one node: as many as a node itself takes; each costs 0.5 KB here"
    )
    outbox_comments_max: int = Field(
        50_000,
        ge=1,
        description="comments queued for a node or not acknowledged by it: 10 s of 5,000/s, then it is cut",
    )
    outbox_bytes_max: int = Field(
        32 << 20, ge=1, description="bytes queued for a node (links share them): 50,000 comments of 600 bytes"
    )
    deliver_comments_max: int = Field(
        1000, ge=1, description="comments in one Deliver: more save nothing, and hold the node's loop longer"
    )
    deliver_bytes_max: int = Field(
        3 << 20,
        ge=1024,
        description="bytes in one Deliver: gRPC clients refuse messages over 4 MiB unless told otherwise",
    )
    writes_at_once: int = Field(
        64, ge=1, description="nodes that are written to at once; more make what comes in wait behind what goes out"
    )
    write_ms: int = Field(
        50, ge=1, description="a write that takes longer, because its node doesn't read, gives its turn to another"
    )
    unread_acks_max: int = Field(
        10_000,
        ge=1,
        description="acknowledgements of interests that a node hasn't read: beyond it isn't reading; some 2 MB",
    )
    ack_ms_max: int = Field(
        10_000,
        ge=100,
        description="a node that beats but leaves a delivery unacknowledged for so long is cut, so "
        "that publishers don't wait for it",
    )

    # Publishers
    publishers_max: int = Field(
        1000, ge=1, description="Publish streams: comment_service nodes, with room for restarts"
    )
    unanswered_batches_max: int = Field(
        64, ge=1, description="batches of one stream in work at once; then the stream isn't read, which slows the peer"
    )
    batch_comments_max: int = Field(1000, ge=1, description="comments in one batch: beyond 100 they cost no less each")
    batch_bytes_max: int = Field(
        3 << 20, ge=1024, description="bytes in one batch: 1,000 comments of the greatest size are 2.7 MB"
    )

    # What any peer may send
    message_bytes_max: int = Field(
        8 << 20, ge=4096, description="bytes in one message: a hello with 50,000 videos of 128 bytes is 7 MB"
    )
    name_bytes_max: int = Field(128, ge=1, description="bytes in the id of a node or a video")
    url_bytes_max: int = Field(512, ge=16, description="bytes in a node's public URL")
    excluded_max: int = Field(64, ge=0, description="nodes that one placement may exclude: a viewer tries only a few")
    topology_videos_max: int = Field(
        10_000, ge=0, description="videos in one Topology answer: they are for people, and the answer must stay small"
    )
    watchers_max: int = Field(100, ge=0, description="Events streams: operators' terminals and their tools")
    watcher_events_max: int = Field(
        1000, ge=1, description="events that wait for one watcher; then its oldest are dropped, and counted"
    )
    drain_over_ms_max: int = Field(
        86_400_000, ge=0, description="how long a drain may be told to take: a day, above that it is a mistake"
    )
    streams_per_connection_max: int = Field(
        1000, ge=1, description="calls at once on one connection; gRPC clients queue what goes beyond"
    )
    lines_per_s_max: int = Field(
        50, ge=1, description="log lines a second about peers; above that they are counted, for anybody can connect"
    )

    close_ms: int = Field(
        1000, ge=10, description="how long a stream's last word may wait behind what the peer hasn't read"
    )
    stop_ms: int = Field(
        5000, ge=0, description="after SIGTERM, how long batches may still be acknowledged and streams may close"
    )

    @model_validator(mode="after")
    def _beats_fit_into_a_lease(self) -> Self:
        if self.lease_ms < 2 * self.beat_ms:
            raise ValueError("lease_ms must be at least twice beat_ms: one late beat is no death")
        if self.batch_bytes_max > self.message_bytes_max:
            raise ValueError("batch_bytes_max can't be more than message_bytes_max: the batch would never arrive")
        return self

    def registry_limits(self) -> RegistryLimits:
        return RegistryLimits(
            lease_ms=self.lease_ms,
            beat_ms=self.beat_ms,
            nodes_max=self.nodes_max,
            videos_per_node_max=self.videos_per_node_max,
            recent_s=self.recent_s,
            placement=PlacementPolicy(
                nearly_full=self.nearly_full_percent / 100,
                spill_viewers=self.spill_viewers,
                load_bound=self.load_bound_percent / 100,
                idle_load=self.idle_load_percent / 100,
                looked_at_max=self.looked_at_max,
            ),
        )

    def link_limits(self) -> LinkLimits:
        return LinkLimits(
            outbox_comments_max=self.outbox_comments_max,
            outbox_bytes_max=self.outbox_bytes_max,
            deliver_comments_max=self.deliver_comments_max,
            deliver_bytes_max=self.deliver_bytes_max,
            ack_ms_max=self.ack_ms_max,
        )


@dataclass(frozen=True, slots=True)
class TopologyDefaults:
    """What scripts/topology assumes when it isn't told."""

    dispatchers: str = "127.0.0.1:7001,127.0.0.1:7002"  # those of scripts/run
    timeout_ms: int = 2000  # for each replica: far more than any answer takes, and short enough to wait for
    videos: int = 20  # a screenful
    late_ms: int = 1000  # `explain`: two beats; a healthy node is heard and acknowledges within one
    poll_ms: int = 200  # how often `drain` looks whether the node has answered, and `tail` tries a lost replica
    every_s: float = 1.0  # `watch`: two beats, so each look shows something new
    tail_events_max: int = 10_000  # `tail`: events that wait for a slow terminal; then the replicas drop them
    drain_over: str = "60s"  # a node's viewers come back to the others spread over this
    wait_empty_factor: float = 2.0  # `drain --wait`: this times the drain's own time, then it gives up


TOPOLOGY = TopologyDefaults()
