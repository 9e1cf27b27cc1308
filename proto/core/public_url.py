"""Where viewers reach an RMS node: an origin of its own, or a path under the one address of a balancer."""

import re

_ORIGIN = r"https?://[^\s/?#\x00-\x1f\x7f]+"
_PATH = r"(?:/[A-Za-z0-9_.:~-]+)+"
_PUBLIC_URL = re.compile(rf"(?:{_ORIGIN}(?P<below>{_PATH})?|(?P<path>{_PATH}))/?")


def is_public_url(text: str) -> bool:
    """Whether `text` and `/comments/{id}` make a URL that a browser can be redirected to.

    Allowed are scheme://host:port, a path like /n/rms-1, and both; with a slash at the end or without. No segment of a
    path is empty: a browser takes //example.org for another host.
    """
    return _PUBLIC_URL.fullmatch(text) is not None


def has_path(public_url: str) -> bool:
    """Whether a balancer stands before the node, which leads this path to it. public_url: as in `is_public_url`"""
    found = _PUBLIC_URL.fullmatch(public_url)
    return found is not None and bool(found["below"] or found["path"])
