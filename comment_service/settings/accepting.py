"""What a comment_service takes from people: requests, comments, videos, orders."""

from pydantic import Field

from comment_service.core.admission import Admission
from comment_service.core.identity import AuthorLimits
from comment_service.http.app import HttpLimits
from comment_service.http.limits import RequestRates
from comment_service.http.videos import VideoLimits
from comment_service.moderate.purging import PurgeSettings
from comment_service.videos.gate import GateSettings, Verdict
from proto.http_settings import HttpSettings


class AcceptingSettings(HttpSettings):
    """Each with its unit and its reason"""

    # Videos
    ended_videos: Verdict = Field(
        "refuse", description="comments on a video that has ended: refuse (409), or accept as comments on a recording"
    )
    unknown_videos: Verdict = Field(
        "accept",
        description="comments on a video that nobody has created, and its stream: accept, for a try-out, or refuse "
        "(404)",
    )
    video_news_ms: int = Field(
        1_000, ge=1, description="ms between two queries for what others changed: so long after an end comments come"
    )
    video_look_ms: int = Field(
        250, ge=1, description="ms an author waits for a video's state, which takes 1; then the comment is accepted"
    )
    videos_known_max: int = Field(
        50_000, ge=1, description="videos whose state is remembered, 250 bytes each; others are looked up again"
    )
    title_characters_max: int = Field(200, ge=1, description="characters in a video's title: two lines on a phone")

    # What a comment may be
    message_characters_max: int = Field(500, ge=1, description="characters in a message: what a viewer reads in 5 s")
    message_bytes_max: int = Field(2_000, ge=1, description="bytes of UTF-8 in a message: 500 longest characters")
    author_characters_max: int = Field(64, ge=1, le=128, description="characters in an author's id or name")
    author_bytes_max: int = Field(
        128, ge=64, le=128, description="bytes of UTF-8 in an author's id or name; dispatchers take 128 at most"
    )

    # Requests
    posts_per_s: float = Field(
        50.0, gt=0, description="posts/s of one address, then 429: 1,000 people behind it, each in 20 s"
    )
    posts_per_s_max: float = Field(
        10_000.0, gt=0, description="posts/s of all who have limits, then 503: more than one process stores"
    )
    reads_per_s: float = Field(
        100.0, gt=0, description="pages and redirects/s of one address, then 429: with the burst, 1,000 people reload"
    )
    reads_per_s_max: float = Field(10_000.0, gt=0, description="pages and redirects/s of all who have limits, then 503")
    body_bytes_max: int = Field(
        16_384, ge=1024, description="bytes in a body: the longest comment with every character escaped has 7 KB"
    )
    body_timeout_ms: int = Field(
        10_000, ge=100, description="ms until a body must be complete: 2 KB in 10 s is slower than any phone"
    )
    pagesize_default: int = Field(10, ge=1, description="comments in a page if the request doesn't say")
    pagesize_max: int = Field(100, ge=1, description="comments in a page at most: about 50 KB")
    retry_after_min_s: int = Field(1, ge=0, description="s, least Retry-After of a 503: a dispatcher is back in 2")
    retry_after_max_s: int = Field(5, ge=0, description="s, greatest Retry-After: clients that wait return spread out")

    # Moderating
    moderate_published_ms: int = Field(
        3_000,
        ge=0,
        description="ms an order waits until viewers' nodes have it, which takes 10, or a lease (2 s) if one has died; "
        "then 202",
    )
    purge_pause_ms: int = Field(
        50, ge=0, description="ms of pause after each 500 purged comments: 10,000/s, so live ones aren't held up"
    )
    purge_drained_ms: int = Field(
        5_000, ge=0, description="ms the purge of an author waits for this process's spool to be empty; then 503"
    )
    purge_poll_ms: int = Field(
        5_000,
        ge=1,
        description="ms between two queries for purges to carry on: half of the first pause (10 s); two small reads",
    )
    forget_ms: int = Field(
        1_000, ge=1, description="ms between two queries for what others changed: so long it may still be read here"
    )
    forget_overlap_ms: int = Field(
        30_000, ge=0, description="ms such a query goes back further: more than nodes' clocks differ; a small read"
    )

    def admission(self) -> Admission:
        return Admission(self.message_characters_max, self.message_bytes_max, self.author_limits())

    def author_limits(self) -> AuthorLimits:
        return AuthorLimits(self.author_characters_max, self.author_bytes_max)

    def request_rates(self) -> RequestRates:
        return RequestRates(self.reads_per_s, self.reads_per_s_max, self.posts_per_s, self.posts_per_s_max)

    def http_limits(self) -> HttpLimits:
        return HttpLimits(self.body_bytes_max, self.body_timeout_ms)

    def video_limits(self) -> VideoLimits:
        return VideoLimits(
            body_bytes_max=self.body_bytes_max,
            body_timeout_ms=self.body_timeout_ms,
            title_characters_max=self.title_characters_max,
            author=self.author_limits(),
            pagesize_default=self.pagesize_default,
            pagesize_max=self.pagesize_max,
        )

    def gate_settings(self) -> GateSettings:
        return GateSettings(
            ended=self.ended_videos,
            unknown=self.unknown_videos,
            news_ms=self.video_news_ms,
            overlap_ms=self.forget_overlap_ms,
            look_ms=self.video_look_ms,
            videos_max=self.videos_known_max,
        )

    def purge_settings(self) -> PurgeSettings:
        return PurgeSettings(self.purge_pause_ms, self.purge_drained_ms, self.purge_poll_ms)
