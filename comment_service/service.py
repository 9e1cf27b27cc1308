"""One comment_service, wired from its config: what it consists of, what begins, and in which order it ends."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from comment_service.clocks import boot_ms, monotonic_ms, monotonic_s, wall_ms
from comment_service.config import Config
from comment_service.core.rights import Rights
from comment_service.http.app import Api, HttpServer, OperatorsPort, make_server
from comment_service.http.called_nodes import CalledNodes
from comment_service.http.error_responses import ErrorResponses
from comment_service.http.kept_pages import KeptPages
from comment_service.http.moderating import ModeratingApi
from comment_service.http.page_files import PageFiles
from comment_service.http.pages import Pages
from comment_service.http.videos import VideosApi
from comment_service.metrics import ServiceStatistics, Tally, build_registry
from comment_service.moderate.copies import CopiesUpkeep, NodeCopies
from comment_service.moderate.moderator import Changing, Moderator
from comment_service.moderate.purging import Purges
from comment_service.node.adopting import adopt
from comment_service.node.claim import NodeClaim, NodeTaken, choose_node
from comment_service.node.clocked_ids import ClockedIds
from comment_service.node.first_clock import clock_ahead_ms
from comment_service.node.lazy_store import LazyStore
from comment_service.node.sweeping import sweep_for_ever
from comment_service.publish.placement import Placement
from comment_service.publish.publisher import Publisher
from comment_service.publish.replicas import Replicas
from comment_service.publish.watermark import StateDirInUse, Watermark, resumed_outbox
from comment_service.videos.catalogue import Catalogue
from comment_service.videos.gate import VideoGate
from comment_service.write.idempotency import IdempotentWrites
from comment_service.write.intake import Intake
from comment_service.write.key_claims import KeyClaims
from comment_service.write.withdrawing import Withdrawing
from history.cache.store import CachedStore
from history.config import ADOPTING_MS, ADOPTING_POLL_MS
from history.core.model import Comment
from history.group_commit import GroupCommit, Item
from history.opening import open_store, parse_store_url
from history.spool.draining import Lost, Taken
from history.spool.files import Spool
from history.spool.store import SpooledStore
from history.store import History, StoreUnavailable
from proto.clock_watch import ClockWatch
from proto.listening import address_of, listen
from proto.tasks import Supervisor, first_ended, shared

log = structlog.stdlib.get_logger()


async def build(config: Config) -> "Service":
    """Chooses the node number, takes the port and the state folder, and wires the service; nothing runs yet.

    Raises InvalidStoreUrl, NoNodeFree, StateDirInUse, SpoolInUse, and OSError for a port or a folder that can't be had.
    """
    parse_store_url(config.store)
    node = config.node
    if node == "auto":
        open_history = partial(open_store, config.store, config.store_settings())
        node = await choose_node(config.state_dir, config.node_lease_ms, open_history)
    with contextlib.ExitStack() as held:
        watermark = await _held(Watermark(config.state_dir, node))
        held.callback(watermark.release)
        spool = Spool.open(
            config.spool_folder(node),
            bytes_max=config.spool_bytes_max,
            segment_bytes_max=config.spool_segment_bytes_max,
        )
        held.callback(spool.release)
        listener = listen(config.listen, config.listen_backlog, config.user_timeout_ms)
        held.callback(listener.close)
        ahead_ms = await _ahead_ms(config)
        adopted = adopt(spool, node, config.state_dir, config.spool_folder(node).parent)
        for each in adopted:
            held.callback(each.watermark.release)
        owed_from_id = min((each.owed_from_id for each in adopted if each.owed_from_id is not None), default=None)
        service = Service(config, node, listener, watermark, spool, owed_from_id, ahead_ms)
        held.callback(service.operators.close)
        for each in adopted:
            each.settle()
        held.pop_all()
        return service


async def _ahead_ms(config: Config) -> int:
    """How far this process's clock is ahead of the dispatchers'; 0: it isn't, or nobody knows."""
    replicas = _replicas(config)
    try:
        ahead_ms = await clock_ahead_ms(replicas, config)
    finally:
        await replicas.close()
    if ahead_ms:
        log.error("clock is ahead, ids begin at the dispatchers' time", ahead_ms=ahead_ms)
    return ahead_ms


def _replicas(config: Config) -> Replicas:
    return Replicas(config.replica_addresses(), config.keepalive(), config.tls())


async def _held(watermark: Watermark) -> Watermark:
    """Raises StateDirInUse if another process holds it for longer than adopting takes."""
    end_ms = monotonic_ms() + ADOPTING_MS
    while True:
        try:
            return watermark.hold()
        except StateDirInUse:
            if monotonic_ms() >= end_ms:
                raise
        await asyncio.sleep(ADOPTING_POLL_MS / 1000)


