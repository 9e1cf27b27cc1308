"""A whole comment_service, wired from its config: what starts, and what ends in which order."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
import uvicorn

from comment_service.clocks import monotonic_s, wall_ms
from comment_service.config import Config
from comment_service.core.outbox import Outbox
from comment_service.core.rights import Rights
from comment_service.erase.copies import forget_for_ever
from comment_service.erase.eraser import Eraser
from comment_service.http.app import Api, make_app
from comment_service.http.erasing import ErasingApi
from comment_service.http.error_responses import ErrorAnswers
from comment_service.http.http_protocol import http_protocol
from comment_service.http.kept_pages import KeptPages
from comment_service.http.pages import Pages
from comment_service.http.videos import VideosApi
from comment_service.metrics import ServiceStatistics, Tally, build_registry
from comment_service.node.claim import NodeClaim
from comment_service.node.lazy_store import LateStore
from comment_service.node.sweeping import sweep_for_ever
from comment_service.publish.placement import Placement
from comment_service.publish.publisher import Publisher
from comment_service.publish.replicas import Replicas
from comment_service.publish.watermark import Watermark
from comment_service.videos.catalogue import Catalogue
from comment_service.videos.gate import VideoGate
from comment_service.write.idempotency import FirstAnswers
from comment_service.write.intake import Intake
from comment_service.write.key_claims import KeyClaims
from history.cache.store import CachedStore
from history.core.ids import IdSource, first_id_at, time_of
from history.core.model import Comment
from history.core.video import Video
from history.group_commit import GroupCommit, Item
from history.opening import open_store, parse_store_url
from history.spool.files import Spool
from history.spool.store import SpooledStore
from history.store import History, StoreUnavailable
from proto.http.responses import HttpServer
from proto.settings import split_address

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class Copies:
    """Where this node has comments beside the store"""

    cached: CachedStore
    spooled: SpooledStore

    async def forget(self, video_id: str, ids: Sequence[int]) -> None:
        self.spooled.forget(video_id, ids)
        await self.cached.forget(video_id, ids)

    async def read_again(self, video_id: str, low_id: int, high_id: int) -> None:
        await self.cached.read_again(video_id, low_id, high_id)

    async def wait_drained(self) -> None:
        await self.spooled.wait_drained()


class Service:
    """`run` until `stop`. Made by `build`; belongs to one event loop."""

    def __init__(self, config: Config, listener: socket.socket, watermark: Watermark, spool: Spool) -> None:
        self.config = config
        self._listener = listener
        self._watermark = watermark
        host, port = listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.replicas = Replicas(config.whereabouts(), config.keepalive(), config.tls())
        assert isinstance(config.node, int)  # `with_node` has chosen
        ids = IdSource(config.node)
        self._node_claim = NodeClaim(config.node, config.state_dir, self._opened, config.lease_settings())
        self.publisher = Publisher(self.replicas, self._outbox(ids), watermark, config.publish_settings())
        self._history: History | None = None
        self.late_store = LateStore(self._open_history, retry_max_ms=config.store_retry_max_ms)
        self.spooled = SpooledStore(self.late_store, spool, self.publisher, config.spool_settings())
        self.store = CachedStore(self.spooled, config.cache_settings(), is_whole=self._is_whole)
        self.kept_pages = KeptPages(bytes_max=config.cache_pages_bytes_max)
        self._tally = Tally()
        self.commit = self._group(self._append)
        self.server = self._server(self._api(ids))

    def statistics(self) -> ServiceStatistics:
        return ServiceStatistics(
            tally=self._tally,
            commit=self.commit.statistics(),
            claims=self._claims.statistics(),
            spooled=self.spooled.statistics(),
            cache=self.store.statistics(),
            pages=self.kept_pages.statistics(),
            publisher=self.publisher.statistics(),
            dispatchers_connected=self.replicas.connected(),
        )

    def _group(self, write: Callable[[Sequence[Item]], Awaitable[None]]) -> GroupCommit[Item]:
        config = self.config
        return GroupCommit(
            write,
            batch_max=config.commit_batch_max,
            pending_max=config.commit_pending_max,
            writes_max=config.commit_writes_max,
            patience_ms=config.commit_patience_ms,
        )

    async def _append(self, comments: Sequence[Comment]) -> None:
        begin_s = monotonic_s()
        await self.store.append(comments)
        self._tally.durable(len(comments), (monotonic_s() - begin_s) * 1000)

    def _is_whole(self) -> bool:
        return not self.spooled.is_away

    async def _open_history(self) -> History:
        self._history = await open_store(self.config.store, self.config.store_settings())
        return self._history

    def _opened(self) -> History:
        """The store with all that it can do. Raises StoreUnavailable until it is open."""
        if self._history is None:
            raise StoreUnavailable("the store has not been opened yet")
        return self._history

    async def _video(self, video_id: str) -> Video | None:
        return await self._opened().video(video_id)

    def _outbox(self, ids: IdSource) -> Outbox:
        """An outbox that owes what the last process left. The ids go on above that process's, also when the clock
        has stepped back."""
        now_ms = wall_ms()
        last = self._watermark.read()
        first_id = ids.next(now_ms if last is None else max(now_ms, time_of(last.low_id) + 1))
        outbox = Outbox(
            first_id=first_id,
            batch_comments_max=self.config.publish_batch_max,
            batches_in_flight_max=self.config.publish_in_flight_max,
            comments_max=self.config.publish_backlog_max,
        )
        if last is None:
            outbox.owe(first_id_at(now_ms - self.config.lookback_s * 1000))
        elif not last.clean:
            log.info("the last process was killed, nodes will read history", behind_ms=now_ms - time_of(last.low_id))
            outbox.owe(last.low_id)
        try:
            self._watermark.write(outbox.low_id())
        except OSError as error:
            if last is None or last.clean:
                raise  # a kill from now on would leave nothing that counts
            log.warning("watermark can't be saved, the last process's holds", reason=str(error))
        return outbox

    def _api(self, ids: IdSource) -> Api:
        config = self.config
        first_answers = FirstAnswers(
            entries_max=config.idempotency_entries_max, keep_ms=config.idempotency_keep_s * 1000
        )
        rights = Rights(config.admin_token)
        gate = VideoGate(self._video, config.gate_settings())
        self._copies = Copies(self.store, self.spooled)
        self._claims = KeyClaims(self._opened, self.spooled, config.claim_settings(), self._group)
        eraser = Eraser(self._opened, self._copies, self.publisher, ids, config.erase_settings())
        return Api(
            admission=config.admission(),
            intake=Intake(ids, self.commit, self.publisher, first_answers, self._claims, gate),
            history=self.store,
            pages=Pages(self.store, self.kept_pages, config.page_settings()),
            kept_pages=self.kept_pages,
            registry=build_registry(self.statistics),
            placement=Placement(
                self.replicas, try_timeout_ms=config.place_try_timeout_ms, timeout_ms=config.place_timeout_ms
            ),
            publisher=self.publisher,
            replicas=self.replicas,
            videos=VideosApi(Catalogue(self._opened, gate), self.store, rights, config.video_limits()),
            erasing=ErasingApi(eraser, rights),
            limits=config.http_limits(),
        )

    def _server(self, api: Api) -> HttpServer:
        config = self.config
        answers = ErrorAnswers(
            retry_after_min_s=config.retry_after_min_s,
            retry_after_max_s=config.retry_after_max_s,
            refused=self._tally.refused,
        )
        app, take = make_app(api, answers, config.cors_origins.split(","))
        return HttpServer(
            uvicorn.Config(
                app,
                http=http_protocol(config.connection_limits(), take),
                ws="none",
                lifespan="off",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here depends on who the sender says that it is
                log_config=None,
                backlog=config.listen_backlog,
                timeout_keep_alive=config.keep_alive_s,
                timeout_graceful_shutdown=config.stop_requests_s,
            )
        )

    def stop(self) -> None:
        """Ends `run`: no new connections, then what is under way."""
        self.server.stop()

    async def run(self) -> None:
        """Serves until `stop`. Raises whatever breaks a task that must go on for ever: a part that fails silently
        would be worse than the end."""
        working = self.publisher.start()
        opening = self.late_store.start()
        opening.add_done_callback(self._say_ready)
        behind = [
            asyncio.create_task(self.replicas.follow()),
            asyncio.create_task(self._drain()),
            asyncio.create_task(self._keep_node()),
            asyncio.create_task(self._forget_erased()),
            asyncio.create_task(sweep_for_ever(self._opened, self.config.sweep_s)),
        ]
        serving = asyncio.create_task(self._serve())
        log.info("comment_service listening", listen=self.address, node=self.config.node)
        try:
            await _first_ended(serving, opening, *behind, *working)
        finally:
            self.stop()
            await serving
            await self._claims.close()
            await self.commit.close()
            await self.publisher.close(self.config.stop_backlog_ms)
            for task in behind:
                task.cancel()
            await asyncio.gather(*behind, return_exceptions=True)
            if not self.spooled.is_away:  # else the next process needs what is left of the lease: it can get no other
                await self._node_claim.release()
            await self.store.close()
            await self.replicas.close()
            self._watermark.release()
            log.info("comment_service stopped", **_publisher_facts(self.publisher))

    async def _serve(self) -> None:
        """Connections wait in the backlog until it is sure that no other process gives the same ids."""
        if await self._node_claim.wait_decided():
            await self.server.serve(sockets=[self._listener])

    async def _keep_node(self) -> None:
        await self.late_store.tried.wait()  # a claim that can't be made yet needs no second try
        await self._node_claim.keep()

    async def _forget_erased(self) -> None:
        await forget_for_ever(
            self._opened, self._copies, every_ms=self.config.forget_ms, overlap_ms=self.config.forget_overlap_ms
        )

    async def _drain(self) -> None:
        await self.late_store.tried.wait()  # a start isn't told as if the store had gone
        await self.spooled.drain()

    def _say_ready(self, opening: "asyncio.Task[None]") -> None:
        if not opening.cancelled() and opening.exception() is None:
            log.info("comment_service ready", listen=self.address, node=self.config.node)


def build(config: Config) -> Service:
    """Takes the port and the state folder, and wires the service; nothing works yet. Call it in the event loop, with a
    node that is a number (`with_node`).

    Raises InvalidStoreUrl, StateDirInUse, SpoolInUse, and OSError for a port or a folder that can't be had.
    """
    parse_store_url(config.store)
    assert isinstance(config.node, int)
    with contextlib.ExitStack() as held:
        watermark = Watermark(config.state_dir, config.node).hold()
        held.callback(watermark.release)
        spool = Spool.open(
            config.spool_folder(),
            bytes_max=config.spool_bytes_max,
            segment_bytes_max=config.spool_segment_bytes_max,
        )
        held.callback(spool.release)
        listener = _listen(config.listen, config.listen_backlog)
        held.callback(listener.close)
        service = Service(config, listener, watermark, spool)
        held.pop_all()
        return service


def _listen(address: str, backlog: int) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port > 65535:
        raise OSError(f"there is no port {port}; ports end at 65535")
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    # Accepted connections inherit it. uvicorn sends head and body in two writes: without it the second one waits
    # 40 ms for a delayed ACK. asyncio sets it only on sockets that name their protocol, which this one doesn't.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _first_ended(
    serving: "asyncio.Task[None]", opening: "asyncio.Task[None]", *working: "asyncio.Task[None]"
) -> None:
    """Returns when serving has ended; raises if one of the others has failed."""
    watched = {serving, opening, *working}
    while not serving.done():
        ended, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()


def _publisher_facts(publisher: Publisher) -> dict[str, int]:
    statistics = publisher.statistics()
    return {"published": statistics.published, "resent": statistics.resent, "left": statistics.backlog}
