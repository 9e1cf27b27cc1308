"""An RMS of a later version, started as `python -m rms` is: it knows one more kind of event, `retracted`, by which an
author takes a comment back, and hides that comment. Neither the other services nor history know this kind."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import msgspec
from grpc_tools import protoc  # type: ignore[import-untyped]

import proto
from scripts.processes import ROOT

KIND = "retracted"
FIELD = 15
"""of its body in the Event, the first one that today's don't have"""

_LAST = "VideoChanged video_changed = 14;"


def event_proto() -> str:
    """proto/event.proto of the later version"""
    today = (ROOT / "proto" / "event.proto").read_text()
    assert today.count(_LAST) == 1
    assert f"= {FIELD};" not in today
    return (
        today.replace(_LAST, f"{_LAST}\nRetracted {KIND} = {FIELD};") + "message Retracted { fixed64 comment_id = 1; }"
    )


def learn_messages() -> None:
    """To be called before anything imports proto/event_pb2.py: takes the later version's in its place."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "proto").mkdir()
        (folder / "proto" / "event.proto").write_text(event_proto())
        assert protoc.main(["protoc", f"-I{folder}", f"--python_out={folder}", "proto/event.proto"]) == 0
        spec = importlib.util.spec_from_file_location("proto.event_pb2", folder / "proto" / "event_pb2.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["proto.event_pb2"] = module
        proto.event_pb2 = module
        spec.loader.exec_module(module)


def learn_kind() -> None:
    from proto import event_pb2
    from rms.feed.event import HIDDEN, Event
    from rms.feed.feed import Feed
    from rms.upstream import decoding

    about, take = decoding._about, Feed._take

    def about_or_retracted(event: event_pb2.Event, kind: str) -> tuple[int, str]:
        return (getattr(event, KIND).comment_id, "") if kind == KIND else about(event, kind)

    def take_or_hide(feed: Feed, event: Event, now_ms: int) -> bool:
        return take(feed, msgspec.structs.replace(event, kind=HIDDEN) if event.kind == KIND else event, now_ms)

    decoding._about = about_or_retracted
    Feed._take = take_or_hide  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    learn_messages()
    learn_kind()
    from history.opening import InvalidStoreUrl
    from proto.process import run_process
    from rms.__main__ import build
    from rms.config import RmsSettings

    run_process("rms", RmsSettings.parse(), build, (InvalidStoreUrl,))
