"""Plans the processes of a whole system on one machine: their flags, their ports, and how to check their readiness."""

import contextlib
import ipaddress
import random
import socket
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from proto.channel import aio_channel
from proto.settings import join_address
from proto.tls import Tls

LOCAL = "127.0.0.1"

LOOPBACK = "127.0.0.0/8,::1"
"""Whoever is on this machine has no limits of his own: a load test comes from one address."""

ROLES = ("dispatcher", "rms", "door", "comment-service")
"""In the order in which they are started. They are stopped in the reverse order."""

CERTIFICATES = {"dispatcher": "dispatcher", "rms": "rms", "door": "rms", "comment-service": "comment-service"}
"""Role -> its certificate, as scripts/certs names it. A door has the certificate of its host's nodes."""

EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the plan."""

    role: str
    number: int  # from 1, within its role
    address: str  # host:port
    operators: str  # host:port of /metrics and /health; empty: a dispatcher has none here
    command: tuple[str, ...]
    tls: Path | None = None  # folder with the certificates of all roles; None: gRPC in clear

    @property
    def name(self) -> str:
        return f"{self.role}-{self.number}"

    async def is_ready(self) -> bool:
        return not await self.trouble()

    async def trouble(self) -> str:
        """Why it isn't ready, in its own words or the network's; empty: it is"""
        if self.role == "dispatcher":
            return await grpc_trouble(self.address, Tls(*tls_files(self.tls, "operator")) if self.tls else None)
        return await http_trouble(f"http://{self.operators}/health/ready")


@dataclass(frozen=True, slots=True)
class Plan:
    """All parts, grouped by role, in the order of ROLES."""

    parts: tuple[tuple[Part, ...], ...]
    unlimited: str
    """networks whose addresses have no limits of their own"""

    def __getitem__(self, role: str) -> tuple[Part, ...]:
        return self.parts[ROLES.index(role)]

    @property
    def base_url(self) -> str:
        """The address of the page and the API"""
        return f"http://{self['comment-service'][0].address}"


def make_plan(
    *,
    dispatchers: int,
    rms: int,
    store: str,
    data: Path,
    ports: Sequence[int],
    log_format: str,
    comment_services: int = 1,
    door: bool = False,
    host: str = LOCAL,
    host_of: Callable[[str, int], str] | None = None,
    tls: Path | None = None,
    unlimited: str = "",
    more_flags: Callable[[str], Sequence[str]] = lambda role: (),
) -> Plan:
    """ports: one for each process, in the order of ROLES; then one more for each but the dispatchers, for operators.
    `ports_of` counts them. more_flags(role): added to each command of the role.

    door: put all RMS nodes behind one port. host: the address on which viewers and authors are served; dispatchers stay
    on 127.0.0.1. host_of(role, number): if given, the address of each process instead. tls: a folder filled by
    scripts/certs; None: gRPC in clear. unlimited: networks whose addresses have no limits of their own; empty: LOOPBACK
    and host, for who calls that from this machine comes from it.
    """
    unlimited = unlimited or _this_machine(host)
    counts = dict(zip(ROLES, (dispatchers, rms, int(door), comment_services), strict=True))
    left = iter(ports)
    at = host_of or (lambda role, number: LOCAL if role == "dispatcher" else host)
    addresses = {role: [join_address(at(role, n + 1), next(left)) for n in range(counts[role])] for role in ROLES}
    inside_at = host_of or (lambda role, number: LOCAL)
    inside = {
        role: [join_address(inside_at(role, n + 1), next(left)) for n in range(counts[role])] for role in ROLES[1:]
    }
    replicas = ",".join(addresses["dispatcher"])
    sockets = data / "doors"

    def part(role: str, number: int) -> Part:
        address = addresses[role][number - 1]
        flags = ["--listen", address, "--log-format", log_format]
        operators = inside[role][number - 1] if role in inside else ""
        flags += ["--operators-listen", operators] if operators else []
        if role == "rms":
            flags += ["--public-url", f"http://{(addresses['door'] or [address])[0]}", "--node-id", f"rms-{number}"]
            flags += ["--door-socket", str(sockets / f"rms-{number}.sock")] if door else []
        if role == "door":
            flags += ["--sockets", str(sockets)]
        if role == "comment-service":
            # Two services with the same number could give two comments the same id.
            flags += ["--node", str(number - 1), "--state-dir", str(data / f"comment-service-{number}")]
            flags += ["--connect-src", ",".join(_sources(addresses["door"] or addresses["rms"]))]
        flags += ["--unlimited-networks", unlimited] if role != "dispatcher" else []
        flags += ["--dispatchers", replicas] if role != "dispatcher" else []
        flags += ["--store", store] if role in ("rms", "comment-service") else []
        if tls:
            names = ("--tls-cert", "--tls-key", "--tls-ca")
            files = tls_files(tls, CERTIFICATES[role])
            flags += [word for pair in zip(names, files, strict=True) for word in pair] + ["--tls-required", "true"]
        module = {"door": "rms.door"}.get(role, role.replace("-", "_"))
        # -P: don't import from the caller's folder, which may contain a folder with a service's name.
        return Part(
            role, number, address, operators, (sys.executable, "-P", "-m", module, *flags, *more_flags(role)), tls
        )

    return Plan(tuple(tuple(part(role, number + 1) for number in range(counts[role])) for role in ROLES), unlimited)


def _sources(addresses: Sequence[str]) -> list[str]:
    """As a Content-Security-Policy can name them: IPv6 addresses only by their scheme"""
    return list(dict.fromkeys("http:" if address.startswith("[") else f"http://{address}" for address in addresses))


def _this_machine(host: str) -> str:
    with contextlib.suppress(ValueError):  # a name
        if not ipaddress.ip_address(host).is_loopback:
            return f"{LOOPBACK},{host}"
    return LOOPBACK


def ports_of(*, dispatchers: int, rms: int, comment_services: int = 1, door: bool = False) -> int:
    """How many `make_plan` needs"""
    return dispatchers + 2 * (rms + comment_services + door)


async def http_trouble(url: str) -> str:
    """Why the response isn't 200; empty: it is"""
    timeout = aiohttp.ClientTimeout(total=1)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return "" if response.status == 200 else (await response.text()) or f"status {response.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error) or repr(error)


