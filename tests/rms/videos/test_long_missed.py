"""rms/videos/catching_up.py: what was missed for longer than a node remembers ids"""

from rms.clocks import wall_ms
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, ids


async def test_a_gap_is_told_only_if_there_are_comments_in_it(start_node: StartNode) -> None:
    node = await start_node()
    now_ms = wall_ms()
    long_ago_ms = now_ms - 2 * node.node.settings.dedupe_ms
    async with viewer(node.port, "/comments/quiet") as quiet, viewer(node.port, "/comments/busy") as busy:
        await node.store.append([comment(1, now_ms, "quiet")])
        await node.store.append([comment(2, long_ago_ms, "busy"), comment(3, now_ms, "busy")])
        node.node.served.catch_up(comment(0, long_ago_ms).id, live_waits=False)
        assert ids(await quiet.read_until(1)) == [comment(1, now_ms).id]
        assert ids(await busy.read_until(1)) == [comment(3, now_ms).id]
        assert (quiet.body.count(b"event: gap"), busy.body.count(b"event: gap")) == (0, 1)
