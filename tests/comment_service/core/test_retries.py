"""comment_service/core/retries.py: the last moment of what a retry may do"""

from comment_service.core.retries import AGAIN_MS, is_expired, may_be_published_again
from history.core.model import Author, Comment

SAID_MS = 1_700_000_000_000
COMMENT = Comment(1, "v", Author("a", "A"), "hi", SAID_MS)


def test_what_was_said_ten_minutes_ago_is_not_published_again() -> None:
    assert AGAIN_MS == 600_000, "nodes remember ids for a minute longer (--dedupe-ms)"
    assert may_be_published_again(COMMENT, SAID_MS - 5_000)
    assert may_be_published_again(COMMENT, SAID_MS + AGAIN_MS - 1)
    assert not may_be_published_again(COMMENT, SAID_MS + AGAIN_MS)


def test_a_comment_is_expired_from_the_end_of_its_time_on() -> None:
    for keep_ms in (1, 1_000):
        assert not is_expired(COMMENT, keep_ms, SAID_MS + keep_ms - 1)
        assert is_expired(COMMENT, keep_ms, SAID_MS + keep_ms)
    assert not is_expired(COMMENT, 0, SAID_MS + 10**12), "it is kept for ever"
