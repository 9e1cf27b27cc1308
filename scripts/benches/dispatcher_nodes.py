"""Simulates many RMS nodes in one process, as a replica sees them: they take comments, acknowledge, and measure.

`python -m scripts.benches.dispatcher_nodes ADDRESS PREFIX COUNT` prints {} when all are welcomed, answers each line on
stdin with its figures as JSON, and ends with its stdin. Each node has a connection of its own, as a real one has.
"""

import random
import select
import socket
import sys
import time
from collections import deque

import msgspec

from proto.dispatch_pb2 import DESCRIPTOR, Beat, Delivered, DispatcherMessage, Hello, NodeMessage, VideoViewers
from scripts.benches.config import DISPATCHER
from scripts.benches.dispatcher_stream import GrpcStream, StreamEnded
from scripts.benches.schedule import VIDEO, due_ns_of

_PATH = f"/{DESCRIPTOR.services_by_name['Dispatcher'].full_name}/Connect"
_BEAT = NodeMessage(beat=Beat()).SerializeToString()


class Taken(msgspec.Struct):
    """Since the last report"""

    comments: int = 0
    useless: int = 0  # of videos that the node doesn't serve
    doubled: int = 0
    latencies_ms: list[float] = []  # msgspec copies it


class Node:
    """One node's stream, and the next one when it has ended. Bytes go in and out; it touches no socket."""

    def __init__(self, node_id: str, authority: str) -> None:
        self.taken = Taken()
        self.welcomed = False
        self.beat_s = 0.0
        self._node_id = node_id
        self._authority = authority
        self._known: set[int] = set()
        self._stream = GrpcStream(_PATH, authority)

    def connect(self) -> None:
        """Starts a new stream."""
        self.welcomed = False
        self._stream = GrpcStream(_PATH, self._authority)
        hello = Hello(
            node_id=self._node_id, incarnation=1, public_url=f"http://{self._node_id}", capacity_viewers=19_000
        )
        hello.videos.append(VideoViewers(video_id=VIDEO, viewers=1))
        self._stream.send(NodeMessage(hello=hello).SerializeToString())

    def beat(self) -> None:
        self._stream.send(_BEAT)

    def to_send(self) -> bytes:
        return self._stream.to_send()

    def received(self, data: bytes) -> None:
        """Raises StreamEnded."""
        acknowledged = 0
        for encoded in self._stream.received(data):
            message = DispatcherMessage.FromString(encoded)
            if message.HasField("deliver"):
                self.take(message)
                acknowledged = message.deliver.number
            elif message.HasField("welcome"):
                self.welcomed = True
                self.beat_s = message.welcome.beat_ms / 1000
        if acknowledged:  # all of them at once, as an RMS does
            self._stream.send(NodeMessage(delivered=Delivered(number=acknowledged)).SerializeToString())

    def take(self, message: DispatcherMessage) -> None:
        now_ns = time.monotonic_ns()
        taken, known = self.taken, self._known
        for comment in message.deliver.comments:
            taken.comments += 1
            taken.useless += comment.video_id != VIDEO
            taken.doubled += comment.id in known
            known.add(comment.id)
            taken.latencies_ms.append((now_ns - due_ns_of(comment.message)) / 1e6)


class Nodes:
    """All nodes of this process, on one epoll set"""

    def __init__(self, address: str, prefix: str, count: int) -> None:
        host, _, port = address.rpartition(":")
        self.nodes = [Node(f"{prefix}-{number}", address) for number in range(count)]
        self._address = (host, int(port))
        self._epoll = select.epoll()
        self._epoll.register(sys.stdin, select.EPOLLIN)
        self._sockets: dict[int, tuple[socket.socket, Node]] = {}
        self._beats: deque[tuple[float, socket.socket, Node]] = deque()  # all beat as often, so they stay in order
        self._away: list[tuple[float, Node]] = [(0.0, node) for node in self.nodes]

    def run(self) -> None:
        """Until stdin ends"""
        ready = False
        while True:
            for number, _ in self._epoll.poll(DISPATCHER.poll_s):
                if number in self._sockets:
                    self._read(*self._sockets[number])
                elif not self._answer():
                    return
            self._beat(time.monotonic())
            self._reconnect(time.monotonic())
            if not ready and all(node.welcomed for node in self.nodes):
                ready = True
                print("{}", flush=True)  # to the bench

    def _answer(self) -> bool:
        if not sys.stdin.readline():
            return False
        print(msgspec.json.encode([node.taken for node in self.nodes]).decode(), flush=True)
        for node in self.nodes:
            node.taken = Taken()
        return True

    def _read(self, connection: socket.socket, node: Node) -> None:
        was_welcomed = node.welcomed
        try:
            node.received(connection.recv(DISPATCHER.receive_bytes))
            self._write(connection, node)
        except (StreamEnded, OSError):
            self._lose(connection, node)
            return
        if node.welcomed and not was_welcomed:
            self._beats.append((time.monotonic() + node.beat_s, connection, node))

    def _write(self, connection: socket.socket, node: Node) -> None:
        """Sends some bytes, for which a connection that lives has room."""
        if out := node.to_send():
            connection.sendall(out)

    def _lose(self, connection: socket.socket, node: Node) -> None:
        if self._sockets.pop(connection.fileno(), None):
            connection.close()
            self._away.append((time.monotonic() + random.uniform(0, DISPATCHER.reconnect_s), node))

    def _beat(self, now_s: float) -> None:
        while self._beats and self._beats[0][0] <= now_s:
            _, connection, node = self._beats.popleft()
            if connection.fileno() < 0:
                continue
            node.beat()
            try:
                self._write(connection, node)
            except OSError:
                self._lose(connection, node)
            else:
                self._beats.append((now_s + node.beat_s, connection, node))

    def _reconnect(self, now_s: float) -> None:
        due = [node for at_s, node in self._away if at_s <= now_s]
        self._away = [(at_s, node) for at_s, node in self._away if at_s > now_s]
        for node in due:
            try:
                connection = socket.create_connection(self._address, DISPATCHER.connect_timeout_s)
            except OSError:
                self._away.append((now_s + random.uniform(0, DISPATCHER.reconnect_s), node))
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[connection.fileno()] = (connection, node)
            self._epoll.register(connection, select.EPOLLIN)
            node.connect()
            self._write(connection, node)


if __name__ == "__main__":
    Nodes(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()
