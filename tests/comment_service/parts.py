"""What several tests here are made of"""

from history.core.model import Author, Comment

ANN = Author("guest:Ann", "Ann")


def comment(comment_id: int, video_id: str = "demo", message: str = "hi") -> Comment:
    return Comment(comment_id, video_id, ANN, message, comment_id)
