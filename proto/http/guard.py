"""What one address may do: its connections, its requests and whatever else a service counts, each with a limit.

Whoever is refused costs a look into a table, and gets a 429 that says when to come again; who goes on and on is cut
off. Callers from networks that the operator names have no limits; those behind trusted proxies are told apart
(proto/core/caller.py).
"""

import math
from collections import Counter
from typing import NamedTuple

from starlette.types import Scope

from proto.core.caller import Callers, parse_networks
from proto.core.rates import Rate, Shares, Turns
from proto.http.unknown_proxies import UnknownProxies
from proto.http_settings import GuardSettings

CALLER = "livecomments.caller"
"""In a scope: the `Caller`"""

GUARD = "livecomments.guard"
"""In a scope: the `Guard`"""

ALL = "all"
"""the one key of what all do together"""

TOLD_SHARE = 0.1
"""How many connections of one address beyond those that it may have are told so, as a share of those; the next are
closed without a word. Each is a connection while it is told, and one address must not take those of all."""

TURNS_S_MAX = 30.0
"""Those who are too many together are told to come one after the other within that time. Viewers of a node that has
died are turned away for no longer than this without asking again."""

SHARE_WAIT_S = 5.0
"""until somebody who has all that he may is to try again: some of it has ended by then, or not"""


class TooMany(NamedTuple):
    """A refusal"""

    status: int
    """429: this address has had too much; 503: all together have"""
    code: str
    message: str
    wait_s: float
    """until it is worth to try again"""

    @property
    def retry_after_s(self) -> int:
        return max(1, math.ceil(self.wait_s))


class Limit:
    """Of how often, for each address and for all. Made by `Guard.limit`."""

    def __init__(self, code: str, what: str, each: Rate, together: Rate, refused: Counter[str]) -> None:
        self._code = code
        self._what = what
        self._turns = Turns(together.per_s, TURNS_S_MAX)
        self._each = each
        self._together = together
        self._refused = refused

    def over(self, key: str | None, now_s: float, cost: float = 1.0) -> TooMany | None:
        """None: it may, and that is counted. key: `Caller.key`. now_s: of a monotonic clock"""
        if key is None:
            return None
        if wait_s := self._each.wait_s(key, now_s, cost):
            sentence = f"your address sends more than {self._each.per_s:g} {self._what} a second: slow down"
            return self._refuse(429, self._code, sentence, wait_s)
        if wait_s := self._together.wait_s(ALL, now_s, cost):
            sentence = f"this server takes {self._together.per_s:g} {self._what} a second, and there are more now"
            return self._refuse(
                503, f"{self._code}_of_all", f"{sentence}: come again later", max(wait_s, self._turns.wait_s(now_s))
            )
        return None

    def use(self, key: str | None, now_s: float, cost: float) -> None:
        """Counts what can't be refused any more. One address that has had too much makes nobody else wait."""
        if key is not None and self._each.use(key, now_s, cost):
            self._together.use(ALL, now_s, cost)

    def _refuse(self, status: int, code: str, sentence: str, wait_s: float) -> TooMany:
        self._refused[code] += 1
        return TooMany(status, code, sentence, wait_s)


class Share:
    """Of how many at the same time, for each address. Made by `Guard.share`."""

    def __init__(self, code: str, what: str, shares: Shares, refused: Counter[str]) -> None:
        self._code = code
        self._what = what
        self._shares = shares
        self._refused = refused

    def take(self, key: str | None) -> TooMany | None:
        """None: it has one more now, until `free`. key: `Caller.key`"""
        if key is None or self._shares.take(key):
            return None
        self._refused[self._code] += 1
        sentence = f"your address has {self._shares.each_max} {self._what}, as many as it may: close some"
        return TooMany(429, self._code, sentence, SHARE_WAIT_S)

    def free(self, key: str) -> None:
        self._shares.free(key)


class Guard:
    """One for each service."""

    def __init__(self, settings: GuardSettings, refused: Counter[str]) -> None:
        """refused: counts the refusals by code."""
        self._settings = settings
        self._refused = refused
        self.unknown_proxies = UnknownProxies()
        self.callers = Callers(
            parse_networks(settings.trusted_proxies),
            parse_networks(settings.unlimited_networks),
            settings.proxy_headers,
        )
        self.connections = self.share("too_many_connections", "connections", settings.connections_per_address_max)
        self.told = Shares(max(1, round(TOLD_SHARE * settings.connections_per_address_max)))
        """connections that are refused in words"""
        told, burst_s = settings.refusals_per_s, settings.burst_s
        self._told = Rate(told, told * burst_s, settings.addresses_max)
        self._requests = self.limit(
            "too_many_requests", "requests", settings.requests_per_s, settings.requests_per_s_max
        )
        self._bytes = self.limit(
            "too_many_bytes", "bytes", settings.request_bytes_per_s, settings.request_bytes_per_s_max
        )

    def limit(self, code: str, what: str, each_per_s: float, all_per_s: float) -> Limit:
        """code: on the wire. what: in the sentence, 'posts'"""
        burst_s = self._settings.burst_s
        each = Rate(each_per_s, each_per_s * burst_s, self._settings.addresses_max)
        return Limit(code, what, each, Rate(all_per_s, all_per_s * burst_s, 1), self._refused)

    def share(self, code: str, what: str, each_max: int) -> Share:
        return Share(code, what, Shares(each_max), self._refused)

    def over(self, key: str | None, now_s: float, size: int) -> TooMany | None:
        """Of any request. size: bytes that have come of it. What it says of its length counts for nothing: a stranger
        could use up what all have, and never send it."""
        return self._requests.over(key, now_s) or self._bytes.over(key, now_s, size)

    def tells(self, key: str | None, now_s: float) -> bool:
        """Whether one more refusal is told; that is counted. False: its connection is to be cut."""
        return key is None or not self._told.wait_s(key, now_s)

    def is_deaf_to(self, key: str | None, now_s: float) -> bool:
        """Whether an address has gone on after so many refusals that its next connection isn't read"""
        return key is not None and self._told.is_used_up(key, now_s)

    def more_came(self, key: str | None, now_s: float, size: int) -> None:
        """Of a request's body"""
        self._bytes.use(key, now_s, size)


def note_refusal(scope: Scope, now_s: float) -> None:
    """To be called by an app that answers 429 for a limit of an address. now_s: of a monotonic clock"""
    guard: Guard | None = scope.get(GUARD)
    if guard is not None:
        guard.unknown_proxies.refused(scope[CALLER], scope["headers"], now_s)
