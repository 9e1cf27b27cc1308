"""Holds every number of the tools, with its unit and its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SseSettings:
    """How the tools' viewers reconnect after a cut."""

    retry_first_ms: int = 200  # the server's own `retry:` replaces it; a person doesn't notice a fifth of a second
    retry_max_ms: int = 5_000  # doubles up to here: a server that comes back has all viewers again within 5 s
    connect_timeout_s: float = 5.0  # on one machine or in one city a connection takes far less
    open_timeout_s: float = 10.0  # until a stream has begun: a viewer may be placed on a node whose host has just died
    silence_max_s: float = 45.0  # servers send a heartbeat every 15 to 30 s; after this the connection counts as dead
    event_bytes_max: int = 1 << 20  # of one event; a comment has some 2 KB, and nobody may fill a viewer's memory


@dataclass(frozen=True, slots=True)
class PostSettings:
    """How the tools post comments."""

    answer_timeout_s: float = 10.0  # a healthy post takes milliseconds; people don't wait longer for a store that hangs
    give_up_s: float = 60.0  # a killed comment_service is back within seconds; a minute is an outage
    wait_first_s: float = 0.1  # before the first retry; doubles, with jitter, so that retries don't come in waves
    wait_max_s: float = 3.0  # longest wait, unless Retry-After asks for more
    in_flight_max: int = 256  # posts without a response at one time: more would measure our own connections


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How scripts/replay measures."""

    settle_s: float = 15.0  # after the last post: a viewer that reconnects just then needs 5 s, and then its backfill
    connect_timeout_s: float = 60.0  # for all viewers together: a thousand take a few seconds
    progress_every_s: float = 5.0  # between progress lines, where no bar can be drawn


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How scripts/watch shows comments."""

    shown_max: int = 10_000  # remembered ids, to drop comments that come again: far more than a resumed window holds


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """How scripts/run and the tests supervise processes."""

    ready_timeout_s: float = 60.0  # a service needs a second; its first start on a small, busy machine a minute
    ready_poll_s: float = 0.05  # between two readiness checks: shorter than a person can notice
    stop_timeout_s: float = 15.0  # services end in less; after this comes SIGKILL
    restart_first_s: float = 0.2  # after a single crash the service is back at once
    restart_max_s: float = 5.0  # crashes at every start double the wait up to here
    healthy_after_s: float = 10.0  # a process that lived this long begins with restart_first_s again
    line_bytes_max: int = 64 * 1024  # a longer line of a child is split here, so no child can fill our memory


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How scripts/run starts the system."""

    starts_max: int = 3  # when a port is taken between its choice and its use; twice in a row is very bad luck


@dataclass(frozen=True, slots=True)
class MutantSettings:
    """How scripts/mutants runs a file's tests on its mutants."""

    share_min: float = 0.95  # of a file's mutants that aren't equivalent, noticed by its own tests
    examples_max: int = 25  # of a hypothesis test that sets no number: few, as each mutant that survives costs them all
    first_cpu_s: float = 120.0  # for the tests on the file as it is; pure ones take 1 to 5 s
    cpu_times: float = 3.0  # of what the file as it is took: a loop that doesn't end any more is noticed
    cpu_s_least: float = 3.0  # added to it: the imports alone take half a second
    wall_s: int = 60  # for one test that waits for ever, on a busy machine
    data_bytes_max: int = 2 << 30  # a loop that fills memory is noticed before the machine suffers
    said_bytes_max: int = 2_000  # of pytest's last words, which tell why the tests of the file as it is fail


SSE = SseSettings()
POST = PostSettings()
REPLAY = ReplaySettings()
WATCH = WatchSettings()
SUPERVISOR = SupervisorSettings()
RUN = RunSettings()
MUTANTS = MutantSettings()
