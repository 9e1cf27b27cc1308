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
from proto.dispatch_pb2 import (
    CatchUpOrder,
    Hello,
    NodeMessage,
    PlaceRequest,
    PublishRequest,
    VideoBatch,
    VideoViewers,
)

CONFIG = Config.model_validate({"excluded_max": 1, "catch_up_videos_max": 2})


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


@pytest.mark.parametrize(
    "url",
    ["http://rms-1:8000", "https://[::1]:443", "http://127.0.0.1:80/", "/n/rms-1", "https://example.org/live/n/rms-1"],
)
def test_public_urls(url: str) -> None:
    check_hello(Hello(node_id="rms-1", public_url=url), CONFIG)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "rms-1:8000",
        "ftp://rms-1",
        "http://",
        "http://a//b",
        "//a",
        "/n/a?b",
        "http://a b",
        "http://a\n",
        "http://" + "x" * 600,
    ],
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
        (lambda: check_place(PlaceRequest(video_id="a", exclude_node_ids=["b", "c"]), CONFIG), LimitReached),
    ],
)
def test_limits(check: Callable[[], object], error: type[DispatcherError]) -> None:
    with pytest.raises(error):
        check()


GOOD = VideoBatch(video_id="a", low_id=1, high_id=2, events=2, encoded=b"x")


def changed(**fields: object) -> PublishRequest:
    """A good batch, but for that"""
    other = VideoBatch.FromString(GOOD.SerializeToString())
    for name, value in fields.items():
        setattr(other, name, value)
    return PublishRequest(videos=[other])


def catch_up(**fields: object) -> PublishRequest:
    order = CatchUpOrder(from_id=9)
    order.MergeFrom(CatchUpOrder(**fields))  # type: ignore[arg-type]
    return PublishRequest(catch_up=order)


@pytest.mark.parametrize(
    "good",
    [changed(), catch_up(), catch_up(up_to_id=9, video_ids=["a", "b"]), changed(low_id=2)],
)
def test_what_is_published(good: PublishRequest) -> None:
    check_batch(good, CONFIG)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        # what a release sends whose events stand in a field that was given up
        (PublishRequest.FromString(b"\x08\x01\x12\x00"), "a batch has neither events nor a catch-up"),
        (changed(video_id=""), "a batch has events of a video without an id"),
        (changed(low_id=0), "the batch of video 'a' has no low_id"),
        (changed(low_id=3), "the batch of video 'a' has a high_id below its low_id"),
        (changed(events=0), "the batch of video 'a' says that it has no events"),
        (changed(encoded=b""), "the batch of video 'a' has no bytes"),
        (changed(events=1001), "a batch has at most 1000 events, not 1001"),
        (PublishRequest(videos=[GOOD] * 501), "a batch has at most 1000 events, not 1002"),
        (PublishRequest(catch_up=CatchUpOrder()), "a catch-up has no from_id"),
        (catch_up(up_to_id=8), "a catch-up has an up_to_id below its from_id"),
        (catch_up(video_ids=["a"] * 3), "a catch-up names at most 2 videos, not 3"),
        (catch_up(video_ids=["a b"]), "'a b' is no video id"),
    ],
)
def test_what_is_no_batch_is_refused_for_good(wrong: PublishRequest, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        check_batch(wrong, CONFIG)


def test_a_batch_is_bounded_in_bytes() -> None:
    check_batch_size(bytes(3 << 20), CONFIG)
    with pytest.raises(InvalidRequest, match="a batch has at most 3145728 bytes, not 3145729"):
        check_batch_size(bytes(3 << 20) + b"x", CONFIG)
