"""The Content-Security-Policy of the viewer's page: nothing that a stranger wrote runs as code, or calls anybody."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9._-]+(:([0-9]{1,5}|\*))?|https?:")
"""A source of a policy: an origin, with wildcards for its subdomains or ports, or a scheme. IPv6 addresses can't be
named in a policy (W3C CSP3, 2.3.1)."""

THIS_MACHINE = ("http://127.0.0.1:*", "http://localhost:*")


def page_policy(connect: Sequence[str], ancestors: Sequence[str], listen_host: str) -> str:
    """connect: origins of viewers' nodes. ancestors: origins of the sites that may frame the page. listen_host: of the
    service. One that listens on loopback is a try-out, whose nodes are other ports of this machine."""
    called = ["'self'", *connect, *(THIS_MACHINE if _is_loopback(listen_host) else ())]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"connect-src {' '.join(called)}",
            "img-src 'self' data:",
            # A recording lies wherever its sender has put it; nothing in it runs. blob: is how players feed a <video>.
            "media-src http: https: blob:",
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
