"""The Content-Security-Policy of the viewer's page: nothing that a stranger wrote runs as code, or calls anybody."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9._-]+(:([0-9]{1,5}|\*))?|https?:")
"""A source of a policy: an origin, with wildcards for its subdomains or ports, or a scheme. IPv6 addresses can't be
named in a policy (W3C CSP3, 2.3.1)."""

THIS_MACHINE = ("http://127.0.0.1:*", "http://localhost:*")


DEFAULT_PORTS = {"http": "80", "https": "443"}


def nodes_called(connect: Sequence[str], listen_host: str) -> tuple[str, ...]:
    """The origins that the page may call beside its own. connect: those that are set. A service that listens on
    loopback is a try-out, whose nodes are other ports of this machine."""
    return (*connect, *(THIS_MACHINE if _is_loopback(listen_host) else ()))


def may_call(sources: Sequence[str], origin: str) -> bool:
    """Whether a policy with these sources lets the page call that origin (W3C CSP3, 6.7.2.8)"""
    scheme, _, address = origin.partition("://")
    host, _, port = address.partition(":")
    return any(_names(source, scheme, host, port or DEFAULT_PORTS.get(scheme, "")) for source in sources)


def _names(source: str, scheme: str, host: str, port: str) -> bool:
    its_scheme, _, address = source.partition("://")
    if not address:
        return source == f"{scheme}:"
    its_host, _, its_port = address.partition(":")
    is_host = host.endswith(its_host[1:]) if its_host.startswith("*.") else host == its_host
    return its_scheme == scheme and is_host and (its_port or DEFAULT_PORTS[scheme]) in (port, "*")


def page_policy(called: Sequence[str], ancestors: Sequence[str]) -> str:
    """called: origins of viewers' nodes. ancestors: origins of the sites that may frame the page."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            " ".join(("connect-src 'self'", *called)),
            "img-src 'self' data:",
            # A recording lies wherever its sender has put it; nothing in it runs.
            "media-src http: https:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {' '.join(ancestors)}",
        )
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
