r"""Makes what viewers get of an event, as a server-sent event: a name and one line of data.

Every viewer and every service gets the same bytes. Fifteen client libraries were tried: some split lines at U+000B,
U+000C, U+0085, U+2028 or U+2029. So none of them, and no other control character, stands in the data; JSON escapes them
all. Rule: nothing here waits.
"""

import re

from history.core.model import Change, Comment, Event, as_server_sent, comment_json

_UNSAFE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
"""DEL, the C1 controls with NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR, in UTF-8. JSON escapes the C0 controls."""


def one_line(json: bytes) -> bytes:
    """The same JSON without control characters. json: without line ends, as msgspec makes it"""
    if json.isascii() and b"\x7f" not in json:  # most are, and searching takes as long as making them
        return json
    return _UNSAFE.sub(_escape, json)


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match.group().decode())


def comment_data(comment: Comment) -> bytes:
    """The comment's JSON: one line, no control characters"""
    return one_line(comment_json(comment))


def name_and_data(event: Event) -> tuple[str, bytes]:
    """Of the server-sent event. A comment has no name: it is an unnamed event. Empty data: no viewer gets it."""
    if isinstance(event, Comment):
        return "", comment_data(event)
    if not isinstance(event, Change):
        return "", b""
    name, data = as_server_sent(event)
    return name, one_line(data)
