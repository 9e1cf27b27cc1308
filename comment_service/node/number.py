"""From `--node auto` to a number, before the service is built: ids hang on it, so it never changes."""

import random

import structlog

from comment_service.clocks import wall_ms
from comment_service.config import Config
from comment_service.node.claim import free_node, is_leased, last_node, remember_node
from history.core.ids import NODES
from history.opening import open_store
from history.store import StoreUnavailable

log = structlog.stdlib.get_logger()


async def with_node(config: Config) -> Config:
    """The config with a number: the one that it says, or a free one, claimed.

    This folder's last one is taken without asking while its lease still runs. When the store is away: the last one, or
    any, which is the last one from then on. It is claimed once the store is back, and a process whose number then turns
    out to be another's ends. Raises InvalidStoreUrl, NoNodeFree, OSError.
    """
    if config.node != "auto":
        return config
    last = last_node(config.state_dir)
    if last is not None and is_leased(config.state_dir, last, wall_ms()):
        return config.model_copy(update={"node": last})
    try:
        history = await open_store(config.store, config.store_settings())
        try:
            node = await free_node(history, config.state_dir, config.node_lease_ms)
        finally:
            await history.close()
    except StoreUnavailable as error:
        node = random.randrange(NODES) if last is None else last
        remember_node(config.state_dir, node)
        log.warning("node number not claimed yet, the store is away", node=node, reason=str(error))
    return config.model_copy(update={"node": node})
