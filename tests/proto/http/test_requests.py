"""proto/http/requests.py: however the bytes are cut, the same requests come out; what is none is told with a status."""

import contextlib
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.http.requests import BadRequest, Head, RequestReader


@dataclass
class Read:
    """A request as a whole"""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool


def read_all(pieces: list[bytes]) -> list[Read]:
    """The complete requests in these pieces, which arrive one after the other"""
    reader = RequestReader(head_bytes_max=4096, headers_max=50)
    found: list[Read] = []
    head: Head | None = None
    body = b""
    for piece in pieces:
        data = piece
        while data:
            if head is None:
                head, body, complete, data = reader.read(data)
            else:
                part, complete, data = reader.read_body(data)
                body += part
            if head is not None and complete:
                found.append(Read(head.method, head.path, head.query, head.headers, body, head.keep_alive))
                head = None
    reader.close()
    return found


BODIES = st.binary(max_size=30)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, Read]:
    path = draw(st.sampled_from([b"/", b"/comments/v", b"/a%20b"]))
    query = draw(st.sampled_from([b"", b"a=1&b=%20"]))
    headers = [(b"host", b"x"), *draw(st.lists(st.sampled_from([(b"accept", b"*/*"), (b"x-a", b"")]), max_size=3))]
    body, lines = b"", b""
    method = draw(st.sampled_from([b"GET", b"POST"]))
    if method == b"POST":
        body = draw(BODIES)
        headers.append((b"content-length", b"%d" % len(body)))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    empty_lines = draw(st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
    target = path + (b"?" + query if query else b"")
    data = empty_lines + b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, lines, body)
    return data, Read(method.decode(), path.decode().replace("%20", " "), query, headers, body, True)


@given(st.lists(requests(), max_size=5), st.data())
def test_cuts_change_nothing(sent: list[tuple[bytes, Read]], data: st.DataObject) -> None:
    whole = b"".join(each for each, _ in sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=20)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read_all(pieces) == [read for _, read in sent]


@given(st.lists(st.binary(min_size=1, max_size=10), min_size=1, max_size=5), st.data())
def test_chunks_are_put_together(chunks: list[bytes], data: st.DataObject) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nx-trailer: 1\r\n\r\n"
    whole = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + framed
    cut = data.draw(st.integers(0, len(whole)))
    (read,) = read_all([whole[:cut], whole[cut:]])
    assert read.body == b"".join(chunks)
    assert read.headers == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


def test_what_stands_behind_a_chunked_body_is_reported_as_lost() -> None:
    reader = RequestReader(4096, 50)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert reader.read(head + b"0\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n")[1:] == (b"", True, b"")
    assert reader.overrun
    reader = RequestReader(4096, 50)
    reader.read(head)
    assert reader.read_body(b"1\r\na\r\n0\r\n\r\n\x00\x00") == (b"a", True, b""), "no part of this request"
    assert reader.overrun


