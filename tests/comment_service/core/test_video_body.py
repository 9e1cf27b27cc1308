"""The body of POST /videos: a video, or the sentence that helps its sender"""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comment_service.core.errors import InvalidVideo, InvalidVideoFields, ServiceError
from comment_service.core.identity import AuthorLimits
from comment_service.core.video_body import parse_video
from history.core.model import Author
from history.core.video import State, Video

LIMITS = AuthorLimits(64, 128)


def parse(body: bytes) -> Video:
    return parse_video(body, "new-id", 1_000, 200, LIMITS)


def test_only_the_title_is_needed() -> None:
    assert parse(b'{"title": "A talk"}') == Video("new-id", "A talk", None, 1_000)


def test_all_of_it() -> None:
    body = {"title": "Grüße 🎈", "id": "demo", "owner": {"id": "ann", "name": "Ann"}, "state": "live"}
    video = parse(json.dumps(body).encode())
    assert video == Video("demo", "Grüße 🎈", Author("ann", "Ann"), 1_000, 1_000)
    assert video.state is State.LIVE


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "title"),
        (b"[]", "array"),
        (b"{}", "title"),
        (b'{"title": 1}', "int"),
        (b'{"title": ""}', "visible"),
        (b'{"title": " \\u200b"}', "visible"),
        (b'{"title": "a\\nb"}', "one line"),
        (b'{"title": "%b"}' % (b"x" * 201), "201 characters"),
        (b'{"title": "t", "state": "ended"}', "ended"),
        (b'{"title": "t", "views": 1}', "views"),
        (b'{"title": "t", "plannedAt": -1}', "plannedAt"),
        (b'{"title": "t", "plannedAt": 9007199254740992}', "plannedAt"),
        (b'{"title": "t", "playbackUrl": "ftp://x/y"}', "playbackUrl"),
        (b'{"title": "t", "playbackUrl": "//x/y"}', "playbackUrl"),
        (b'{"title": "t", "playbackUrl": "https://x/a b"}', "playbackUrl"),
        (b'{"title": "t", "playbackUrl": "https://x/\\u0000"}', "playbackUrl"),
        (b'{"title": "t", "playbackUrl": "https://x/%b"}' % (b"x" * 2000), "playbackUrl"),
        (b'{"title": "\xff"}', "utf-8"),
        (b"[" * 20_000, "a video is one JSON object"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, words: str) -> None:
    with pytest.raises(InvalidVideoFields, match=words):
        parse(body)


def test_a_wrong_id_is_refused_as_everywhere() -> None:
    with pytest.raises(InvalidVideo):
        parse(b'{"title": "t", "id": "a/b"}')


@given(st.binary(max_size=100) | st.recursive(st.text() | st.none(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_anything_is_a_video_or_refused(body: bytes) -> None:
    with contextlib.suppress(ServiceError):
        assert parse(body).title
