"""From `--node auto` to a number, before the service is built: ids hang on it, so it never changes."""

import random
import time

import structlog

from comment_service.config import Config
from comment_service.node_claim import free_node, last_node, leased_node
from history.ids import NODES
from history.opening import open_store
from history.store import StoreUnavailable

log = structlog.stdlib.get_logger()


async def with_node(config: Config) -> Config:
    """The config with a number: the one that it says, or a free one, claimed.

    A number whose lease still runs is taken without asking. When the store is away: this folder's last one, or any. It
    is claimed once the store is back, and a process whose number then turns out to be another's ends. Raises
    InvalidStoreUrl, NoNodeFree, OSError.
    """
    if config.node != "auto":
        return config
    leased = leased_node(config.state_dir, time.time_ns() // 1_000_000)
    if leased is not None:
        return config.model_copy(update={"node": leased})
    try:
        history = await open_store(config.store, config.store_settings())
        try:
            node = await free_node(history, config.state_dir, config.node_lease_ms)
        finally:
            await history.close()
    except StoreUnavailable as error:
        last = last_node(config.state_dir)
        node = random.randrange(NODES) if last is None else last
        log.warning("node number not claimed yet, the store is away", node=node, reason=str(error))
    return config.model_copy(update={"node": node})
