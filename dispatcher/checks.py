"""Checks what peers send, and refuses it with a sentence where it isn't allowed. protobuf checks only the types."""

import re
from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from dispatcher.config import Config
from dispatcher.core.errors import InvalidRequest, LimitReached, shown
from proto.dispatch_pb2 import DrainRequest, Hello, PlaceRequest, PublishRequest, VideoViewers

_NAME = re.compile(r"[A-Za-z0-9_.:~-]+")
_URL = re.compile(r"https?://[^\s/?#\x00-\x1f\x7f]+/?")

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
    if not _URL.fullmatch(hello.public_url) or len(hello.public_url.encode()) > config.url_bytes_max:
        raise InvalidRequest(
            f"{shown(hello.public_url)} is no public URL: scheme://host:port without a path, at most "
            f"{config.url_bytes_max} bytes"
        )


def check_video_ids(video_ids: Iterable[str], config: Config) -> list[str]:
    return [check_name(video_id, "video id", config) for video_id in video_ids]


def check_viewers(videos: Iterable[VideoViewers], config: Config) -> dict[str, int]:
    """video -> viewers"""
    return {check_name(video.video_id, "video id", config): video.viewers for video in videos}


def check_batch_size(encoded: bytes, config: Config) -> None:
    if len(encoded) > config.batch_bytes_max:
        raise LimitReached(f"a batch has at most {config.batch_bytes_max} bytes, not {len(encoded)}")


def check_batch(request: PublishRequest, config: Config) -> None:
    """Doesn't look into the comments: they belong to the service that accepted them, and to the nodes."""
    if len(request.comments) > config.batch_comments_max:
        raise LimitReached(f"a batch has at most {config.batch_comments_max} comments, not {len(request.comments)}")


def check_drain(request: DrainRequest, config: Config) -> None:
    check_name(request.node_id, "node id", config)
    if request.over_ms > config.drain_over_ms_max:
        raise LimitReached(f"a drain takes at most {config.drain_over_ms_max} ms, not {request.over_ms}")


def check_place(request: PlaceRequest, config: Config) -> None:
    check_name(request.video_id, "video id", config)
    if len(request.exclude_node_ids) > config.excluded_max:
        raise LimitReached(f"a placement excludes at most {config.excluded_max} nodes")
