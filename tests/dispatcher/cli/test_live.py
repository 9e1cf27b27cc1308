"""dispatcher/cli/live.py: an event as a line; watching and following are tested in test_topology.py."""

from dispatcher.cli.live import event_line
from proto.dispatch_pb2 import Event


def test_an_event_has_its_replica_and_what_was_lost_before() -> None:
    line = event_line("d1:7001", Event(kind="spill", node_id="rms-1", video_id="demo", lost=3)).plain
    assert line.endswith("d1:7001  (3 lost) spill  rms-1  demo")


def test_a_reason_is_shown() -> None:
    line = event_line("d1:7001", Event(kind="node_left", node_id="rms-1", reason="it closed the stream")).plain
    assert line.endswith("node left  rms-1  it closed the stream")