async def http_ready(url: str) -> bool:
    return not await http_trouble(url)


def tls_files(folder: Path, name: str) -> tuple[str, str, str]:
    """The files of certificate, key and authority, as scripts/certs names them"""
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key"), str(folder / "ca.pem")


async def grpc_trouble(address: str, tls: Tls | None = None) -> str:
    """Why the server doesn't serve; empty: it does"""
    async with aio_channel(address, tls) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined] # the stubs know only the class
        try:
            response = await check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
        serves = response.status == health_pb2.HealthCheckResponse.SERVING
        return "" if serves else "it says that it doesn't serve"


async def grpc_serving(address: str) -> bool:
    return not await grpc_trouble(address)


def is_free(port: int, host: str = LOCAL) -> bool:
    """Could a server listen on host:port now?"""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_or_other(wanted: Sequence[int], promised: Container[int] = (), host: str = LOCAL) -> list[int]:
    """The wanted ports. A port that is taken, here or on `host`, or among the promised ones, is replaced by another."""

    def usable(port: int) -> bool:
        return is_free(port) and (host == LOCAL or is_free(port, host))

    spare = free_ports(2 * len(wanted) + 10)
    others = (port for port in spare if port not in promised and port not in wanted and usable(port))
    return [port if port not in promised and usable(port) else next(others) for port in wanted]


def _ports_below_the_ephemeral() -> range:
    lowest_ephemeral = int(EPHEMERAL_RANGE.read_text().split()[0]) if EPHEMERAL_RANGE.exists() else 32768
    return range(10000, lowest_ephemeral if lowest_ephemeral > 12000 else 65536)


PORTS = _ports_below_the_ephemeral()
"""The ports to choose from: below the kernel's range for outgoing connections. In that range, a client that keeps
calling a port where nobody listens gets this very port as its own in the end. Then it is connected to itself and keeps
the server out for good (TCP's simultaneous open, RFC 9293, 3.5)."""


def free_ports(count: int) -> list[int]:
    """Ports from PORTS that stay free while a process is down for a moment, so that it can come back on its own port.

    They are not reserved: another process that calls this at the same time can get the same ones. Raises OSError if
    there are too few.
    """
    candidates = random.sample(PORTS, k=min(len(PORTS), 100 * count))
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"no {count} free ports on 127.0.0.1")
    return found
