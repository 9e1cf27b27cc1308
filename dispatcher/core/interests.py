"""Maps videos to the nodes that serve them, and counts viewers: on each node, and on all nodes together.

Rule 1: no clock, no gRPC. Rule 2: two maps, video -> nodes and node -> videos, which only change together. A node is
known by its session.
"""

import heapq
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dispatcher.core.seating import rank


@dataclass(frozen=True, slots=True)
class VideoView:
    """A video as others see it: a copy"""

    video_id: str
    viewers: int
    node_ids: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    node_id: str
    videos: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)  # video -> viewers on all nodes, not yet sent to this node


@dataclass(slots=True)
class _Video:
    route: tuple[int, ...] = ()  # in the video's own order of nodes (seating.rank): the same on every replica
    viewers: int = 0


_NOBODY = _Video()


class Interests:
    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {}
        self._videos: dict[str, _Video] = {}
        self._counted: set[str] = set()  # videos whose number of viewers has changed since the last `spread`
        self._pairs = 0

    def __len__(self) -> int:
        """pairs of a video and a node that serves it"""
        return self._pairs

    @property
    def videos(self) -> int:
        return len(self._videos)

    # What changes

    def add(self, session: int, node_id: str) -> None:
        """Adds a node, which serves nothing yet."""
        self._nodes[session] = _Node(node_id)

    def remove(self, session: int) -> None:
        """Removes a node, with all that it served."""
        for video_id in tuple(self._nodes[session].videos):
            self.leave(session, video_id)
        del self._nodes[session]

    def join(self, session: int, video_id: str) -> None:
        """Idempotent, like `leave`."""
        node = self._nodes[session]
        if video_id in node.videos:
            return
        node.videos[video_id] = 0
        self._pairs += 1
        video = self._videos.setdefault(video_id, _Video())
        at = 0
        if video.route:
            ranked = rank(video_id, node.node_id)
            at = bisect_left(video.route, ranked, key=lambda s: rank(video_id, self._nodes[s].node_id))
        video.route = (*video.route[:at], session, *video.route[at:])
        node.sums[video_id] = video.viewers

    def leave(self, session: int, video_id: str) -> None:
        node = self._nodes[session]
        if video_id not in node.videos:
            return
        video = self._videos[video_id]
        video.viewers -= node.videos.pop(video_id)
        node.sums.pop(video_id, None)
        self._counted.add(video_id)
        self._pairs -= 1
        at = video.route.index(session)
        video.route = (*video.route[:at], *video.route[at + 1 :])
        if not video.route:
            del self._videos[video_id]

    def count(self, session: int, viewers: Mapping[str, int]) -> None:
        """viewers: on that node, by video; videos that it doesn't serve are ignored"""
        node = self._nodes[session]
        for video_id, watching in viewers.items():
            before = node.videos.get(video_id, watching)
            if before != watching:
                self._videos[video_id].viewers += watching - before
                node.videos[video_id] = watching
                self._counted.add(video_id)

    # Comments and placement

    def route(self, video_id: str) -> tuple[int, ...]:
        """The sessions of exactly the living nodes that serve the video"""
        return self._videos.get(video_id, _NOBODY).route

    def viewers(self, video_id: str) -> int:
        """How many watch the video, on all nodes"""
        return self._videos.get(video_id, _NOBODY).viewers

    def videos_of(self, session: int) -> Collection[str]:
        """What the session's node serves; empty if the session is over"""
        node = self._nodes.get(session)
        return node.videos.keys() if node else ()

    # Viewers of a video on all nodes together, which go to the nodes

    def sums(self, session: int, count: int) -> dict[str, int]:
        """Takes the sums that are to be sent to the node: viewers on all nodes, by video, of at most `count` videos.

        A sum is sent once after each change, with its value at the last `spread`: so the many changes of a video with
        many viewers cost one message.
        """
        node = self._nodes.get(session)
        if node is None:
            return {}
        if len(node.sums) <= count:
            sums, node.sums = node.sums, {}
            return sums
        return {video_id: node.sums.pop(video_id) for video_id in tuple(node.sums)[:count]}

    def spread(self) -> None:
        """Makes each sum that has changed since the last call ready to be sent to the nodes that serve its video."""
        counted, self._counted = self._counted, set()
        for video_id in counted:
            if video := self._videos.get(video_id):
                for session in video.route:
                    self._nodes[session].sums[video_id] = video.viewers

    # What operators and tests read

    def video(self, video_id: str) -> VideoView | None:
        """None if nobody serves it"""
        video = self._videos.get(video_id)
        return self._view(video_id, video) if video else None

    def most_watched(self, count: int) -> tuple[VideoView, ...]:
        """Most viewers first. Looks at every video: for operators, not for every event."""
        most = heapq.nsmallest(count, self._videos.items(), key=lambda item: (-item[1].viewers, item[0]))
        return tuple(self._view(video_id, video) for video_id, video in most)

    def _view(self, video_id: str, video: _Video) -> VideoView:
        return VideoView(video_id, video.viewers, tuple(sorted(self._nodes[s].node_id for s in video.route)))
