"""A node and a replica of today, and an event of a kind that neither knows: it is counted, and passed on as it is."""

from history.core.ids import first_id_at
from proto.dispatch_pb2 import PublishRequest, VideoBatch
from proto.event_pb2 import Event, VideoEvents
from rms.clocks import wall_ms
from tests.dispatcher.peers import PublisherPeer, RunningReplica, batches
from tests.dispatcher.peers import comment as said
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import events

OF_A_LATER_VERSION = b"\xfa\x07\x01x"
"""A field that proto/event.proto doesn't have, in the place of the body"""


async def test_an_unknown_kind_is_counted_and_its_name_and_data_reach_the_viewer(start_node: StartNode) -> None:
    now = first_id_at(wall_ms())
    poll = Event(id=now + 2, name="poll", data=b'{"question":"?"}').SerializeToString() + OF_A_LATER_VERSION
    comment = said(now + 1, "v", '{"id":"1"}')
    encoded = VideoEvents(video_id="v").SerializeToString() + b"\x12%c%b" % (len(poll), poll)
    async with RunningReplica() as replica, PublisherPeer(replica.listen) as publisher:
        node = await start_node(dispatchers=replica.listen, wait=False)
        async with viewer(node.port, "/comments/v") as raw:
            polled = VideoBatch(video_id="v", low_id=now + 2, high_id=now + 2, events=1, encoded=encoded)
            await publisher.sends(PublishRequest(seq=1, videos=[*batches(comment), polled]))
            body = await raw.read_until(b"event: poll\n")
            assert await publisher.is_answered() == 1
        first, second = (event for event in events(body) if "data" in event and event.get("event") in (None, "poll"))
        assert (first["data"], second["event"], second["data"]) == ('{"id":"1"}', "poll", '{"question":"?"}')
        async with viewer(node.port, "/comments/v", f"Last-Event-ID: {first['id']}\r\n") as again:
            assert b"event: poll\n" in await again.read_until(b"event: poll\n")
        assert first["id"] != second["id"]  # the position counts it
