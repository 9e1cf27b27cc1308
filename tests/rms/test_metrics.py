"""rms/metrics.py: what the gauges say is what the kernel knows."""

import os
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.rms.conftest import RunningNode, StartNode
from tests.rms.http.test_app import answer, get, viewer
from tests.rms.parts import comment
from tests.waiting import eventually


async def scrape(node: RunningNode) -> dict[str, float]:
    _, _, body = await answer(node.operators_port, get("/metrics", accept="*/*"))
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def established(port: int) -> int:
    """connections that the kernel counts at this port"""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def test_the_gauges_tell_the_kernels_truth(start_node: StartNode) -> None:
    node = await start_node()
    async with (
        viewer(node.port, "/comments/v") as a,
        viewer(node.port, "/comments/v"),
        viewer(node.port, "/comments/w"),
    ):
        node.dispatcher.deliver([comment(n) for n in range(5)])
        await a.read_until(5)
        await eventually(lambda: node.node.sweeper.statistics().deliveries == 10)
        seen = await scrape(node)
        assert seen["rms_viewers"] == 3
        await eventually(lambda: established(node.port) == 3)  # the scrape's own connection goes
        assert seen["rms_videos"] == 2
        assert abs(seen["rms_open_files"] - len(os.listdir("/proc/self/fd"))) <= 3  # the scrape's own
        assert seen["rms_deliveries_total"] == 10, "five comments to each of the two who watch"
        assert 0 < seen["rms_longest_slice_seconds"] <= seen["rms_slice_seconds_sum"]
        assert seen["rms_history_reads_total"] == 2, "a video's first viewer reads it"
        assert seen["rms_slice_seconds_count"] == seen["rms_slice_viewers_count"] > 0
        assert seen["rms_dispatcher_connected/1"] == 1
        assert seen["rms_dispatcher_events_total/1"] == 5
    await eventually(lambda: len(node.node.viewers) == 0)
    seen = await scrape(node)
    assert seen["rms_viewers"] == 0
    assert seen["rms_closes_total/left"] == 3
    assert seen["rms_stalled_viewers"] == seen["rms_lag_bytes"] == seen["rms_draining"] == 0


async def test_sent_bytes_are_those_that_arrived(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.deliver([comment(n) for n in range(50)])
        await raw.read_until(50)
        seen = await scrape(node)
        assert seen["rms_sent_bytes_total"] == len(raw.head) + len(raw.received)
