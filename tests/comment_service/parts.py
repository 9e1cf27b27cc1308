"""What several tests here are made of"""

import asyncio

from comment_service.core.outbox import Outbox
from comment_service.publish.encoding import publishable
from history.core.model import Author, Change, Comment

ANN = Author("guest:Ann", "Ann")


def comment(comment_id: int, video_id: str = "demo", message: str = "hi") -> Comment:
    return Comment(comment_id, video_id, ANN, message, comment_id)


class Published:
    """What a Publisher does with its outbox, without a stream"""

    def __init__(self, outbox: Outbox) -> None:
        self.begin = outbox.begin
        self.abandon = outbox.abandon
        self._outbox = outbox

    def put(self, event: Comment | Change) -> None:
        self._outbox.put(publishable(event))


class OwnNumber:
    """A `comment_service.fence.Fence` of a process whose node number is its own, until a test says otherwise"""

    def __init__(self) -> None:
        self.sure = asyncio.Event()
        self.sure.set()
        self.asked = asyncio.Event()

    def is_sure(self) -> bool:
        return self.sure.is_set()

    async def wait_sure(self) -> None:
        self.asked.set()
        await self.sure.wait()
