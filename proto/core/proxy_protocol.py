"""The PROXY protocol, versions 1 and 2: what a balancer writes before the first request, to say who has called it.

By HAProxy's doc/proxy-protocol.txt. Only trusted proxies are asked for it: see proto/http/connection.py. (PyPI's
proxy-protocol reads what follows the header as part of it, and doesn't say where the header ends.)
"""

import re
import struct
from ipaddress import ip_address
from typing import NamedTuple

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
WORD = b"PROXY "
LINE_BYTES_MAX = 107
"""of version 1, with its end"""
BYTES_MAX = 16 + 1_024
"""of version 2: 16, addresses of at most 216 bytes, and what a balancer adds, such as the names in a certificate"""

_LINE = re.compile(rb"PROXY (?:UNKNOWN[^\r\n]*|TCP([46]) ([0-9A-Fa-f:.]+) [0-9A-Fa-f:.]+ [0-9]{1,5} [0-9]{1,5})\r\n")
_LENGTHS = {0x11: 4, 0x21: 16}
"""Family and protocol (TCP over IPv4, over IPv6) -> bytes of an address"""


class Malformed(Exception):
    """A trusted proxy writes something else than it says."""


class Preface(NamedTuple):
    """What stood before the first request"""

    source: str
    """the caller's address; empty: the proxy speaks for itself, as when it checks our health"""
    length: int
    """bytes"""


def begins_with_preface(data: bytes) -> bool:
    """Whether the first bytes of a connection are a PROXY header, or may become one"""
    return any(data[: len(mark)] == mark[: len(data)] for mark in (WORD, SIGNATURE))


def read_preface(data: bytes) -> Preface | None:
    """None: it isn't complete yet. Raises Malformed."""
    return _version_1(data) if data.startswith(WORD[:1]) else _version_2(data)


def _version_1(data: bytes) -> Preface | None:
    end = data.find(b"\r\n", 0, LINE_BYTES_MAX)
    if end < 0:
        if len(data) >= LINE_BYTES_MAX:
            raise Malformed(f"its line is longer than {LINE_BYTES_MAX} bytes")
        return None
    match = _LINE.fullmatch(data[: end + 2])
    if match is None:
        raise Malformed("its line names no addresses")
    version, source = match.groups()
    if version is None:
        return Preface("", end + 2)
    try:
        address = ip_address(source.decode())
    except ValueError:
        raise Malformed("its line names no addresses") from None
    if address.version != int(version):
        raise Malformed("its address is of another family than it says")
    return Preface(str(address), end + 2)


def _version_2(data: bytes) -> Preface | None:
    if len(data) < 16:
        return None
    version_command, family, length = struct.unpack_from("!BBH", data, 12)
    if version_command not in (0x20, 0x21):
        raise Malformed("it is of another version than 1 or 2")
    if 16 + length > BYTES_MAX:
        raise Malformed(f"it is longer than {BYTES_MAX} bytes")
    if len(data) < 16 + length:
        return None
    if version_command == 0x20 or family not in _LENGTHS:  # LOCAL; or neither TCP over IPv4 nor over IPv6
        return Preface("", 16 + length)
    if length < 2 * _LENGTHS[family] + 4:
        raise Malformed("it is too short for its addresses")
    return Preface(str(ip_address(data[16 : 16 + _LENGTHS[family]])), 16 + length)
