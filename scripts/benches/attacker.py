"""Attacks a port of this machine by one mix: a process of its own, at the lowest priority.

    python -m scripts.benches.attacker MIX SHARE PORT SECONDS

Prints one line of JSON (Seen) when the time is over, holds what is still open until stdin ends, and ends.
"""

import errno
import os
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

import msgspec

from scripts.benches.attack_mixes import MIXES, Mix

FIRST_ADDRESS = IPv4Address("127.66.0.1")
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT of linux/in.h, which Python's socket has no name for
RECEIVE_BYTES = 4096  # of those who don't read
EVENTS = 512
TURN_S = 0.01  # how late a connection may begin
STATUS_AT = slice(9, 12)  # of "HTTP/1.1 200 OK"


class Seen(msgspec.Struct, frozen=True):
    """What an attacker saw of its connections"""

    began: int
    open: int  # at the end
    statuses: dict[str, int]  # by the status, as "429"; "cut": ended without one; "unreachable"
    cpu_s: float


@dataclass(slots=True)
class Connection:
    socket: socket.socket
    unsent: bytes
    answered: bool = False


class Attacker:
    """`statuses` grows while it attacks: see Seen."""

    def __init__(self, mix: Mix, port: int) -> None:
        self._mix, self._port = mix, port
        self._open: dict[int, Connection] = {}
        self._poll = select.epoll()
        self.statuses: Counter[str] = Counter()
        self._due = self._began = 0

    def attack(self, seconds: float, now_s: Callable[[], float] = time.monotonic) -> Seen:
        start_s = now_s()
        dripped_s = start_s
        while (passed_s := now_s() - start_s) < seconds:
            if self._mix.burns:
                continue
            self._begin(round(passed_s * self._mix.per_s))
            if self._mix.drip and now_s() - dripped_s >= 1.0:
                dripped_s = now_s()
                self._drip()
            for number, events in self._poll.poll(TURN_S, EVENTS):
                self._happened(number, events)
        return Seen(self._began, len(self._open), dict(self.statuses), time.process_time())

    def close(self) -> None:
        """Ends what is open, by resets."""
        for connection in self._open.values():
            connection.socket.close()
        self._poll.close()

    def _begin(self, due: int) -> None:
        """Those that are due and find no room are not made up for later."""
        while self._due < due and len(self._open) < self._mix.open_max:
            self._connect(self._began)
            self._due += 1
            self._began += 1
        self._due = due

    def _connect(self, number: int) -> None:
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset: no port is kept
        one.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        if not self._mix.reads:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        one.bind((str(FIRST_ADDRESS + number % self._mix.addresses), 0))
        error = one.connect_ex(("127.0.0.1", self._port))
        if error not in (0, errno.EINPROGRESS):
            self.statuses["unreachable"] += 1
            one.close()
            return
        request = self._mix.request(number)
        self._open[one.fileno()] = Connection(one, request)
        self._poll.register(one.fileno(), select.EPOLLOUT if request else select.EPOLLIN)

    def _happened(self, number: int, events: int) -> None:
        connection = self._open[number]
        try:
            if events & (select.EPOLLERR | select.EPOLLHUP) and not events & select.EPOLLIN:
                self._end(number)
            elif events & select.EPOLLOUT:
                self._send(number, connection)
            elif events & select.EPOLLIN:
                self._read(number, connection)
        except OSError:
            self._end(number)

    def _send(self, number: int, connection: Connection) -> None:
        connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        if not connection.unsent:
            self._poll.modify(number, select.EPOLLIN if self._mix.reads else 0)

    def _read(self, number: int, connection: Connection) -> None:
        """An answer's first bytes are all that is wanted of it."""
        got = connection.socket.recv(65_536)
        if got and not connection.answered:
            connection.answered = True
            self.statuses[got[STATUS_AT].decode(errors="replace")] += 1
        self._end(number)

    def _drip(self) -> None:
        for number, connection in list(self._open.items()):
            try:
                if not connection.unsent:
                    connection.socket.send(self._mix.drip)
            except OSError:
                self._end(number)

    def _end(self, number: int) -> None:
        connection = self._open.pop(number)
        self.statuses["cut"] += not connection.answered
        connection.socket.close()  # which takes it out of the poll, too


def main(name: str, share: str, port: str, seconds: str) -> None:
    os.nice(19)
    attacker = Attacker(MIXES[name].part(float(share)), int(port))
    seen = attacker.attack(float(seconds))
    print(msgspec.json.encode(seen).decode(), flush=True)
    sys.stdin.read()
    attacker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
