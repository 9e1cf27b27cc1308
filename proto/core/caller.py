"""Who calls: the address behind the proxies, as only those tell it whom the operator trusts.

A proxy appends the address that it was called from to X-Forwarded-For, or to Forwarded (RFC 7239), and whatever stands
before it may be a stranger's invention. So the list is read from its end, as far as the addresses are those of trusted
proxies; the first other one is the caller. Only one of the two headers is read: a proxy that writes one of them passes
on what strangers write into the other.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, NamedTuple

Network = IPv4Network | IPv6Network

ADDRESSES_REMEMBERED = 10_000
"""of which it is known whether they are trusted, and by what they are counted: 3 MB"""
HOPS_MAX = 20
"""addresses of one request that are looked at: more than there are proxies in a row"""
IPV6_PREFIX = 64
"""bits of an IPv6 address that limits go by: a household or a phone has at least all addresses with the same ones
(RFC 6177)"""

UNREADABLE = "unreadable"
"""The key of all of whom proxies say nothing that can be read. It isn't the proxies' own: with a malformed Forwarded, a
stranger could use up what their health checks may, or have no limits because the proxies have none."""

ProxyHeaders = Literal["x-forwarded", "forwarded"]
"""X-Forwarded-For, -Proto and -Host; or Forwarded"""

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+))\s*([;,]|$)')
_SCHEMES = ("http", "https")


class Caller(NamedTuple):
    """Of one request"""

    address: str
    """IPv4 or IPv6, without a port; empty: it came through a Unix socket"""
    key: str | None
    """what its limits are counted by: an IPv4 address, or the first 64 bits of an IPv6 one; None: it has no limits"""
    scheme: str
    """by which it called: http or https"""
    host: str | None
    """that it called; None: as the Host header says"""
    is_told: bool = False
    """whether a trusted proxy has passed the request on"""


class Hop(NamedTuple):
    """What one proxy has told of its own caller. Empty: nothing that can be read."""

    address: str
    scheme: str = ""
    host: str = ""


class _Known(NamedTuple):
    address: str
    is_trusted: bool
    key: str | None


def parse_networks(text: str) -> tuple[Network, ...]:
    """'10.0.0.0/8,::1' -> networks; a single address is one of its own. Raises ValueError with a sentence."""
    networks = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ip_network(word))
        except ValueError as error:
            raise ValueError(f"{error}: write networks as 10.0.0.0/8,2001:db8::/32") from None
    return tuple(networks)


class Callers:
    """Tells callers. One for each service."""

    def __init__(self, trusted: Sequence[Network], unlimited: Sequence[Network], headers: ProxyHeaders) -> None:
        """trusted: proxies. unlimited: whose callers have no limits."""
        self._trusted = trusted
        self._unlimited = unlimited
        self._hops = forwarded_hops if headers == "forwarded" else x_forwarded_hops
        self._known = lru_cache(ADDRESSES_REMEMBERED)(self._look_at)

    def is_trusted(self, address: str) -> bool:
        return self._known(address).is_trusted

    def of_peer(self, address: str, scheme: str) -> Caller:
        """Of a connection whose requests tell nothing more"""
        known = self._known(address)
        return Caller(known.address, known.key, scheme, None)

    def behind(self, proxy: Caller, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Of a request that came from a trusted proxy. headers: names in lower case"""
        told, scheme, host = self._known(proxy.address), "", ""
        for number, hop in enumerate(reversed(self._hops(headers))):
            known = self._known(hop.address) if hop.address and number < HOPS_MAX else None
            if known is None or not known.address:
                if number == 0:
                    told = told._replace(key=UNREADABLE)
                break  # what stands before it was written by nobody knows whom
            told, scheme, host = known, hop.scheme, hop.host
            if not known.is_trusted:
                break
        return Caller(told.address, told.key, scheme or proxy.scheme, host or None, is_told=True)

    def _look_at(self, address: str) -> _Known:
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return _Known("", False, None)
        if isinstance(ip, IPv6Address):
            ip = ip.ipv4_mapped or ip
        if any(ip in network for network in self._unlimited):
            key = None
        elif isinstance(ip, IPv6Address):
            key = str(ip_network((ip, IPV6_PREFIX), strict=False))
        else:
            key = str(ip)
        return _Known(str(ip), any(ip in network for network in self._trusted), key)


def x_forwarded_hops(headers: Iterable[tuple[bytes, bytes]]) -> list[Hop]:
    """Of X-Forwarded-For, the nearest proxy's last. The scheme and the host are those that the nearest one tells."""
    told = _lines(headers, (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
    scheme, host = (_last(told[name]) for name in (b"x-forwarded-proto", b"x-forwarded-host"))
    addresses = told[b"x-forwarded-for"].split(",")[-HOPS_MAX:] if told[b"x-forwarded-for"] else []
    return [Hop(_address(word.strip()), _scheme(scheme), _host(host)) for word in addresses]


def forwarded_hops(headers: Iterable[tuple[bytes, bytes]]) -> list[Hop]:
    """Of Forwarded, the nearest proxy's last. One that isn't written as RFC 7239 has it is one hop that tells nothing,
    for what stands in it is nobody knows whose."""
    text = _lines(headers, (b"forwarded",))[b"forwarded"]
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            return [Hop("")]
        name, quoted, token, end = pair.groups()
        pairs[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = pair.end()
        if end != ";":
            hops.append(
                Hop(_address(pairs.get("for", "")), _scheme(pairs.get("proto", "")), _host(pairs.get("host", "")))
            )
            pairs = {}
    return hops


def _lines(headers: Iterable[tuple[bytes, bytes]], names: Sequence[bytes]) -> dict[bytes, str]:
    """The values of these headers, of several lines with one name put together (RFC 9110, 5.3)"""
    found: dict[bytes, str] = dict.fromkeys(names, "")
    for name, value in headers:
        if name in found:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if found[name] else text
    return found


def _last(text: str) -> str:
    return text.rpartition(",")[2].strip()


def _address(word: str) -> str:
    """Without brackets and port; empty: it is none"""
    match = _NODE.fullmatch(word)
    return next(filter(None, match.groups()), "") if match else ""


def _scheme(word: str) -> str:
    return word.lower() if word.lower() in _SCHEMES else ""


def _host(word: str) -> str:
    return word if _HOST.fullmatch(word) else ""
