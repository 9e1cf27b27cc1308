"""How often an address may read and post, beside the limits of all requests (proto/http/guard.py)."""

from collections.abc import Mapping
from typing import NamedTuple

from proto.http.guard import Guard, Limit
from proto.http.peer import LimitOf
from proto.http.requests import Head


class RequestRates(NamedTuple):
    """comment_service/settings/accepting.py says why they are what they are."""

    reads_per_s: float
    reads_per_s_max: float
    posts_per_s: float
    posts_per_s_max: float


READS = ("/comment/", "/comments/", "/videos/")
"""Paths whose GET reads the store, or asks a dispatcher"""

FREE: Mapping[str, str] = {
    "/": "a file in memory, after a look at the times of its sources",
    "/page/{name:path}": "files in memory",
    "/health/live": "always the same answer",
    "/health/ready": "those who ask at the same time share one look at the store",
}
"""Routes whose GET counts as a request only, and why"""


def limits_by_path(guard: Guard, rates: RequestRates) -> LimitOf:
    """Reads are pages, records of videos, and redirects to streams; posts whatever changes something."""
    reads = guard.limit("too_many_reads", "reads", rates.reads_per_s, rates.reads_per_s_max)
    posts = guard.limit("too_many_posts", "posts", rates.posts_per_s, rates.posts_per_s_max)

    def limit_of(head: Head) -> Limit | None:
        if head.method in ("GET", "HEAD"):
            return reads if head.path.startswith(READS) else None
        return None if head.method == "OPTIONS" else posts

    return limit_of
