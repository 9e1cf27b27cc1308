"""Comments for the tests of history."""

from history.core.ids import first_id_at
from history.core.model import Author, Comment

START_MS = 1_760_000_000_000
"""A time that is no border of anything"""


def a_comment(comment_id: int, video_id: str = "video", message: str = "hello") -> Comment:
    return Comment(comment_id, video_id, Author("author-1", "Ada"), message, 1_760_000_000_000)


def comments_every(step_ms: int, count: int, video_id: str, start_ms: int = START_MS) -> list[Comment]:
    """count comments, oldest first"""
    return [a_comment(first_id_at(start_ms + n * step_ms), video_id, f"comment {n}") for n in range(count)]
