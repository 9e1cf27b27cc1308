"""What several tests here are made of"""

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
