"""What every response of every service tells browsers: what may be done with it, and what it may do.

- Content-Security-Policy: a response that a browser shows as a document loads nothing, runs nothing, and is in no
  frame. The viewer's page has a policy of its own.
- X-Content-Type-Options: JSON is never taken for a script or a page, whatever strangers have written into it.
- Referrer-Policy: the sites that comments link to aren't told which video somebody watches.
- Permissions-Policy: nothing here needs a camera or a place, so nothing that gets in here gets them.
- Cross-Origin-Opener-Policy: a page that opens ours, or is opened by it, gets no hold of its window.
- Cross-Origin-Resource-Policy: pages of other origins can't pull a response into their process without CORS. Who asks
  with CORS, as `fetch` and EventSource do, isn't concerned by it.
- Strict-Transport-Security: only over TLS, which the connection or a trusted proxy tells.

They are made into bytes once. A connection writes them with each response (`UsualLines`); a node writes them itself on
sockets that it has taken (`BROWSER_LINES`).
"""

from collections.abc import Sequence

POLICY = "content-security-policy"
POLICY_OF_DATA = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def _lines(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


_LINES = _lines(HEADERS)
BROWSER_LINES = _lines({POLICY: POLICY_OF_DATA}) + _LINES
"""Of a response without TLS and without a policy of its own"""

RawHeaders = Sequence[tuple[bytes, bytes]]


class UsualLines:
    """The header lines that every response of a server has: Date, and those above"""

    def __init__(self, hsts_s: int) -> None:
        """hsts_s: for how long browsers use only TLS for this host, once they have; 0: they aren't told."""
        self._secure = _lines({"strict-transport-security": f"max-age={hsts_s}"}) if hsts_s else b""
        self._made_of: RawHeaders = ()
        self._made: dict[tuple[bool, bool], bytes] = {}

    def of(self, changing: RawHeaders, *, is_secure: bool, has_policy: bool) -> bytes:
        """changing: another object each second, with another Date. has_policy: the response has a
        Content-Security-Policy of its own."""
        if changing is not self._made_of:
            self._made_of = changing
            changed = b"".join([b"%b: %b\r\n" % header for header in changing])
            self._made = {
                (secure, policy): changed + (_LINES if policy else BROWSER_LINES) + (self._secure if secure else b"")
                for secure in (False, True)
                for policy in (False, True)
            }
        return self._made[is_secure, has_policy]
