"""python -m comment_service: parse the settings, build the service, run it, end it cleanly."""

import asyncio
import sys
from collections.abc import Sequence

import structlog
import uvloop

from comment_service.config import Config
from comment_service.node.claim import NodeTaken, NoNodeFree
from comment_service.node.number import with_node
from comment_service.publish.watermark import StateDirInUse
from comment_service.service import build
from history.opening import InvalidStoreUrl
from history.spool.files import SpoolInUse
from proto.collector import calm_collector
from proto.logs import configure_logging
from proto.signals import on_stop_signals

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


def main(argv: Sequence[str] | None = None) -> int:
    config = Config.parse(argv)
    configure_logging(config, "comment_service")
    calm_collector(config.gc_objects)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(config))


if __name__ == "__main__":
    sys.exit(main())
