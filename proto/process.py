"""Runs a service's process, from its settings to its exit code, in the same way for every service."""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol, TypeVar

import structlog
import uvloop

from proto.collector import calm_collector
from proto.logs import configure_logging
from proto.open_files import raise_open_files
from proto.settings import Settings
from proto.signals import on_stop_signals
from proto.tasks import Supervisor

log = structlog.stdlib.get_logger()

SettingsT = TypeVar("SettingsT", bound=Settings)


class Service(Protocol):
    """What a process runs"""

    async def run(self) -> None:
        """Works until `stop`. Raises errors after which the process can't go on."""

    def stop(self) -> Awaitable[None] | None:
        """Makes `run` return, even if this call fails."""


def run_process(
    name: str,
    settings: SettingsT,
    build: Callable[[SettingsT], Awaitable[Service]],
    cannot_start: tuple[type[Exception], ...] = (),
) -> NoReturn:
    """Runs the service until SIGTERM or SIGINT, and exits: 0 after a signal, 1 when it couldn't start or go on.

    name: in every log line. build: called in the running loop. cannot_start: errors of `build` and
    `run`, beside OSError, that a person can mend; their sentence is logged, without a traceback.
    """
    configure_logging(settings, name)
    calm_collector(settings.gc_objects)
    files = raise_open_files()
    if files < (wanted := getattr(settings, "connections_max", 0)):
        log.warning("few files may be open, so few connections", files=files, wanted=wanted)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(live(settings, build, cannot_start)))


async def live(
    settings: SettingsT,
    build: Callable[[SettingsT], Awaitable[Service]],
    cannot_start: tuple[type[Exception], ...] = (),
) -> int:
    """As `run_process`, in a running loop. Returns the exit code."""
    asyncio.get_running_loop().set_exception_handler(log_unhandled)
    expected: tuple[type[Exception], ...] = (OSError, *cannot_start)
    try:
        service = await build(settings)
    except expected as error:
        log.error("can't start", listen=getattr(settings, "listen", ""), reason=str(error))
        return 1
    stopping = Supervisor()

    async def stop() -> None:
        ending = service.stop()
        if inspect.isawaitable(ending):
            await ending

    on_stop_signals(lambda: stopping.spawn("stop", stop()))
    try:
        await service.run()
    except expected as error:
        log.error("ended", reason=str(error))
        return 1
    except Exception as error:
        log.exception("ended", reason=repr(error))
        return 1
    return 0


def log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's exception handler. Logs a failed callback, or a task whose error nobody retrieved, with its reason."""
    error = context.get("exception")
    log.error("unhandled error", message=context["message"], reason=repr(error), exc_info=error)
