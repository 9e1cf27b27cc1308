"""scripts/benches/dispatcher_stream.py: what it says is HTTP/2, and what comes is taken apart wherever it is cut."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.dispatcher_stream import GrpcStream, StreamEnded

DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6


def frame(kind: int, payload: bytes, flags: int = 0, stream: int = 1) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def message(payload: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(payload)) + payload


def opened() -> GrpcStream:
    stream = GrpcStream("/livecomments.v1.Dispatcher/Connect", "127.0.0.1:7001")
    assert stream.to_send().startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    return stream


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50))
def test_messages_come_out_whole_however_they_are_cut(messages: list[bytes], cut: int) -> None:
    sent = frame(SETTINGS, b"", stream=0) + frame(HEADERS, b"\x88")
    joined = b"".join(map(message, messages))
    sent += b"".join(frame(DATA, joined[at : at + cut]) for at in range(0, len(joined), cut))
    stream = opened()
    pieces = [sent[at : at + cut] for at in range(0, len(sent), cut)]
    assert [each for piece in pieces for each in stream.received(piece)] == messages
    assert stream.to_send() == frame(SETTINGS, b"", flags=1, stream=0)


def test_a_ping_is_answered_and_a_message_is_framed() -> None:
    stream = opened()
    assert list(stream.received(frame(PING, b"12345678", stream=0))) == []
    stream.send(b"hello")
    assert stream.to_send() == frame(PING, b"12345678", flags=1, stream=0) + frame(DATA, message(b"hello"))


@pytest.mark.parametrize("end", [b"", frame(RST_STREAM, b"\0\0\0\1"), frame(HEADERS, b"\x88", flags=5)])
def test_an_end_is_an_end(end: bytes) -> None:
    with pytest.raises(StreamEnded):
        list(opened().received(end))
