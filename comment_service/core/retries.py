"""What a retry may do with the comment that its Idempotency-Key stands for. Rule 1: no clock; `now_ms` comes in."""

from history.core.model import Comment

AGAIN_MS = 600_000
"""How old a comment may be that is found stored and is published again, in milliseconds: nodes know by the id for 660 s
(`--dedupe-ms`) that they have it, and clocks may differ by 5 s. After that it would be too old to be shown live."""


def may_be_published_again(comment: Comment, now_ms: int) -> bool:
    """Nobody may have published it: whoever stored it may have died, or not known that it was stored."""
    return comment.created_at_ms > now_ms - AGAIN_MS


def is_expired(comment: Comment, keep_ms: int, now_ms: int) -> bool:
    """Whether the store has deleted the comment because of its age, or is about to. keep_ms: 0: it never does."""
    return keep_ms > 0 and comment.created_at_ms <= now_ms - keep_ms
