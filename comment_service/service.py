"""A whole comment_service, wired from its config: what starts, and what ends in which order."""

import asyncio
import contextlib
import socket
import time
from functools import partial

import structlog
import uvicorn

from comment_service.answers import ErrorAnswers
from comment_service.app import Api, make_app
from comment_service.config import Config
from comment_service.http_protocol import http_protocol
from comment_service.idempotency import FirstAnswers
from comment_service.intake import Intake
from comment_service.late_store import LateStore
from comment_service.outbox import Outbox
from comment_service.placement import Placement
from comment_service.publish import Publisher
from comment_service.replicas import Replicas
from comment_service.watermark import Watermark
from history.group_commit import GroupCommit
from history.ids import IdSource, first_id_at, time_of
from history.opening import open_store, parse_store_url
from history.spool import Spool
from history.spooled_store import SpooledStore
from proto.http import HttpServer
from proto.settings import split_address

log = structlog.stdlib.get_logger()


class Service:
    """`run` until `stop`. Made by `build`; belongs to one event loop."""

    def __init__(self, config: Config, listener: socket.socket, watermark: Watermark, spool: Spool) -> None:
        self.config = config
        self._listener = listener
        self._watermark = watermark
        host, port = listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.replicas = Replicas(config.dispatchers.split(","), config.keepalive())
        ids = IdSource(config.node)
        self.publisher = Publisher(self.replicas, self._outbox(ids), watermark, config.publish_settings())
        self.late_store = LateStore(partial(open_store, config.store), retry_max_ms=config.store_retry_max_ms)
        self.store = SpooledStore(self.late_store, spool, self.publisher, config.spool_settings())
        self.commit = GroupCommit(
            self.store.append,
            batch_max=config.commit_batch_max,
            pending_max=config.commit_pending_max,
            writes_max=config.commit_writes_max,
        )
        self.server = self._server(self._api(ids))

    def _outbox(self, ids: IdSource) -> Outbox:
        """An outbox that owes what the last process left. The ids go on above that process's, also when the clock
        has stepped back."""
        now_ms = time.time_ns() // 1_000_000
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
        self._watermark.write(outbox.low_id())
        return outbox

    def _api(self, ids: IdSource) -> Api:
        config = self.config
        first_answers = FirstAnswers(
            entries_max=config.idempotency_entries_max, keep_ms=config.idempotency_keep_s * 1000
        )
        return Api(
            admission=config.admission(),
            intake=Intake(ids, self.commit, self.publisher, first_answers),
            history=self.store,
            placement=Placement(
                self.replicas, try_timeout_ms=config.place_try_timeout_ms, timeout_ms=config.place_timeout_ms
            ),
            publisher=self.publisher,
            replicas=self.replicas,
            limits=config.http_limits(),
        )

    def _server(self, api: Api) -> HttpServer:
        config = self.config
        answers = ErrorAnswers(retry_after_min_s=config.retry_after_min_s, retry_after_max_s=config.retry_after_max_s)
        return HttpServer(
            uvicorn.Config(
                make_app(api, answers, config.cors_origins.split(",")),
                http=http_protocol(config.connection_limits()),
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
        draining = asyncio.create_task(self._drain())
        serving = asyncio.create_task(self.server.serve(sockets=[self._listener]))
        log.info("comment_service listening", listen=self.address, node=self.config.node)
        try:
            await _first_ended(serving, opening, draining, *working)
        finally:
            self.stop()
            await serving
            await self.commit.close()
            await self.publisher.close(self.config.stop_backlog_ms)
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            await self.store.close()
            await self.replicas.close()
            self._watermark.release()
            log.info("comment_service stopped", **_publisher_facts(self.publisher))

    async def _drain(self) -> None:
        await self.late_store.tried.wait()  # a start isn't told as if the store had gone
        await self.store.drain()

    def _say_ready(self, opening: "asyncio.Task[None]") -> None:
        if not opening.cancelled() and opening.exception() is None:
            log.info("comment_service ready", listen=self.address, node=self.config.node)


def build(config: Config) -> Service:
    """Takes the port and the state folder, and wires the service; nothing works yet. Call it in the event loop.

    Raises InvalidStoreUrl, StateDirInUse, SpoolInUse, and OSError for a port or a folder that can't be had.
    """
    parse_store_url(config.store)
    with contextlib.ExitStack() as held:
        watermark = Watermark(config.state_dir, config.node).hold()
        held.callback(watermark.release)
        spool = Spool.open(
            config.spool_folder(),
            bytes_max=config.spool_bytes_max,
            segment_bytes_max=config.spool_segment_bytes_max,
        )
        held.callback(spool.release)
        service = Service(config, _listen(config.listen, config.listen_backlog), watermark, spool)
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
