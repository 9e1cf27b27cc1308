"""Requests out of bytes: heads with limits, bodies, and where each ends. Knows no socket and no clock.

httptools (Node's parser, llhttp) does the parsing. It can't be stopped between two requests, so heads and bodies of a
known length are cut out here, and the parser sees one request at a time.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

import httptools

_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)
_NO_HEAD = re.compile(rb"\A[^A-Za-z\r]|(?<!\r)\n|\x00")


class BadRequest(Exception):
    """The bytes make no request: an HTTP status and why. The connection can't go on."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(slots=True)
class Head:
    """A request's head. `headers`: names in lower case. `path`: percent-decoded."""

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
    is_whole: bool
    """the request has no body"""


class RequestReader:
    """Reads the requests of one connection, one after the other: `read_head` until it gives one; `read_body` until it
    says that the body is complete, unless there is none; and so on."""

    def __init__(self, head_bytes_max: int, headers_max: int) -> None:
        self._head_bytes_max = head_bytes_max
        self._headers_max = headers_max
        self._parser = httptools.HttpRequestParser(self)
        self._partial = b""  # the beginning of a head
        self._body_left: int | None = None  # None: chunked, only the parser knows
        self._body = bytearray()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_complete = self._message_complete = self._keeps_alive = False
        self.overrun = False
        """Behind the end of a chunked body a part of another request was lost: the connection can't go on."""

    def close(self) -> None:
        """To be called at the end: the parser refers to this object, and that to the parser."""
        del self._parser

    def read_head(self, data: bytes) -> tuple[Head | None, bytes]:
        """The next head, and what stands behind it. None: it isn't complete, and has been kept. Raises BadRequest."""
        data = self._partial + data if self._partial else data
        self._partial = b""
        begin = 0
        while data.startswith(b"\r\n", begin):  # RFC 9112, 2.2: empty lines before a request are to be ignored
            begin += 2
        end = data.find(b"\r\n\r\n", begin)
        if (len(data) if end < 0 else end) - begin > self._head_bytes_max:
            raise BadRequest(431, "head_too_large", f"the head is larger than {self._head_bytes_max} bytes")
        if end >= 0:
            return self._parse(data[begin : end + 4]), data[end + 4 :]
        self._partial = data[begin:]
        if _NO_HEAD.search(self._partial):
            raise _malformed()
        return None, b""

    def read_body(self, data: bytes) -> tuple[bytes, bool, bytes]:
        """A part of the body, whether that completes it, and what stands behind it. Raises BadRequest."""
        rest = b""
        if self._body_left is not None:
            data, rest = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(data)
        try:
            self._feed(data)
        except BadRequest:
            if not self._message_complete:
                raise
            self.overrun = True
        body, self._body = bytes(self._body), bytearray()
        return body, self._message_complete, rest

    def _parse(self, head: bytes) -> Head:
        if b"pgrade" in head or b"PGRADE" in head:
            head = _UPGRADE.sub(b"", head)  # RFC 9110, 7.8: a server may ignore it. The parser would leave the body out
        self._url, self._headers, self._body_left = b"", [], 0
        self._head_complete = self._message_complete = False
        self._feed(head)
        if not self._head_complete:
            raise _malformed()
        if len(self._headers) > self._headers_max:
            raise BadRequest(431, "too_many_headers", f"the head has more than {self._headers_max} header lines")
        try:
            url = httptools.parse_url(self._url)
            raw_path = url.path or b"/"
            path = raw_path.decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            raise _malformed() from None
        version = self._parser.get_http_version()
        return Head(
            method=self._parser.get_method().decode("ascii"),
            http_version=version,
            raw_path=raw_path,
            path=unquote(path) if "%" in path else path,
            query=url.query or b"",
            headers=self._headers,
            keep_alive=version != "1.0" and self._keeps_alive,
            expects_continue=any(n == b"expect" and v.lower() == b"100-continue" for n, v in self._headers),
            is_whole=self._message_complete,
        )

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # the last one: CONNECT
            raise _malformed() from None

    # Called by the parser. They only note what it says: it would take an exception for the client's fault.

    def on_message_begin(self) -> None:
        if self._head_complete and self._message_complete:
            self.overrun = True

    def on_url(self, url: bytes) -> None:
        if not self.overrun:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_complete:  # a trailer, or a head behind the body
            return
        name = name.lower()
        if name == b"content-length":
            self._body_left = int(value)
        elif name == b"transfer-encoding":
            self._body_left = None
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_complete = True
        self._keeps_alive = self._parser.should_keep_alive()  # it doesn't know any more when the message is complete

    def on_body(self, body: bytes) -> None:
        if not self.overrun:
            self._body += body

    def on_message_complete(self) -> None:
        self._message_complete = True


def _malformed() -> BadRequest:
    return BadRequest(400, "malformed_request", "this is not HTTP/1.1 as RFC 9112 has it")
