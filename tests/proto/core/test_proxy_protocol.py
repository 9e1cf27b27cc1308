"""proto/core/proxy_protocol.py: headers of both versions, in any pieces, and what is none"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.core.proxy_protocol import BYTES_MAX, SIGNATURE, Malformed, begins_with_preface, read_preface

V4, V6 = bytes([203, 0, 113, 9]), bytes.fromhex("20010db8000000000000000000000001")


def version_2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


GOOD = [
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n", "203.0.113.9"),
    (b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""),
    (version_2(0x21, 0x11, V4 + V4 + b"\0\1\0\2"), "203.0.113.9"),
    (version_2(0x21, 0x21, V6 + V6 + b"\0\1\0\2"), "2001:db8::1"),
    (version_2(0x21, 0x11, V4 + V4 + b"\0\1\0\2" + b"\x04\x00\x03abc"), "203.0.113.9"),
    (version_2(0x20, 0x00, b""), ""),
    (version_2(0x21, 0x31, b"\0" * 216), ""),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_is_read_in_any_pieces_and_no_byte_more(header: bytes, source: str) -> None:
    for end in range(len(header)):
        assert begins_with_preface(header[:end])
        if end:
            assert read_preface(header[:end]) is None
    assert read_preface(header + b"GET / HTTP/1.1\r\n\r\n") == (source, len(header))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"PROXY TCP4 203.0.113.9\r\n", "names no addresses"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "another family"),
        (b"PROXY TCP4 999.0.113.9 10.0.0.1 1 2\r\n", "names no addresses"),
        (b"PROXY TCP4 " + b"1" * 100, "longer than 107 bytes"),
        (version_2(0x31, 0x11, b""), "another version"),
        (version_2(0x21, 0x11, V4), "too short"),
        (SIGNATURE + struct.pack("!BBH", 0x21, 0x11, BYTES_MAX), "longer than"),
    ],
)
def test_a_wrong_header_is_told_from_one_that_is_not_complete(header: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        read_preface(header)


@given(st.binary(min_size=1, max_size=300))
def test_whatever_comes_is_a_header_or_not(data: bytes) -> None:
    if begins_with_preface(data):
        try:
            preface = read_preface(data)
        except Malformed:
            return
        assert preface is None or preface.length <= len(data)


def test_requests_are_no_headers() -> None:
    assert not any(begins_with_preface(data) for data in (b"G", b"POST / ", b"PRO ", b"\r\nGET", b"PUT"))
