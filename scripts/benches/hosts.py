"""Hosts on this machine: each is a network namespace with an address of its own, all on one bridge.

Some facts, tried on Linux 6, about how to make a cut that is *silent*, as in a network of several machines:
- A link that is set down, and a blackhole route, tell the sender at once. A bridge port without its bridge does not.
- A neighbour that nobody answers for makes the kernel say "no route to host" after 3 s. So every host knows every
  other's link address for good (`nud permanent`), and what is sent to a wrong one disappears.
- `ip rule … ipproto tcp dport` sends one port's packets to such a wrong neighbour.

The root namespace is on the bridge, too: from there processes are started and asked whether they are ready. Sockets of
this process belong to the host in which they were made (`socket_of`), so one process can be viewers on several hosts.

What is not like life: the hosts share one clock unless a fault changes it (wrong_clock.py), one disk, and the cores.
"""

import ctypes
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.benches.running import BenchFailed

CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
OURS = re.compile(r"lc(\d+)-\d+")
TABLE = 77  # of routes, for what belongs to a cut port
ROOT_NUMBER, NOBODY_NUMBER = 254, 253
"""Last parts of addresses: the root namespace's, and one that nobody has"""


def needs() -> str:
    """What is missing for hosts on this machine, as a sentence; empty: nothing"""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in ("ip", "nsenter") if shutil.which(tool) is None]:
        return f"{' and '.join(missing)} not found (Debian, Ubuntu: apt-get install iproute2 util-linux)"
    probe = f"lc{os.getpid()}-0"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return f"network namespaces can't be made: {made.stderr.strip()}" if made.returncode else ""


class Hosts:
    """`with Hosts(names) as hosts`: they exist, and are gone at the end. Raises BenchFailed. An order takes some ms."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        pid = os.getpid()
        # By pid, so that two benches don't meet; 10.128.0.0 and above are rarely anybody's.
        self._net = f"10.{128 + (pid >> 8) % 64}.{pid % 256}"
        self._prefix = f"lc{pid}-"
        self._bridge = f"lc{pid}br"
        self._numbers = {name: number for number, name in enumerate(self.names, 1)}

    def __enter__(self) -> Self:
        if missing := needs():
            raise BenchFailed(missing)
        _remove_orphans()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def network(self) -> str:
        """All hosts' addresses"""
        return f"{self._net}.0/24"

    def address(self, name: str) -> str:
        return f"{self._net}.{self._numbers[name]}"

    def name_of(self, address: str) -> str:
        """Of the host with this address, or host:port; empty: none has it"""
        last = address.partition(":")[0].removeprefix(f"{self._net}.")
        return next((name for name, number in self._numbers.items() if str(number) == last), "")

    def command(self, name: str, command: Sequence[str]) -> tuple[str, ...]:
        """Runs it on that host, as the same process: nsenter replaces itself."""
        return ("nsenter", f"--net={NAMESPACES / self._namespace(name)}", *command)

    def socket_of(self, name: str) -> socket.socket:
        """A TCP socket of that host, which doesn't block"""
        with self._inside(name):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    def cut(self, name: str) -> None:
        """Takes the host's cable out of the switch; it notices nothing."""
        self._ip(f"link set {self._veth(name)} nomaster")

    def join(self, name: str) -> None:
        self._ip(f"link set {self._veth(name)} master {self._bridge}")

    def cut_way(self, source: str, target: str) -> None:
        """What `source` sends to `target` gets lost; the other way is open."""
        self._neighbour(source, self._numbers[target], self._mac(NOBODY_NUMBER))

    def open_way(self, source: str, target: str) -> None:
        self._neighbour(source, self._numbers[target], self._mac(self._numbers[target]))

    def cut_port(self, name: str, port: int) -> None:
        """All that hosts send to this port of this one gets lost, and all that is sent from it"""
        self._rule("add", name, port)

    def open_port(self, name: str, port: int) -> None:
        self._rule("del", name, port)

    def _rule(self, what: str, name: str, port: int) -> None:
        self._ip(f"rule {what} ipproto tcp sport {port} lookup {TABLE}", name)
        for other in self.names:
            if other != name:
                self._ip(f"rule {what} to {self.address(name)} ipproto tcp dport {port} lookup {TABLE}", other)

    def _namespace(self, name: str) -> str:
        return f"{self._prefix}{self._numbers[name]}"

    def _veth(self, name: str) -> str:
        return f"{self._prefix}{self._numbers[name]}"

    def _mac(self, number: int) -> str:
        """Locally administered (02): nobody's device has it."""
        return "02:" + ":".join(f"{int(part):02x}" for part in f"{self._net}.0.{number}".split("."))

    def _neighbour(self, name: str, number: int, mac: str) -> None:
        self._ip(f"neigh replace {self._net}.{number} lladdr {mac} nud permanent dev eth0", name)

    def _make(self) -> None:
        root = f"address {self._mac(ROOT_NUMBER)}"
        self._ip(f"link add {self._bridge} {root} type bridge forward_delay 0 mcast_snooping 0")
        self._ip(f"addr add {self._net}.{ROOT_NUMBER}/24 dev {self._bridge}")
        self._ip(f"link set {self._bridge} up")
        numbers = [*self._numbers.values(), ROOT_NUMBER, NOBODY_NUMBER]
        for name, own in self._numbers.items():
            self._ip(f"netns add {self._namespace(name)}")
            peer = f"peer name eth0 address {self._mac(own)} netns {self._namespace(name)}"
            self._ip(f"link add {self._veth(name)} type veth {peer}")
            self._ip(f"link set {self._veth(name)} master {self._bridge} up")
            self._ip(f"addr add {self._net}.{own}/24 dev eth0", name)
            self._ip("link set lo up", name)
            self._ip("link set eth0 up", name)
            for number in numbers:
                if number != own:
                    mac = self._mac(number)
                    self._neighbour(name, number, mac)
            self._ip(f"route add default via {self._net}.{NOBODY_NUMBER} dev eth0 table {TABLE}", name)

    def _remove(self) -> None:
        for name in self.names:
            _quietly("netns", "del", self._namespace(name))
            _quietly("link", "del", self._veth(name))
        _quietly("link", "del", self._bridge)

    def _ip(self, words: str, name: str = "") -> None:
        """name: the host that it is done on; empty: the root namespace"""
        command = ["ip", *(("-n", self._namespace(name)) if name else ()), *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchFailed(f"{' '.join(command)}: {done.stderr.strip()}")

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        """This thread makes its sockets there. Nothing may wait in here."""
        with (NAMESPACES / self._namespace(name)).open() as theirs, _own_namespace().open() as ours:
            _setns(theirs.fileno())
            try:
                yield
            finally:
                _setns(ours.fileno())


def _own_namespace() -> Path:
    return Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")


def _setns(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _quietly(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=False)


def _remove_orphans() -> None:
    """Removes what a bench that was ended by SIGKILL has left."""
    with suppress(FileNotFoundError):
        for path in NAMESPACES.iterdir():
            match = OURS.fullmatch(path.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                _quietly("netns", "del", path.name)
                _quietly("link", "del", f"lc{match[1]}br")
