"""Requests out of bytes: heads with limits, bodies, and where each ends. Knows no socket and no clock.

httptools (Node's parser, llhttp) does the parsing. It can't be told to stop between two requests, so an exception stops
it where the next one begins; where that is follows from the body's length.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

import httptools

_REQUEST_LINE = re.compile(rb"[A-Z-]+ [^ \r\n]+ HTTP/1\.[01]\r\n")
"""RFC 9112, 3: the parser also takes RTSP, ICE, HTTP/0.9 and 2.0, more blanks, and a bare line end before it"""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_UPGRADE = re.compile(rb"\r\nupgrade:[\t\x20-\x7e\x80-\xff]*(?=\r\n)", re.IGNORECASE)
_NO_FIRST_BYTE = re.compile(rb"[^A-Za-z\r]")
_NEVER_IN_A_HEAD = re.compile(rb"(?<!\r)\n|\x00")


FRAMING_FACTOR = 8
"""Bytes of framing for one byte of a chunked body: chunks of one byte have six. Beside that, as much as a head"""


class BadRequest(Exception):
    """The bytes make no request: an HTTP status and why. The connection can't go on."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Head(NamedTuple):
    """A request's head. `headers`: names in lower case. `path`: percent-decoded, without the empty segments that a
    trailing or a repeated slash makes: no path here needs them, and people and proxies write them."""

    method: str
    http_version: str
    raw_path: bytes
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool
    """whether another request may follow"""
    expects_continue: bool
    """the client waits for a 100 (Continue) before it sends the body"""
    size: int
    """bytes: its own, and those of the body that have come with it"""


class _NextBegins(Exception):
    """Stops the parser at the end of a request."""