@pytest.mark.parametrize(
    ("offer", "body"),
    [
        (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n", b"{}"),
        (b"connection: upgrade\r\nUPGRADE: websocket\r\n", b"{}"),
        (b"CONNECTION: UPgRADE\r\nUPgRADE: websocket\r\n", b"{}"),
        (b"connection: upgrade\r\nupgrade: TLS/1.3\r\n", b""),
    ],
)
def test_an_upgrade_is_ignored_and_the_body_read(offer: bytes, body: bytes) -> None:
    more = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nhost: x\r\n" + offer + b"content-length: %d\r\n\r\n" % len(body)
    first, second = read_all([head + body + more])
    assert (first.body, second.path) == (body, "/next")


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
def test_an_upgrade_is_ignored_with_any_method_and_framing(method: bytes) -> None:
    head = method + b" / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    chunked = head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    for pieces in ([chunked, head + b"\r\n"], [chunked[:-9], chunked[-9:], head + b"\r\n"]):
        assert [each.body for each in read_all(pieces)] == [b"{}", b""]


@pytest.mark.parametrize(
    ("sent", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", False),
    ],
)
def test_whether_another_one_may_follow(sent: bytes, keep_alive: bool) -> None:
    (read,) = read_all([sent])
    assert read.keep_alive is keep_alive


ODD_FRAMINGS = [
    *(
        b"transfer-encoding: " + coding
        for coding in (b"gzip, chunked", b"identity, chunked", b", chunked", b"chunked,")
    ),
    b"transfer-encoding: identity\r\ntransfer-encoding: chunked",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    *(b"content-length: " + length for length in (b"+5", b"5, 5", b"0x5", b"5 5", b"", b"99999999999999999999")),
    b"content-length: 5\r\ncontent-length: 5",
]
ODD_HOSTS = [
    b"",
    b"host: a\r\nhost: b\r\n",
    b"host: a\r\nhost: a\r\n",
    b"host: a b\r\n",
    b"host: a/b\r\n",
    b"host: u@a\r\n",
]
ODD_REQUEST_LINES = [
    *(b"GET / " + version for version in (b"RTSP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1")),
    *(b"GET /", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET\t/ HTTP/1.1", b"SOURCE / ICE/1.0"),
    *(b"\nGET / HTTP/1.1", b"\r\n\nGET / HTTP/1.1", b"\r\r\nGET / HTTP/1.1", b" GET / HTTP/1.1"),
    *(b"GET ftp://a/ HTTP/1.1", b"GET http://u@a/ HTTP/1.1"),
]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nhost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        # One framing, in one form (RFC 9112, 6)
        *((b"POST / HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n0\r\n\r\n" % lines, 400) for lines in ODD_FRAMINGS),
        (b"POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        # One host (RFC 9112, 3.2)
        *((b"GET / HTTP/1.1\r\n%b\r\n" % lines, 400) for lines in ODD_HOSTS),
        # A request line as RFC 9112, 3 has it, and nothing else before it than CRLF
        *((line + b"\r\nhost: x\r\n\r\n", 400) for line in ODD_REQUEST_LINES),
        (b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: \0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 4096, 431),
        (b"GET /" + b"y" * 4096 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 51 + b"\r\n", 431),
    ],
)
def test_what_is_no_request(sent: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        read_all([sent])
    assert refused.value.status == status


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_a_request_or_refused(data: bytes, cut: int) -> None:
    with contextlib.suppress(BadRequest):
        read_all([data[:cut], data[cut:]])


def test_a_line_end_begins_nothing_and_takes_no_room() -> None:
    reader = RequestReader(4096, 50)
    for _ in range(5_000):
        assert reader.read(b"\r\n") == (None, b"", False, b"")
    head, *_ = reader.read(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert head is not None


def test_an_old_client_gets_no_word_before_its_body() -> None:
    head, *_ = RequestReader(4096, 50).read(b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    assert head is not None
    assert not head.expects_continue


@pytest.mark.parametrize("piece", [b"a" * 1000, b"1;" + b"x" * 1000 + b"\r\na\r\n"])
def test_what_is_no_body_is_bounded_in_a_chunked_one(piece: bytes) -> None:
    reader = RequestReader(4096, 50)
    reader.read(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    if piece.startswith(b"a"):
        reader.read_body(b"0\r\nx: ")  # a trailer
    with pytest.raises(BadRequest) as refused:
        [reader.read_body(piece) for _ in range(10)]
    assert refused.value.status == 431


def test_chunks_of_one_byte_are_fine() -> None:
    reader = RequestReader(4096, 50)
    reader.read(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    assert all(reader.read_body(b"1\r\na\r\n")[0] == b"a" for _ in range(5_000))


@given(st.integers(0, 40))
def test_a_line_end_without_its_other_half_is_seen_wherever_packets_end(cut: int) -> None:
    sent = b"GET / HTTP/1.1\r\nhost: x\nmore: y\r\n"
    reader = RequestReader(4096, 50)
    with pytest.raises(BadRequest):
        [reader.read(piece) for piece in (sent[:cut], sent[cut:])]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"/comments/v", "/comments/v"),
        (b"/comments/v/?a=//", "/comments/v"),
        (b"//comments///v//", "/comments/v"),
        (b"///", "/"),
        (b"http://x/comments/v/", "/comments/v"),
        (b"/a%2F%2Fb%2F", "/a//b/"),
    ],
)
def test_slashes_that_mean_nothing_are_left_out(target: bytes, path: str) -> None:
    (read,) = read_all([b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % target])
    assert read.path == path


def test_a_whole_urls_host_counts_and_not_the_headers() -> None:
    """RFC 9112, 3.2.2"""
    (read,) = read_all([b"GET http://a:1/b HTTP/1.1\r\nhost: c\r\nx: y\r\n\r\n"])
    assert (read.path, read.headers) == ("/b", [(b"x", b"y"), (b"host", b"a:1")])


def test_an_old_client_needs_no_host() -> None:
    (read,) = read_all([b"GET / HTTP/1.0\r\n\r\n"])
    assert read.path == "/"
