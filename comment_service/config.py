"""The settings of a comment_service. docs/limits.md lists them."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from comment_service.http.page_policy import ORIGIN, nodes_called, page_policy
from comment_service.http.pages import PageSettings
from comment_service.settings.accepting import AcceptingSettings
from comment_service.settings.publishing import PublishingSettings
from comment_service.settings.storing import StoringSettings
from history.core.ids import NODES
from proto.http_settings import OPERATORS_LISTEN
from proto.settings import Address, split_address


def _node(value: object) -> int | str:
    if value == "auto":
        return "auto"
    if isinstance(value, int | str) and re.fullmatch("[0-9]{1,4}", str(value)) and int(value) < NODES:
        return int(value)
    raise ValueError(f"0 to {NODES - 1}, or auto")


def _each(one: re.Pattern[str]) -> AfterValidator:
    def check(text: str) -> str:
        for word in filter(None, text.split(",")):
            if not one.fullmatch(word):
                raise ValueError(f"{word[:100]!r} can't stand in a Content-Security-Policy: write https://example.org")
        return text

    return AfterValidator(check)


Origins = Annotated[str, _each(ORIGIN)]
Ancestors = Annotated[str, StringConstraints(min_length=1), _each(re.compile(f"'self'|'none'|{ORIGIN.pattern}"))]


class Config(AcceptingSettings, StoringSettings, PublishingSettings):
    """One comment_service: accepts comments, serves pages of them, and sends viewers to their RMS node."""

    model_config = SettingsConfigDict(env_prefix="LIVECOMMENTS_COMMENT_SERVICE_")

    listen: Address = Field("127.0.0.1:8000", description="host:port for HTTP; port 0 takes a free one and logs it")
    operators_listen: Address = Field("127.0.0.1:9000", description=OPERATORS_LISTEN)
    node: Annotated[int | Literal["auto"], BeforeValidator(_node)] = Field(
        0,
        description="number of this process, 0 to 1023, unique among all that share a store: it is a part of each "
        "comment's id, so two processes with the same number could give one id to two comments. auto takes a free "
        "number, and needs a --state-dir of its own",
    )
    cors_origins: str = Field(
        "*", description="origins whose pages may use the API, with cookies too, comma between; *: all, without cookies"
    )
    frame_ancestors: Ancestors = Field(
        "'self'",
        description="sites that may show the viewer's page in a frame, as 'self',https://example.org: 'self' is only "
        "its own host, as who frames it can lead a viewer's clicks; 'none': nobody may",
    )
    connect_src: Origins = Field(
        "",
        description="origins of the nodes that streams come from, as https://*.live.example.org, comma between: the "
        "page calls no other but its own. A service on loopback adds this machine's ports",
    )
    admin_token: str = Field(
        "",
        repr=False,
        description="operator's token, for `Authorization: Bearer`; without one erasing is off, and anybody may "
        "create, start and end videos. Better set it in the environment: all users of a machine can see its flags",
    )

    # Ending
    stop_requests_s: int = Field(5, ge=1, description="s after SIGTERM for requests under way")
    stop_backlog_ms: int = Field(
        3_000, ge=0, description="ms after that to publish the backlog; the next process's catch-up covers the rest"
    )

    @model_validator(mode="after")
    def _limits_fit_together(self) -> Self:
        if self.retry_after_max_s < self.retry_after_min_s:
            raise ValueError("--retry-after-max-s is below --retry-after-min-s")
        if self.pagesize_max < self.pagesize_default:
            raise ValueError("--pagesize-max is below --pagesize-default")
        if self.cache_late_ms < (late_ms := self.store_settings().late_ms):
            raise ValueError(f"--cache-late-ms is below {late_ms}, from which on stores report late comments")
        return self

    def page_calls(self) -> tuple[str, ...]:
        """The origins that the viewer's page may call beside its own"""
        return nodes_called([*filter(None, self.connect_src.split(","))], split_address(self.listen)[0])

    def page_policy(self) -> str:
        """The Content-Security-Policy of the viewer's page"""
        return page_policy(self.page_calls(), self.frame_ancestors.split(","))

    def page_settings(self) -> PageSettings:
        late_ms = self.cache_late_ms + self.cache_tip_ms  # a page may come from a copy that is so old
        return PageSettings(self.pagesize_default, self.pagesize_max, late_ms, self.cache_closed_ms)