class RequestReader:
    """Reads the requests of one connection, one after the other: `read` until it gives a head; `read_body` until the
    request is complete, unless it already is; and so on."""

    def __init__(self, head_bytes_max: int, headers_max: int) -> None:
        self._head_bytes_max = head_bytes_max
        self._headers_max = headers_max
        self._parser = httptools.HttpRequestParser(self)
        self._partial = b""  # the beginning of a head
        self._body_left: int | None = 0  # None: chunked, only the parser knows
        self._framing = 0  # bytes of a chunked body that are no body: sizes, extensions, trailers
        self._given = 0  # bytes of the body
        self._scanned = 0  # bytes of the partial head that were looked through
        self._body: list[bytes] = []
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_complete = self._message_complete = self._next_begins = False
        self._keep_alive = self._expects_continue = False
        self._hosts: list[bytes] = []
        self._codings: list[bytes] = []
        self.came = 0
        """bytes of the head that is being read, and of what has come with it"""
        self.overrun = False
        """Behind the end of a chunked body a part of another request was lost: the connection can't go on."""

    @property
    def unfinished(self) -> int:
        """bytes of a head that has not come in all"""
        return len(self._partial)

    def close(self) -> None:
        """To be called at the end: the parser refers to this object, and that to the parser."""
        del self._parser

    def read(self, data: bytes) -> tuple[Head | None, bytes, bool, bytes]:
        """Reads a head and what has come of its body: the head, this part of the body, whether that completes the
        request, and what stands behind it. No head: it isn't complete, and has been kept. Raises BadRequest."""
        data = self._partial + data if self._partial else data
        self._partial, scanned = b"", self._scanned
        self.came = len(data)
        self._scanned = begin = 0
        while data.startswith(b"\r\n", begin):  # RFC 9112, 2.2: empty lines before a request are to be ignored
            begin += 2
        end = data.find(b"\r\n\r\n", max(begin, scanned - 3))
        if (len(data) if end < 0 else end) - begin > self._head_bytes_max:
            raise BadRequest(431, "head_too_large", f"the head is larger than {self._head_bytes_max} bytes")
        if end < 0:
            self._partial = data[begin:]
            self._scanned = len(self._partial)
            # Only what is new is looked through: each of many tiny packets would cost the whole head again.
            if _NO_FIRST_BYTE.match(self._partial) or _NEVER_IN_A_HEAD.search(self._partial, max(0, scanned - 1)):
                raise _malformed()
            return None, b"", False, b""
        end += 4
        data = data[begin:] if begin else data
        end -= begin
        if not _REQUEST_LINE.match(data):
            raise _malformed()
        if _UPGRADE.search(data, 0, end):
            # RFC 9110, 7.8: an upgrade may be ignored. The parser would leave the body out.
            kept = _UPGRADE.sub(b"", data[:end])
            data, end = kept + data[end:], len(kept)
        self._url, self._headers, self._body_left = b"", [], 0
        self._hosts, self._codings = [], []
        self._framing = self._given = 0
        self._head_complete = self._message_complete = self._expects_continue = False
        self._feed(data)
        head = self._head(end)
        body, complete, rest = self._taken(len(data) - end, data, end)
        return head, body, complete, rest

    def read_body(self, data: bytes) -> tuple[bytes, bool, bytes]:
        """A further part of the body, whether that completes it, and what stands behind it. Raises BadRequest."""
        self._feed(data)
        return self._taken(len(data), data, 0)

    def _taken(self, arrived: int, data: bytes, begin: int) -> tuple[bytes, bool, bytes]:
        """What the parser has made of the bytes from `begin` on"""
        body = b"".join(self._body)
        self._body.clear()
        rest = b""
        if self._body_left is not None:
            if arrived > self._body_left:
                rest = data[begin + self._body_left :]
            self._body_left -= len(body)
        else:
            self._given += len(body)
            self._framing += arrived - len(body)
            if self._framing > self._head_bytes_max + FRAMING_FACTOR * self._given:
                raise BadRequest(
                    431, "framing_too_large", "the body's chunk sizes, extensions and trailers are too large"
                )
            self.overrun = self._next_begins
        if self._next_begins:
            self._next_begins = False
            self._parser = httptools.HttpRequestParser(self)  # the old one stands in the middle of the next request
        return body, self._message_complete, rest

    def _head(self, size: int) -> Head:
        """Raises BadRequest."""
        if not self._head_complete:
            raise _malformed()
        if len(self._headers) > self._headers_max:
            raise BadRequest(431, "too_many_headers", f"the head has more than {self._headers_max} header lines")
        try:
            url = httptools.parse_url(self._url)
            raw_path = url.path or b"/"
            path = _tidy(raw_path.decode("ascii"))
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            raise _malformed() from None
        version = self._parser.get_http_version()
        self._check_framing(version)
        self._settle_host(version)
        return Head(
            self._parser.get_method().decode("ascii"),
            version,
            raw_path,
            unquote(path) if "%" in path else path,
            url.query or b"",
            self._headers,
            self._keep_alive and version != "1.0",
            self._expects_continue and version != "1.0",  # RFC 9110, 10.1.1
            size + sum(map(len, self._body)),
        )

    def _check_framing(self, version: str) -> None:
        """What others may frame in another way is refused (RFC 9112, 6.1): old clients know no chunks, and a coding
        that we would not decode is none that a body may have. Raises BadRequest."""
        if self._codings and (
            version == "1.0" or [each.strip(b" \t").lower() for each in self._codings] != [b"chunked"]
        ):
            raise _malformed()

    def _settle_host(self, version: str) -> None:
        """One that can be read, but for old clients (RFC 9112, 3.2). A whole URL's counts more (3.2.2). Raises
        BadRequest."""
        if len(self._hosts) > 1 or (not self._hosts and version != "1.0"):
            raise _malformed()
        hosts = self._hosts
        if not self._url.startswith((b"/", b"*")):
            if (absolute := _ABSOLUTE.match(self._url)) is None:
                raise _malformed()
            hosts = [*hosts, absolute[1]]
            self._headers = [*(line for line in self._headers if line[0] != b"host"), (b"host", absolute[1])]
        if not all(map(_HOST.fullmatch, hosts)):
            raise _malformed()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._next_begins:
                if not self._message_complete:
                    raise _malformed() from None
                self._next_begins = True  # what is malformed stands behind this request
        except httptools.HttpParserUpgrade:  # CONNECT
            raise _malformed() from None

    # Called by the parser. They only note what it says: it takes an exception for the client's fault.

    def on_message_begin(self) -> None:
        if self._message_complete:
            self._next_begins = True
            raise _NextBegins

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_complete:  # a trailer
            return
        name = name.lower()
        if name == b"content-length":
            self._body_left = int(value)
        elif name == b"transfer-encoding":
            self._body_left = None
            self._codings.append(value)
        elif name == b"host":
            self._hosts.append(value.rstrip(b" \t"))
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_complete = True
        self._keep_alive = self._parser.should_keep_alive()  # it doesn't know any more when the message is complete

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._message_complete = True


def _tidy(path: str) -> str:
    return "/" + "/".join(filter(None, path.split("/"))) if "//" in path or path.endswith("/") else path


def _malformed() -> BadRequest:
    return BadRequest(400, "malformed_request", "this is not HTTP/1.1 as RFC 9112 has it")
