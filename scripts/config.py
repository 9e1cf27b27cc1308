"""Every number of the tools: its unit, and why it is what it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SseSettings:
    """How a viewer of the tools comes back after a cut."""

    retry_first_ms: int = 200  # the server's own `retry:` goes before it; a person doesn't notice a fifth of a second
    retry_max_ms: int = 5_000  # doubles up to here: a server that comes back has everybody again within 5 s
    connect_timeout_s: float = 5.0  # on one machine or in one city a connection takes far less
    open_timeout_s: float = 10.0  # until a stream has begun: placed on a node whose host has just gone, ask again
    silence_max_s: float = 45.0  # servers send a heartbeat every 15 to 30 s; after this the connection is held for dead


@dataclass(frozen=True, slots=True)
class PostSettings:
    """How the tools post."""

    answer_timeout_s: float = 10.0  # a healthy post takes milliseconds; a store that hangs is given up before people do
    give_up_s: float = 60.0  # a comment_service that was killed is there again within seconds; a minute is an outage
    wait_first_s: float = 0.1  # before the first retry; doubles, with jitter, so that retries don't come in waves
    wait_max_s: float = 3.0  # and never more, unless Retry-After asks for it
    in_flight_max: int = 256  # posts without an answer at one time: more would measure our own connections


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How scripts/replay measures."""

    settle_s: float = 15.0  # after the last post: a viewer that is just coming back needs 5 s, and then its backfill
    connect_timeout_s: float = 60.0  # for all viewers together: a thousand take a few seconds
    progress_every_s: float = 5.0  # a line in a log, where no bar can be drawn


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How scripts/watch shows."""

    shown_max: int = 10_000  # ids that are remembered, to drop what comes again: far more than a resumed window holds


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """How scripts/run and the tests look after processes."""

    ready_timeout_s: float = 60.0  # a service needs a second; a first start on a small machine that is busy, a minute
    ready_poll_s: float = 0.05  # between two questions for readiness: shorter than anybody can see
    stop_timeout_s: float = 15.0  # services bound their own end to less; after this comes SIGKILL
    restart_first_s: float = 0.2  # a crash by chance is healed at once
    restart_max_s: float = 5.0  # a crash at every start doubles the wait up to here
    healthy_after_s: float = 10.0  # who has lived this long begins with restart_first_s again
    line_bytes_max: int = 64 * 1024  # a longer line of a child is cut here: no child can fill our memory


SSE = SseSettings()
POST = PostSettings()
REPLAY = ReplaySettings()
WATCH = WatchSettings()
SUPERVISOR = SupervisorSettings()
