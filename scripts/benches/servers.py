"""Starts the servers that are measured: our own, and the peers that do the same in another way."""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from history.opening import open_store
from scripts.benches import procfs
from scripts.benches.building import build
from scripts.benches.config import FANOUT
from scripts.benches.publishing import publish_grpc, publish_http, steadily
from scripts.benches.running import Child, Program, listens, pid_of, quiet_plan, running
from scripts.benches.schedule import VIDEO, Schedule, frame_parts
from scripts.plan import free_ports, http_ready, make_plan, ports_of

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NCHAN_PACKAGES = "nginx-light libnginx-mod-nchan"

NGINX_CONFIG = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=65535;
    location = /ready {{ return 200; }}
    location = /publish {{ nchan_publisher; nchan_channel_id bench; }}
    location = /events {{
      nchan_subscriber eventsource;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


async def _no_publishing(_: Schedule) -> None:
    raise NotImplementedError("this server isn't published to")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, on 127.0.0.1"""

    port: int
    pids: Mapping[str, int]
    """its processes by name; the first one has the connections"""
    path: str = "/events"
    publish: Callable[[Schedule], Awaitable[object]] = _no_publishing
    """returns when the server has taken all comments"""
    dispatcher: str = ""
    operators: str = ""
    """host:port of /metrics; empty: it has none"""

    @property
    def pid(self) -> int:
        return next(iter(self.pids.values()))

    def cpu_s(self) -> float:
        """Of all its processes since their start"""
        return sum(map(procfs.cpu_s, self.pids.values()))

    async def metric(self, name: str) -> float:
        """A number of the server's /metrics; 0 if it has none such"""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.operators}/metrics") as answer,
        ):
            families = text_string_to_metric_families(await answer.text() if answer.status == 200 else "")
        samples = (sample for family in families for sample in family.samples)
        return next((sample.value for sample in samples if sample.name == name), 0.0)


Contender = Callable[[int], AbstractAsyncContextManager[Served]]
"""Takes how many viewers will come. Raises NotReady or BenchFailed."""


@asynccontextmanager
async def rms(_: int) -> AsyncIterator[Served]:
    """Our own on its whole real path: a dispatcher and an RMS, gRPC in, SSE out"""
    with tempfile.TemporaryDirectory(prefix="bench-rms-") as folder:
        store = f"sqlite:{Path(folder) / 'comments.db'}"
        await (await open_store(store)).close()  # makes the tables
        plan = make_plan(
            dispatchers=1,
            rms=1,
            comment_services=0,
            store=store,
            data=Path(folder),
            ports=free_ports(ports_of(dispatchers=1, rms=1, comment_services=0)),
            log_format="json",
        )
        async with running([plan["dispatcher"], plan["rms"]]) as (dispatcher, node):
            address, node_operators = plan["dispatcher"][0].address, plan["rms"][0].operators

            async def publish(schedule: Schedule) -> None:
                await publish_grpc(address, steadily(schedule))

            pids = {"rms": pid_of(node), "dispatcher": pid_of(dispatcher)}
            yield Served(_port(plan["rms"][0].address), pids, f"/comments/{VIDEO}", publish, address, node_operators)


@asynccontextmanager
async def bare(viewers: int) -> AsyncIterator[Served]:
    """The yardstick: a loop over send() in C (bare.c), and nothing else"""
    async with Child("bare", (str(build("bare")), str(viewers), *frame_parts())) as child:
        port = (await child.answer(dict[str, int], FANOUT.answer_timeout_s))["port"]

        async def publish(schedule: Schedule) -> None:
            order = f"{schedule.start_ns} {schedule.rate} {schedule.count}"
            limit_s = FANOUT.lead_s + schedule.seconds + FANOUT.drain_s
            await child.ask(order, dict[str, int], limit_s)

        yield Served(port, {"bare": child.pid}, "/", publish)


@asynccontextmanager
async def python_app(module: str, _: int = 0) -> AsyncIterator[Served]:
    """A Python program of this folder that takes a port: starlette_app"""
    (port,) = free_ports(1)
    command = (sys.executable, "-P", "-m", f"scripts.benches.{module}", str(port))
    async with running([[Program(module, command, partial(listens, port))]]) as (process,):
        publish = partial(publish_http, f"http://127.0.0.1:{port}/publish")
        yield Served(port, {"service": pid_of(process)}, publish=publish)


@asynccontextmanager
async def nchan(_: int) -> AsyncIterator[Served]:
    """The peer in C: nginx with nchan, one worker, as Debian packages it"""
    with tempfile.TemporaryDirectory(prefix="bench-nchan-") as folder:
        (port,) = free_ports(1)
        config = _nginx_config(Path(folder), port)
        command = (str(_nginx()), "-e", "stderr", "-p", folder, "-c", str(config))
        is_ready = partial(http_ready, f"http://127.0.0.1:{port}/ready")  # answered by the worker
        async with running([[Program("nchan", command, is_ready)]]) as (process,):
            master = pid_of(process)
            pids = {"worker": procfs.children(master)[0], "master": master}
            yield Served(port, pids, publish=partial(publish_http, f"http://127.0.0.1:{port}/publish"))


CONTENDERS: Mapping[str, Contender] = {
    "rms": rms,
    "c": bare,
    "nchan": nchan,
    "naive": partial(python_app, "starlette_app"),
}
"""All servers that scripts/bench fanout can compare, by name, in the order of its table; ours comes first."""


def lacks(name: str) -> str:
    """Why the contender can't be run here, and what would help; empty: it can."""
    if name != "nchan" or (_nginx() is not None and NCHAN_MODULE.exists()):
        return ""
    return f"nginx with nchan is missing (Debian, Ubuntu: apt-get install {NCHAN_PACKAGES})"


@asynccontextmanager
async def comment_service(store: str, folder: Path, store_pids: Mapping[str, int]) -> AsyncIterator[Served]:
    """As scripts/run starts it, with one dispatcher to publish to and no viewers. Raises NotReady."""
    plan = quiet_plan(store, folder, dispatchers=1, rms=0)
    async with running([plan["dispatcher"], plan["comment-service"]]) as (dispatcher, service):
        pids = {"service": pid_of(service), "dispatcher": pid_of(dispatcher), **store_pids}
        part = plan["comment-service"][0]
        yield Served(_port(part.address), pids, operators=part.operators)


def _nginx_config(folder: Path, port: int) -> Path:
    files = FANOUT.viewers_per_process_max + 500
    path = folder / "nginx.conf"
    path.write_text(
        NGINX_CONFIG.format(module=NCHAN_MODULE, folder=folder, port=port, files=files, connections=files - 100)
    )
    folder.chmod(0o755)  # its worker is another user when we are root
    return path


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