class Service:
    """`run` until `stop`. Made by `build`; belongs to one event loop."""

    def __init__(
        self,
        config: Config,
        node: int,
        listener: socket.socket,
        watermark: Watermark,
        spool: Spool,
        owed_from_id: int | None,
        ahead_ms: int = 0,
    ) -> None:
        """owed_from_id: nodes have to read history from here on, for what other node numbers' processes left. ahead_ms:
        how far this process's clock is ahead."""
        self.config = config
        self.node = node
        self.address = address_of(listener)
        self._listener = listener
        self._watermark = watermark
        self._tasks = Supervisor()
        self._tally = Tally()
        self._history: History | None = None
        ids = ClockedIds(node, ahead_ms_max=config.clock_off_ms_max, wall_ms=wall_ms, boot_ms=boot_ms, off_ms=ahead_ms)
        outbox = resumed_outbox(
            watermark,
            ids,
            now_ms=wall_ms() - ahead_ms,
            lookback_ms=config.lookback_s * 1000,
            limits=config.outbox_limits(),
            owed_from_id=owed_from_id,
        )
        self.replicas = _replicas(config)
        self.clock = ClockWatch(config, self.replicas.connected_stubs, wall_ms, monotonic_ms, on_right=ids.confirm)
        self._placement = Placement(self.replicas, config)
        self.publisher = Publisher(self.replicas, outbox, watermark, config.publish_settings(), on_newest=ids.observe)
        self.lazy_store = LazyStore(
            self._open_history, retry_max_ms=config.store_retry_max_ms, slow_ms=config.node_wait_ms
        )
        self.spooled = SpooledStore(self.lazy_store, spool, self.publisher, config.spool_settings(), self._withdraw)
        self.store = CachedStore(self.spooled, config.cache_settings(), is_whole=lambda: not self.spooled.is_away)
        self.kept_pages = KeptPages(bytes_max=config.cache_pages_bytes_max)
        self.commit = self._group(self._append)
        self._claims = KeyClaims(
            *(self.store, self._opened, config.idempotency_keep_s * 1000, self._group, self._tally.durable)
        )
        self._node_claim = NodeClaim(node, config.state_dir, self._opened, config.lease_settings())
        self._copies = NodeCopies(self.store, self.spooled)
        self._upkeep = CopiesUpkeep(
            self._opened, self._copies, every_ms=config.forget_ms, overlap_ms=config.forget_overlap_ms
        )
        changing = Changing(
            *(self._opened, self._copies, self.publisher, ids, self._node_claim),
            published_ms=config.moderate_published_ms,
        )
        self._idempotent = IdempotentWrites(
            entries_max=config.idempotency_entries_max, keep_ms=config.idempotency_keep_s * 1000
        )
        self._withdrawing = Withdrawing(
            *(self._opened, ids, self._node_claim, changing, self.publisher, self._idempotent),
            comments_keep_ms=config.comments_keep_s * 1000,
            keys_keep_ms=config.idempotency_keep_s * 1000,
        )
        self._purges = Purges(*(self._opened, self._copies, changing, ids, self._node_claim), config.purge_settings())
        self._gate = VideoGate(self._opened, config.gate_settings())
        api = self._api(ids, Moderator(self._opened, changing))
        self.operators = OperatorsPort(config, api.readiness, build_registry(self.statistics))
        self.server = self._serving(api)

    def _serving(self, api: Api) -> HttpServer:
        config = self.config
        errors = ErrorResponses(
            retry_after_min_s=config.retry_after_min_s,
            retry_after_max_s=config.retry_after_max_s,
            refused=self._tally.refused,
        )
        return make_server(
            api,
            errors,
            config.cors_origins.split(","),
            config.connection_limits(),
            config,
            config.request_rates(),
            refused=self._tally.refused,
            stop_s=config.stop_requests_s,
        )

    def _api(self, ids: ClockedIds, moderator: Moderator) -> Api:
        """What HTTP requests reach"""
        config = self.config
        rights = Rights(config.admin_token)
        return Api(
            admission=config.admission(),
            intake=Intake(
                *(ids, self._node_claim, self.commit, self.publisher, self._idempotent, self._claims, self._gate),
                comments_keep_ms=config.comments_keep_s * 1000,
            ),
            history=self.store,
            pages=Pages(self.store, self.kept_pages, config.page_settings()),
            kept_pages=self.kept_pages,
            placement=self._placement,
            publisher=self.publisher,
            replicas=self.replicas,
            gate=self._gate,
            clock=self.clock.statistics,
            spooled=self.spooled.statistics,
            videos=VideosApi(Catalogue(self._opened, self._gate), self.store, rights, config.video_limits()),
            moderating=ModeratingApi(moderator, self._purges, rights),
            page_files=PageFiles(config.page_policy()),
            called_nodes=CalledNodes(config.page_calls()),
            limits=config.http_limits(),
        )

    def statistics(self) -> ServiceStatistics:
        return ServiceStatistics(
            tally=self._tally,
            commit=self.commit.statistics(),
            claims=self._claims.statistics(),
            spooled=self.spooled.statistics(),
            cache=self.store.statistics(),
            pages=self.kept_pages.statistics(),
            publisher=self.publisher.statistics(),
            dispatchers=self.replicas.addresses,
            dispatchers_connected=self.replicas.connected(),
            dispatchers_nodes=self.replicas.nodes,
            clock=self.clock.statistics(),
        )

    def stop(self) -> None:
        """Makes `run` end: no new connections, then what is under way."""
        self.server.stop()

    async def run(self) -> None:
        """Serves until `stop`. Raises NodeTaken if the node number belongs to another process, and whatever makes it
        impossible to open the store; any other error in the background is logged, and its work begun again."""
        self._begin()
        operators, serving = shared(self.operators.run()), shared(self._serve())
        log.info("comment_service listening", listen=self.address, operators=self.operators.address, node=self.node)
        try:
            await first_ended(_wait(serving), self._tasks.wait_fatal())
        finally:
            self.stop()
            await asyncio.wait({serving})  # requests under way get their responses
            await self._end()
            self.operators.stop()
            await asyncio.wait({operators})

    def _begin(self) -> None:
        keep = self._tasks.keep
        self.publisher.start(self._tasks)
        keep("open store", self._open_store, fatal=(Exception,))
        keep("claim node number", self._claim_node, fatal=(NodeTaken,))
        keep("drain spool", self._drain)
        keep("follow dispatchers", self.replicas.follow)
        keep("compare clocks", self.clock.run)
        keep("keep copies true", self._upkeep.run)
        keep("follow videos", self._gate.follow)
        keep("carry on purges", self._purges.run)
        keep("sweep", lambda: sweep_for_ever(self._opened, self.config.sweep_s))

    async def _serve(self) -> None:
        """Connections wait in the backlog until it is sure that no other process gives the same ids."""
        if not await self._node_claim.wait_decided():
            await self._tasks.wait_fatal()  # raises NodeTaken
        await self.server.serve(sockets=[self._listener])

    async def _end(self) -> None:
        """What others still need ends last."""
        await self._placement.close()
        await self._claims.close()
        await self.commit.close()
        await self.publisher.close(self.config.stop_backlog_ms)
        await self._tasks.close()
        if not self.spooled.is_away:  # else the next process needs what is left of the lease: it can get no other
            await self._node_claim.release()
        await self.store.close()
        await self.replicas.close()
        self._watermark.release()
        facts = self.publisher.statistics()
        log.info("comment_service stopped", published=facts.published, resent=facts.resent, left=facts.backlog)

    async def _open_store(self) -> None:
        await self.lazy_store.open()
        log.info("comment_service ready", listen=self.address, node=self.node)

    async def _claim_node(self) -> None:
        await self.lazy_store.tried.wait()  # a claim can't be made earlier
        await self._node_claim.keep()

    async def _drain(self) -> None:
        await self.lazy_store.tried.wait()  # so that a start isn't logged as if the store had gone away
        await self.spooled.drain()

    async def _open_history(self) -> History:
        self._history = await open_store(self.config.store, self.config.store_settings())
        return self._history

    async def _withdraw(self, lost: Lost | Taken) -> None:
        if isinstance(lost, Taken):
            await self._withdrawing.renumber(lost)
        else:
            await self._withdrawing.withdraw(lost)

    def _opened(self) -> History:
        """The store with all that it can do. Raises StoreUnavailable until it is open."""
        if self._history is None:
            raise StoreUnavailable("the store has not been opened yet")
        return self._history

    def _group(self, write: Callable[[Sequence[Item]], Awaitable[None]]) -> GroupCommit[Item]:
        config = self.config
        return GroupCommit(
            write,
            batch_max=config.commit_batch_max,
            pending_max=config.commit_pending_max,
            writes_max=config.commit_writes_max,
            gather_ms=config.commit_gather_ms,
            patience_ms=config.commit_patience_ms,
        )

    async def _append(self, comments: Sequence[Comment]) -> None:
        begin_s = monotonic_s()
        await self.store.append(comments)
        self._tally.durable(len(comments), (monotonic_s() - begin_s) * 1000)


async def _wait(serving: "asyncio.Task[None]") -> None:
    """Its cancellation doesn't cancel serving."""
    await asyncio.shield(serving)
