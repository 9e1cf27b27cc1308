"""python -m comment_service: parse the settings, build the service, run it, end it cleanly."""

import asyncio
import gc
import sys
from collections.abc import Sequence

import structlog
import uvloop

from comment_service.config import Config
from comment_service.node_claim import NodeTaken, NoNodeFree
from comment_service.node_number import with_node
from comment_service.service import build
from comment_service.watermark import StateDirInUse
from history.opening import InvalidStoreUrl
from history.spool import SpoolInUse
from proto.http import on_stop_signals
from proto.logs import configure_logging

log = structlog.stdlib.get_logger()


async def run(config: Config) -> int:
    """The process's exit code: 0 after a stop signal, 1 when it can't start"""
    try:
        service = build(await with_node(config))
    except (InvalidStoreUrl, NoNodeFree, StateDirInUse, SpoolInUse) as error:
        log.error("can't start", reason=str(error))
        return 1
    except OSError as error:
        log.error("can't start", listen=config.listen, state_dir=str(config.state_dir), reason=str(error))
        return 1
    on_stop_signals(service.stop)
    try:
        await service.run()
    except NodeTaken as error:
        log.error("ended", reason=str(error))
        return 1
    return 0


def calm_collector(allocations: int) -> None:
    """Python looks for unreachable cycles each 700 allocations, through ever more of the memory. A request leaves none
    behind; looking for them took a sixth of the CPU, and stopped everybody for 60 ms now and then. From here on what
    exists (all modules) is never looked through again, and the rest each time that so many objects more are there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(allocations)


def main(argv: Sequence[str] | None = None) -> int:
    config = Config.parse(argv)
    configure_logging(config, "comment_service")
    calm_collector(config.gc_allocations)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(config))


if __name__ == "__main__":
    sys.exit(main())
