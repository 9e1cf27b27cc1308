"""The peer in C: nginx with nchan, one worker, as Debian packages it."""

import os
import shutil
import subprocess
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from scripts.benches import procfs
from scripts.benches.config import BENCH
from scripts.benches.contender import Contender, pid_of
from scripts.benches.publishing import publish_http
from scripts.benches.schedule import Schedule
from scripts.plan import free_ports, http_ready

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PACKAGES = ("nginx-light", "libnginx-mod-nchan")

CONFIG = """
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
    location = /publish {{
      nchan_publisher;
      nchan_channel_id bench;
    }}
    location = /events {{
      nchan_subscriber eventsource;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Nchan(Contender):
    name = "nchan"
    about = "nginx with nchan, one worker, HTTP in"
    path = "/events"

    @staticmethod
    def prepare() -> str:
        if _program() is not None and MODULE.exists():
            return ""
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            return f"nginx with nchan is missing (Debian, Ubuntu: apt-get install {' '.join(PACKAGES)})"
        print(f"bench: installing {' '.join(PACKAGES)}", flush=True)
        # RUNLEVEL=1: Debian's scripts don't start the service that they have just installed.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            result = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            return f"apt-get could not install {' '.join(PACKAGES)}: {result.stderr.strip()[-500:]}"
        return ""

    async def start(self, stack: AsyncExitStack) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nchan-"))
        (self.port,) = free_ports(1)
        program = _program()
        assert program
        command = (program, "-e", "stderr", "-p", folder, "-c", str(_config(Path(folder), self.port)))
        ready = partial(http_ready, f"http://127.0.0.1:{self.port}/ready")  # answered by the worker
        master = pid_of(await self.run(stack, self.name, command, ready))
        workers = procfs.children(master)
        self.pids = [master, *workers]
        self.viewers_pid = workers[0]

    async def publish(self, schedule: Schedule) -> int:
        return await publish_http(f"http://127.0.0.1:{self.port}/publish", schedule, BENCH.http_publishers)


def _config(folder: Path, port: int) -> Path:
    files = BENCH.viewers_per_process_max + 500
    path = folder / "nginx.conf"
    path.write_text(CONFIG.format(module=MODULE, folder=folder, port=port, files=files, connections=files - 100))
    folder.chmod(0o755)  # its worker is another user when we are root
    return path


def _program() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
