"""The life of a process of this room: from its settings to its exit code."""

import asyncio
import sys
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

import structlog
import uvloop

from proto.collector import calm_collector
from proto.logs import configure_logging
from proto.signals import on_stop_signals
from rms.config import DoorSettings, RmsSettings

log = structlog.stdlib.get_logger()

Told = TypeVar("Told", RmsSettings, DoorSettings)


class Service(Protocol):
    async def run(self) -> None:
        """Until it is stopped"""

    async def stop(self) -> None:
        """Makes `run` return, also if something goes wrong here."""


def run_process(name: str, settings: Told, build: Callable[[Told], Service]) -> NoReturn:
    """Until SIGTERM or SIGINT has stopped it. name: in every log line. build: called in the running loop; may raise
    OSError. Exit code 0: told to end; 1: it couldn't start."""
    configure_logging(settings, name)
    calm_collector(settings.gc_objects)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_run(settings, build)))


async def _run(settings: Told, build: Callable[[Told], Service]) -> int:
    try:
        service = build(settings)
    except OSError as error:
        log.error("can't start", listen=settings.listen, reason=str(error))
        return 1
    stopping: list[asyncio.Task[None]] = []
    on_stop_signals(lambda: stopping.append(asyncio.ensure_future(service.stop())))
    await service.run()
    return 0
