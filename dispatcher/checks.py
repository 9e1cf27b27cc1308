"""Checks what peers send, and refuses it with a sentence where it isn't allowed. protobuf checks only the types."""

import re
from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from dispatcher.config import Config
from dispatcher.core.errors import InvalidRequest, LimitReached, shown
from proto.core.public_url import is_public_url
from proto.dispatch_pb2 import (
    CatchUpOrder,
    DrainRequest,
    Hello,
    PlaceRequest,
    PublishRequest,
    VideoBatch,
    VideoViewers,
)

_NAME = re.compile(r"[A-Za-z0-9_.:~-]+")

_Parsed = TypeVar("_Parsed", bound=Message)


def parse(kind: type[_Parsed], encoded: bytes) -> _Parsed:
    """Raises InvalidRequest if the bytes are no such message, or a text is no UTF-8."""
    try:
        return kind.FromString(encoded)
    except DecodeError:
        raise InvalidRequest(f"{len(encoded)} bytes are no {kind.DESCRIPTOR.full_name}") from None


def check_name(name: str, what: str, config: Config) -> str:
    """Returns the id of a node or a video. Its characters need no escaping in a URL, a log or a shell.

    what: names the id in the error's sentence
    """
    if not _NAME.fullmatch(name) or len(name) > config.name_bytes_max:
        raise InvalidRequest(
            f"{shown(name)} is no {what}: 1 to {config.name_bytes_max} of A-Z a-z 0-9 _ . : ~ - are allowed"
        )
    return name


def check_hello(hello: Hello, config: Config) -> None:
    check_name(hello.node_id, "node id", config)
    if not is_public_url(hello.public_url) or len(hello.public_url.encode()) > config.url_bytes_max:
        raise InvalidRequest(
            f"{shown(hello.public_url)} is no public URL: scheme://host:port, a path like /n/rms-1, or both, at "
            f"most {config.url_bytes_max} bytes"
        )


def check_video_ids(video_ids: Iterable[str], config: Config) -> list[str]:
    return [check_name(video_id, "video id", config) for video_id in video_ids]


def check_viewers(videos: Iterable[VideoViewers], config: Config) -> dict[str, int]:
    """video -> viewers"""
    return {check_name(video.video_id, "video id", config): video.viewers for video in videos}


def check_batch_size(encoded: bytes, config: Config) -> None:
    """A batch that is too large stays so: InvalidRequest tells the publisher that sending it again can't help."""
    if len(encoded) > config.batch_bytes_max:
        raise InvalidRequest(f"a batch has at most {config.batch_bytes_max} bytes, not {len(encoded)}")


def check_batch(request: PublishRequest, config: Config) -> None:
    """Doesn't look into the events: they belong to the service that accepted them, and to the nodes."""
    events = 0
    for video in request.videos:
        events += video.events
        if not (0 < video.low_id <= video.high_id and video.video_id and video.events and video.encoded):
            raise InvalidRequest(_why_no_batch(video))
    if events > config.batch_events_max:
        raise InvalidRequest(f"a batch has at most {config.batch_events_max} events, not {events}")
    if request.HasField("catch_up"):
        _check_catch_up(request.catch_up, config)
    elif not request.videos:  # as from a release whose events stood in other fields: an answer would lose them
        raise InvalidRequest("a batch has neither events nor a catch-up")


def _why_no_batch(video: VideoBatch) -> str:
    if not video.video_id:
        return "a batch has events of a video without an id"
    of_video = f"the batch of video {shown(video.video_id)}"
    if not video.low_id:
        return f"{of_video} has no low_id"
    if video.high_id < video.low_id:
        return f"{of_video} has a high_id below its low_id"
    return f"{of_video} has no bytes" if video.events else f"{of_video} says that it has no events"


def _check_catch_up(order: CatchUpOrder, config: Config) -> None:
    if not order.from_id:
        raise InvalidRequest("a catch-up has no from_id")
    if order.up_to_id and order.up_to_id < order.from_id:
        raise InvalidRequest("a catch-up has an up_to_id below its from_id")
    if len(order.video_ids) > config.catch_up_videos_max:
        raise InvalidRequest(
            f"a catch-up names at most {config.catch_up_videos_max} videos, not {len(order.video_ids)}"
        )
    check_video_ids(order.video_ids, config)


def check_drain(request: DrainRequest, config: Config) -> None:
    check_name(request.node_id, "node id", config)
    if request.over_ms > config.drain_over_ms_max:
        raise LimitReached(f"a drain takes at most {config.drain_over_ms_max} ms, not {request.over_ms}")


def check_place(request: PlaceRequest, config: Config) -> None:
    check_name(request.video_id, "video id", config)
    if len(request.exclude_node_ids) > config.excluded_max:
        raise LimitReached(f"a placement excludes at most {config.excluded_max} nodes")
    if request.viewers > config.place_viewers_max:
        raise LimitReached(f"a placement is for at most {config.place_viewers_max} viewers, not {request.viewers}")
