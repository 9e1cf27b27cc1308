"""python -m dispatcher: one replica, until SIGTERM or SIGINT. Exit code 0: told to end; 1: it couldn't listen."""

import asyncio
import sys

import structlog
import uvloop

from dispatcher.clocks import steady_clock_ms
from dispatcher.config import Config
from dispatcher.server import Server
from proto.collector import calm_collector
from proto.logs import configure_logging
from proto.signals import on_stop_signals

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger()


def build(config: Config) -> Server:
    """Call it in a running loop. Raises RuntimeError if the port is taken, OSError if a certificate can't be read."""
    return Server(config, steady_clock_ms())


async def run(config: Config) -> int:
    """Returns the exit code."""
    try:
        server = build(config)
    except (RuntimeError, OSError) as error:
        log.error("dispatcher can't listen", listen=config.listen, reason=str(error))
        return 1
    told = asyncio.Event()
    on_stop_signals(told.set)
    try:
        await server.start()
    except OSError as error:
        log.error("dispatcher can't listen", metrics_listen=config.metrics_listen, reason=str(error))
        await server.stop()
        return 1
    log.info("dispatcher ready", listen=server.listen, replica=server.replica.replica_id)
    await told.wait()
    log.info("dispatcher stopping", listen=server.listen)
    await server.stop()
    log.info("dispatcher stopped", listen=server.listen)
    return 0


def main() -> int:
    config = Config.parse()
    configure_logging(config, "dispatcher")
    calm_collector(config.gc_objects)
    return uvloop.run(run(config))


if __name__ == "__main__":
    sys.exit(main())
