"""dispatcher/checks.py: what a peer may send, and that every refusal is a short, plain sentence."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.checks import (
    check_batch,
    check_batch_size,
    check_hello,
    check_name,
    check_place,
    check_video_ids,
    check_viewers,
    parse,
)
from dispatcher.config import Config
from dispatcher.core.errors import DispatcherError, InvalidRequest, LimitReached
from proto.comment_pb2 import Comment
from proto.dispatch_pb2 import Hello, NodeMessage, PlaceRequest, PublishRequest, VideoViewers

CONFIG = Config.model_validate({"batch_comments_max": 2, "batch_bytes_max": 1024, "excluded_max": 1})


def refusal(check: Callable[[], object]) -> str:
    """The sentence with which it is refused; empty if it isn't"""
    try:
        check()
    except InvalidRequest as refused:
        return str(refused)
    return ""


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_a_sentence(encoded: bytes) -> None:
    assert refusal(lambda: parse(NodeMessage, encoded)) in (
        "",
        f"{len(encoded)} bytes are no livecomments.v1.NodeMessage",
    )


@given(st.text(max_size=200))
def test_a_name_is_plain_or_refused_with_a_sentence(name: str) -> None:
    sentence = refusal(lambda: check_name(name, "video id", CONFIG))
    if sentence:
        assert sentence.isprintable()
        assert len(sentence) < 600
    else:
        assert name.isascii()
        assert not any(character.isspace() for character in name)


@pytest.mark.parametrize("url", ["http://rms-1:8000", "https://[::1]:443", "http://127.0.0.1:80/"])
def test_public_urls(url: str) -> None:
    check_hello(Hello(node_id="rms-1", public_url=url), CONFIG)


@pytest.mark.parametrize(
    "url", ["", "rms-1:8000", "ftp://rms-1", "http://", "http://a/b", "http://a b", "http://a\n", "http://" + "x" * 600]
)
def test_what_is_no_public_url(url: str) -> None:
    with pytest.raises(InvalidRequest, match="is no public URL"):
        check_hello(Hello(node_id="rms-1", public_url=url), CONFIG)


@pytest.mark.parametrize(
    ("check", "error"),
    [
        (lambda: check_hello(Hello(node_id="", public_url="http://a"), CONFIG), InvalidRequest),
        (lambda: check_video_ids(["a", "b c"], CONFIG), InvalidRequest),
        (lambda: check_viewers([VideoViewers(video_id="")], CONFIG), InvalidRequest),
        (lambda: check_batch_size(b"x" * 1025, CONFIG), LimitReached),
        (lambda: check_batch(PublishRequest(comments=[Comment(id=1)] * 3), CONFIG), LimitReached),
        (lambda: check_place(PlaceRequest(video_id="a", exclude_node_ids=["b", "c"]), CONFIG), LimitReached),
    ],
)
def test_limits(check: Callable[[], object], error: type[DispatcherError]) -> None:
    with pytest.raises(error):
        check()
