"""python -m scripts.benches.registry: what the registry costs with a million videos, and where placement puts viewers.

Three workloads over 40 nodes, beside what others do: plain consistent hashing (each video has one node) and round robin
(each viewer goes to the next node). "pushes" is what a comment costs: the nodes that serve its video, weighed by the
video's viewers, because who has more viewers gets more comments. "fullest" is the largest load of a node against the
average; over 1.00 of its capacity a node has to refuse viewers. scripts/bench dispatcher prints this.
"""

import argparse
import gc
import itertools
import random
import resource
import sys
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from dispatcher.config import Config
from dispatcher.core.node import Hello
from dispatcher.core.registry import Registry
from dispatcher.core.seating import points

NODES = 1300
SIMULATED_NODES = 40
CAPACITY = 19_000
FILLED = 0.6  # of all seats
ASKED = 20_000  # places and routes that are timed
REACH_US = 50
START_MS = 1_700_000_000_000

Placement = Callable[[str], str | None]


def hello(number: int, videos: Sequence[str], viewers: int = 0) -> Hello:
    node_id = f"rms-{number}"
    return Hello(node_id, 1, f"http://{node_id}:8000", CAPACITY, viewers, dict.fromkeys(videos, 1))


def registry_costs(videos: int) -> Iterator[str]:
    """Memory of an interest, time of all hellos, p50 and p99 of the calls that run for each comment and viewer"""
    config = Config.model_validate({})
    gc.set_threshold(config.gc_objects)  # as a replica does
    registry = Registry(config.registry_limits(), START_MS)
    names = [f"video-{number}" for number in range(videos)]
    gc.collect()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    for number in range(NODES):
        registry.hello(number, hello(number, names[number::NODES], videos // NODES), START_MS)
    seconds = time.perf_counter() - started
    for number in range(NODES):  # and a giant that all of them serve
        registry.interest(number, ["giant"], [], START_MS)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) * 1024
    yield f"{videos:,} videos on {NODES:,} nodes: {grown / videos:.0f} bytes a mapping, all hellos in {seconds:.1f} s"
    for name, call in (
        ("route", registry.interests.route),
        ("place, served video", registry.place),
        ("place, new video", lambda video: registry.place(f"new-{video}")),
        ("place, giant", lambda _: registry.place("giant")),
    ):
        times_us = []
        for video in random.Random(1).choices(names, k=ASKED):  # the same each time
            begun = time.perf_counter_ns()
            call(video)
            times_us.append((time.perf_counter_ns() - begun) / 1000)
        times_us.sort()
        p50, p99 = times_us[ASKED // 2], times_us[ASKED * 99 // 100]
        yield f"{name:20} p50 {p50:5.1f} us, p99 {p99:5.1f} us (reach: p99 {REACH_US} us)"


def uniform(viewers: int) -> Iterator[str]:
    return (f"video-{number % 5000}" for number in range(viewers))


def zipf(viewers: int) -> Iterator[str]:
    """5,000 videos; the n-th one has 1/n of the first one's viewers"""
    ranks = range(1, 5001)
    return iter(random.Random(2).choices([f"video-{r}" for r in ranks], [1 / r for r in ranks], k=viewers))


def one_giant(viewers: int) -> Iterator[str]:
    """Nine of ten viewers watch one video."""
    return (f"video-{number % 500}" if number % 10 == 0 else "giant" for number in range(viewers))


def ours() -> Placement:
    """With beats: after every 1,000 viewers each node tells its load."""
    registry = Registry(Config.model_validate({}).registry_limits(), START_MS)
    arrived: dict[str, Counter[str]] = {}
    for number in range(SIMULATED_NODES):
        registry.hello(number, hello(number, ()), START_MS)
        arrived[f"rms-{number}"] = Counter()
    asked = itertools.count(1)

    def place(video: str) -> str | None:
        placed = registry.place(video)
        if placed is None:
            return None
        here = arrived[placed.node.node_id]
        if video not in here:
            registry.interest(placed.node.session, [video], [], START_MS)
        here[video] += 1
        if next(asked) % 1000 == 0:
            for session in range(SIMULATED_NODES):
                videos = arrived[f"rms-{session}"]
                registry.beat(session, videos.total(), videos, START_MS)
        return placed.node.node_id

    return place


def consistent_hashing() -> Placement:
    ring = sorted(
        (point, f"rms-{number}") for number in range(SIMULATED_NODES) for point in points(f"rms-{number}", 100)
    )
    places = [point for point, _ in ring]
    return lambda video: ring[bisect(places, points(video, 1)[0]) % len(ring)][1]


def round_robin() -> Placement:
    following = itertools.cycle(f"rms-{number}" for number in range(SIMULATED_NODES))
    return lambda _video: next(following)


def placed(workload: Callable[[int], Iterator[str]], placement: Placement, viewers: int) -> tuple[float, float, float]:
    """Pushes a comment, the fullest node's load against the average, and against its capacity"""
    nodes: Counter[str] = Counter()
    videos: dict[str, Counter[str]] = {}
    for video in workload(viewers):
        node = placement(video)
        if node is not None:
            nodes[node] += 1
            videos.setdefault(video, Counter())[node] += 1
    total = nodes.total()
    pushes = sum(len(served) * served.total() for served in videos.values()) / total
    return pushes, max(nodes.values()) * SIMULATED_NODES / total, max(nodes.values()) / CAPACITY


def placements(share: float) -> Iterator[str]:
    viewers = int(SIMULATED_NODES * CAPACITY * FILLED * share)
    yield f"{viewers:,} viewers on {SIMULATED_NODES} nodes with {CAPACITY:,} seats each; the fullest node's load"
    yield f"{'workload':11}{'placement':20}{'pushes':>8}{'of the average':>16}{'of its seats':>16}"
    for workload in (uniform, zipf, one_giant):
        for name, make in (("ours", ours), ("consistent hashing", consistent_hashing), ("round robin", round_robin)):
            pushes, against_average, filled = placed(workload, make(), viewers)
            yield f"{workload.__name__:11}{name:20}{pushes:>8.1f}{against_average:>16.2f}{filled:>16.2f}"


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)  # it is the answer


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m scripts.benches.registry", description=__doc__)
    options.add_argument("--only", choices=("registry", "placement"), help="both if not given")
    options.add_argument("--videos", type=int, default=1_000_000, help="videos in the registry")
    options.add_argument("--share", type=float, default=1.0, help="of the simulated viewers; less for a try-out")
    chosen = options.parse_args()
    if chosen.only != "placement":
        _print(registry_costs(chosen.videos))
    if chosen.only != "registry":
        _print(placements(chosen.share))
    return 0


if __name__ == "__main__":
    sys.exit(main())
