"""Every number of the outage bench: its unit, and why it is what it is."""

from dataclasses import dataclass

PAUSE_REACH_S = 1.0
"""The longest time that nobody gets a 200 while the process is up"""


@dataclass(frozen=True, slots=True)
class OutageSettings:
    videos: int = 2  # a catch-up is a read for each video
    warm_s: float = 5.0  # posting before the first fault: connections, JIT and caches are no longer new
    after_s: float = 5.0  # posting after all is drained: what was spooled and what is live meet
    keyed_every: int = 10  # each so many-th post carries an Idempotency-Key, as a page's do
    again_s: float = 0.1  # until a post that failed is sent again; a person takes longer
    answer_timeout_s: float = 10.0  # for a post; longer than a comment_service waits for anything
    give_up_s: float = 60.0  # for a post with all of its tries
    drained_s: float = 60.0  # for the spool to empty once Cassandra answers; 20,000 comments take about a second
    connect_timeout_s: float = 60.0  # for all viewers; a hundred take a second
    settle_s: float = 30.0  # after the last post, for all viewers to have all; the last catch-up retries every 5 s
    doubles_s: float = 0.5  # when all have all: a doubled comment would come now
    poll_s: float = 0.2  # between two looks at the service's metrics


OUTAGE = OutageSettings()
