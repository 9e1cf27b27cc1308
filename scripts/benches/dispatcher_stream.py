"""One gRPC stream over a connection of its own: as much of HTTP/2 (RFC 9113) as a node needs, and no more.

Why not grpcio? A thousand nodes share a few cores with the replica that they measure. grpcio takes as long for each
message as the replica does, so half of what one measures would be the nodes; this takes a tenth.

What is missing: TLS, compression, padding, trailers (a stream that ends is over, whatever the reason). Windows: the
replica may send 2 GiB before it would have to wait for us, and what we send stays far below its own first window.
"""

import struct
from collections.abc import Iterator

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_INITIAL_WINDOW_SIZE = 4
_WINDOW_MAX = (1 << 31) - 1
_WINDOW_FIRST = 65_535
_FRAME = struct.Struct(">BHBBI")  # the length's upper 8 and lower 16 bits, type, flags, stream
_PREFIX = struct.Struct(">BI")  # of a gRPC message: compressed or not, length
_OURS = 1  # the first stream of a client


class StreamEnded(Exception):
    """The replica has ended the stream, or the connection."""


class GrpcStream:
    """Bytes in, messages out, and the other way round; it touches no socket."""

    def __init__(self, path: str, authority: str) -> None:
        self._in = bytearray()
        self._message = bytearray()
        self._out = bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._out += _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW_MAX))
        self._out += _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW_MAX - _WINDOW_FIRST))
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        encoded = b"".join(_literal(name, value) for name, value in headers.items())
        self._out += _frame(_HEADERS, _END_HEADERS, _OURS, encoded)

    def send(self, message: bytes) -> None:
        """Puts a message behind what is to be sent."""
        self._out += _frame(_DATA, 0, _OURS, _PREFIX.pack(0, len(message)) + message)

    def to_send(self) -> bytes:
        """All that is to be sent by now"""
        out, self._out = bytes(self._out), bytearray()
        return out

    def received(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete with these bytes. Raises StreamEnded."""
        if not data:
            raise StreamEnded
        self._in += data
        at = 0
        while len(self._in) - at >= _FRAME.size:
            upper, lower, kind, flags, _ = _FRAME.unpack_from(self._in, at)
            end = at + _FRAME.size + (upper << 16 | lower)
            if end > len(self._in):
                break
            payload = self._in[at + _FRAME.size : end]
            at = end
            if kind == _DATA:
                self._message += payload
                yield from self._messages()
            elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
                raise StreamEnded
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                self._out += _frame(kind, _ACK, 0, bytes(payload) if kind == _PING else b"")
        del self._in[:at]

    def _messages(self) -> Iterator[bytes]:
        at = 0
        while len(self._message) - at >= _PREFIX.size:
            _, length = _PREFIX.unpack_from(self._message, at)
            end = at + _PREFIX.size + length
            if end > len(self._message):
                break
            yield bytes(self._message[at + _PREFIX.size : end])
            at = end
        del self._message[:at]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """HPACK's plainest form: never indexed, no Huffman. Both are shorter than 127 bytes."""
    return b"\x10%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())
