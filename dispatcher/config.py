"""Holds every setting of a dispatcher replica and of scripts/topology, with its unit and its reason."""

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
    """What one node's link may hold"""

    outbox_events_max: int  # queued and unacknowledged together
    outbox_bytes_max: int  # queued
    deliver_events_max: int
    deliver_bytes_max: int
    ack_ms_max: int


class Config(TlsSettings):
    """One replica of the dispatcher. It knows which node serves which video, and sends each event to those nodes."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_DISPATCHER_")

    listen: Address = Field("127.0.0.1:7001", description="host:port for gRPC; port 0 takes a free one and logs it")
    replica_id: str = Field(
        "",
        max_length=128,
        description="name of this replica; empty: the address that it listens on, with the host's name for 0.0.0.0",
    )

    metrics_listen: Address | Literal[""] = Field(
        "", description="host:port for Prometheus, GET /metrics, without authentication; empty: no metrics"
    )
    metrics_ms: int = Field(
        1000, ge=10, description="how long a scrape may wait for the event loop's numbers; after that it fails"
    )

    # Leases
    lease_ms: int = Field(
        2000,
        ge=100,
        description="a node that is silent for longer expires; four beats, so that a lost one does no harm",
    )
    beat_ms: int = Field(500, ge=10, description="between two beats of a node; leases are checked as often")
    hello_ms: int = Field(2000, ge=10, description="a node's stream is closed if it has sent no hello in this time")
    keepalive_ms: int = Field(
        1000,
        ge=100,
        description="between HTTP/2 pings; together with the time-out a dead peer's connection ends within 2 s",
    )
    keepalive_timeout_ms: int = Field(
        1000, ge=100, description="the connection ends if a ping isn't answered in this time"
    )
    recent_s: int = Field(
        600,
        ge=10,
        le=86_400,
        description="how far back it is known what a returning node has missed; 8 bytes for each second",
    )

    ids_behind_ms_max: int = Field(
        10_000,
        ge=0,
        description="how far behind this replica's clock ids may be that its last life has routed: two clocks of which "
        "each may be off by 5,000. A node that was cut off during a restart reads so much further back",
    )

    # Placement
    nearly_full_percent: int = Field(
        90, ge=1, le=100, description="of a node's capacity; above this its videos spill to one more node"
    )
    spill_viewers: int = Field(
        5000,
        ge=1,
        description="viewers of one video on each of its nodes; beyond this it spills to one more: at 100 comments/s a "
        "node sends them 500,000 events/s, half of what it can",
    )
    load_bound_percent: int = Field(
        125, ge=101, le=1000, description="of the average load; a node loaded above this becomes no video's next node"
    )
    idle_load_percent: int = Field(
        10,
        ge=1,
        le=100,
        description="of a node's capacity; below this a node never counts as loaded, so that a few viewers don't "
        "spread videos over more nodes",
    )
    looked_at_max: int = Field(
        8,
        ge=2,
        le=1000,
        description="nodes of one video that are compared for a placement; 2 would be enough, 8 cost 5 us",
    )

    # Links to nodes
    nodes_max: int = Field(2000, ge=1, description="connected nodes; 1,300 hold 25 million viewers")
    sums_max: int = Field(
        10_000,
        ge=1,
        le=50_000,
        description="videos in one BeatAck, each with its viewers on all nodes; the rest goes with the next one. "
        "A node takes messages of 16 MiB: 50,000 beside the largest delivery",
    )
    videos_per_node_max: int = Field(
        50_000, ge=1, description="videos of one node, as many as a node itself takes; each costs 0.5 KB here"
    )
    outbox_events_max: int = Field(
        50_000,
        ge=1,
        description="events queued for a node or not acknowledged by it; beyond this its link ends: 10 s of 5,000/s",
    )
    outbox_bytes_max: int = Field(
        32 << 20, ge=1, description="bytes queued for a node (links share them); 50,000 events of 600 bytes"
    )
    deliver_events_max: int = Field(
        1000,
        ge=1,
        description="events in one Deliver; more would save nothing, and hold the node's event loop longer",
    )
    deliver_bytes_max: int = Field(
        3 << 20,
        ge=1024,
        le=8 << 20,
        description="bytes in one Deliver; by default gRPC clients refuse messages over 4 MiB, a node those over 16",
    )
    writes_at_once: int = Field(
        64,
        ge=1,
        description="nodes that are written to at once; with more, incoming messages wait behind outgoing ones",
    )
    write_ms: int = Field(
        50,
        ge=1,
        description="a write that takes longer, because its node doesn't read, forfeits its slot to another node",
    )
    unread_acks_max: int = Field(
        10_000,
        ge=1,
        description="acknowledgements of interests that a node hasn't read; beyond this its link ends. Some 2 MB",
    )
    ack_gather_ms: int = Field(
        10,
        ge=0,
        description="ms that a node's acknowledgement of a delivery may wait for those of the next ones, at least: it "
        "costs as much as a delivery, and only those who erase something wait for one",
    )
    acks_per_s_max: int = Field(
        2_500,
        ge=1,
        description="acknowledgements of deliveries that all nodes together shall send in a second: 1,300 nodes merge "
        "those of 520 ms, so each goes with a beat",
    )
    ack_ms_max: int = Field(
        10_000,
        ge=100,
        description="the link ends if a node leaves a delivery unacknowledged for so long, even if it beats: "
        "publishers don't wait for it",
    )

    # Publishers
    publishers_max: int = Field(
        1000, ge=1, description="Publish streams: one for each comment_service node, with room for restarts"
    )
    unanswered_batches_max: int = Field(
        64, ge=1, description="unanswered batches of one stream; beyond this it isn't read, which slows the peer down"
    )
    batch_events_max: int = Field(
        1000,
        ge=1000,
        description="events in one batch, not below what a comment_service sends; from 500 on each costs as much",
    )
    batch_bytes_max: int = Field(
        3 << 20,
        ge=3 << 20,
        description="bytes in one batch, not below what a comment_service sends; 1,000 longest comments are 2.7 MB",
    )

    catch_up_videos_max: int = Field(
        10_000, ge=1, description="videos that one catch-up names; one for more videos is for all"
    )
    ahead_ms_max: int = Field(
        5_000,
        ge=0,
        description="how far ahead of this replica's clock an id may be that the other comment_services follow: far "
        "more than clocks are apart that NTP holds, and a service with a wrong one takes nobody along",
    )

    # What any peer may send
    message_bytes_max: int = Field(
        8 << 20, ge=8 << 20, description="bytes in one message; a hello with 50,000 videos of 128 bytes is 7 MB"
    )
    name_bytes_max: int = Field(128, ge=1, description="bytes in the id of a node or a video")
    url_bytes_max: int = Field(512, ge=16, description="bytes in a node's public URL")
    excluded_max: int = Field(64, ge=0, description="nodes that one placement may exclude; a viewer tries only a few")
    place_viewers_max: int = Field(
        64, ge=1, description="viewers that are placed by one request: 1 ms for all, so that no other request waits"
    )
    topology_videos_max: int = Field(
        10_000, ge=0, description="videos in one TopologyResponse; they are for people, and the message must stay small"
    )
    watchers_max: int = Field(100, ge=0, description="Events streams: operators' terminals and tools")
    watcher_events_max: int = Field(
        1000,
        ge=1,
        description="topology events that wait for one watcher; beyond this its oldest are dropped and counted",
    )
    drain_over_ms_max: int = Field(
        86_400_000, ge=0, description="how long a requested drain may take: a day; more must be a mistake"
    )
    streams_per_connection_max: int = Field(
        1000, ge=1, description="calls at once on one connection; gRPC clients queue the others"
    )
    lines_per_s_max: int = Field(
        50, ge=1, description="log lines a second about peers; the others are only counted, as anybody can connect"
    )

    close_ms: int = Field(
        1000, ge=10, description="how long a stream's final status may wait behind what the peer hasn't read"
    )
    stop_ms: int = Field(
        5000,
        ge=0,
        description="after SIGTERM, how long batches may still be acknowledged and streams may take to close",
    )

    @model_validator(mode="after")
    def _beats_fit_into_a_lease(self) -> Self:
        if self.lease_ms < 2 * self.beat_ms:
            raise ValueError("lease_ms must be at least twice beat_ms: one lost beat must not end a lease")
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
            ids_behind_ms_max=self.ids_behind_ms_max,
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
            outbox_events_max=self.outbox_events_max,
            outbox_bytes_max=self.outbox_bytes_max,
            deliver_events_max=self.deliver_events_max,
            deliver_bytes_max=self.deliver_bytes_max,
            ack_ms_max=self.ack_ms_max,
        )


@dataclass(frozen=True, slots=True)
class TopologyDefaults:
    """The defaults of scripts/topology"""

    dispatchers: str = "127.0.0.1:7001,127.0.0.1:7002"  # those of scripts/run
    timeout_ms: int = 2000  # for each replica; far more than a response takes, and short enough to wait for
    videos: int = 20  # a screenful
    clocks_apart_ms: int = 1000  # replicas' clocks that differ by more are shown; NTP holds them within some ms
    overdue_ms: int = 1000  # `explain`: two beats; a healthy node is heard and acknowledges within one
    poll_ms: int = 200  # between two looks of `drain` for the node's confirmation, and two tries of `tail` to reconnect
    every_s: float = 1.0  # `watch`: two beats, so each look shows something new
    tail_events_max: int = 10_000  # `tail`: events that wait for a slow terminal; beyond this the replicas drop them
    drain_over: str = "60s"  # `drain`: the node's viewers go to other nodes evenly over this time
    wait_empty_factor: float = 2.0  # `drain --wait`: gives up after this times the drain's own time


TOPOLOGY = TopologyDefaults()
