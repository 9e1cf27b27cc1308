"""How a comment_service publishes, and asks dispatchers where viewers go."""

from pydantic import Field

from comment_service.core.outbox import OutboxLimits
from comment_service.core.pacing import Pacing
from comment_service.publish.placement import PlacementSettings
from comment_service.publish.publisher import PublishSettings
from comment_service.publish.replicas import Keepalive
from proto.clock_watch import ClockSettings
from proto.replicas import DispatcherSettings


class PublishingSettings(PlacementSettings, DispatcherSettings, ClockSettings):
    """Each with its unit and its reason"""

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

    def keepalive(self) -> Keepalive:
        return Keepalive(self.keepalive_ms, self.keepalive_timeout_ms)

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
