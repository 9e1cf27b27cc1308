"""What goes into the registry, and what it shows: frozen, and without a way back into it."""

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.core.life import State


@dataclass(frozen=True, slots=True)
class Hello:
    """A node's full picture of itself"""

    node_id: str
    incarnation: int
    public_url: str
    capacity_viewers: int
    viewers: int
    videos: Mapping[str, int]  # video -> viewers
    silent_ms: int = 0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    session: int
    node_id: str
    incarnation: int
    public_url: str
    state: State
    capacity_viewers: int
    viewers: int
    promised_viewers: int
    videos: int
    connected_ms: int  # when this registration began
    heard_ms: int  # when the node's last message came


@dataclass(frozen=True, slots=True)
class Placement:
    node: NodeView
    spilled: bool  # the video had nodes already, and this is one more


@dataclass(frozen=True, slots=True)
class VideoView:
    video_id: str
    viewers: int
    node_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    nodes: int
    draining_nodes: int
    videos: int
    interests: int  # pairs of a video and a node that serves it
    viewers: int
    capacity_viewers: int
    promised_viewers: int
