"""Creates, starts, ends and looks up videos, and tells the gate at once what it has stored."""

from collections.abc import Callable

from comment_service.core.errors import VideoEnded, VideoExists, VideoUnknown
from comment_service.videos.gate import VideoGate
from history.core.video import Order, Video, VideoOver, obey
from history.store import History


class Catalogue:
    """Belongs to one event loop. Everything in it raises StoreUnavailable."""

    def __init__(self, history: Callable[[], History], gate: VideoGate) -> None:
        """history: the open store; raises StoreUnavailable until there is one."""
        self._history = history
        self._gate = gate

    async def create(self, video: Video) -> Video:
        """Returns the stored video. Idempotent: if there is one with that id, title and owner, returns that one.

        Raises VideoExists if the id belongs to another video.
        """
        if not await self._history().add_video(video):
            stored = await self._stored(video.id)
            if (stored.title, stored.owner) != (video.title, video.owner):
                raise VideoExists(video.id)
            video = stored
        self._gate.learn(video)
        return video

    async def order(self, video_id: str, order: Order, now_ms: int) -> Video:
        """Starts or ends the video and returns it. Idempotent. Raises VideoUnknown, VideoEnded."""
        try:
            return await self.change(video_id, lambda video: obey(video, order, now_ms))
        except VideoOver:
            raise VideoEnded(video_id) from None

    async def change(self, video_id: str, change: Callable[[Video], Video]) -> Video:
        """Stores what `change` makes of the video, and returns it. Idempotent if that is. Raises VideoUnknown, and what
        `change` raises."""
        # Compare and set: once more whenever somebody else has changed the video since it was read. Each time somebody
        # has got on, and a video changes rarely.
        while True:
            before = await self._stored(video_id)
            after = change(before)
            if await self._history().change_video(before, after):  # announces it also if nothing changes
                self._gate.learn(after)
                return after

    async def get(self, video_id: str) -> Video:
        """Raises VideoUnknown."""
        video = await self._stored(video_id)
        self._gate.learn(video)
        return video

    async def _stored(self, video_id: str) -> Video:
        video = await self._history().video(video_id)
        if video is None:
            raise VideoUnknown(video_id)
        return video
