"""What each viewer was told, as an account that can be held against what was acknowledged.

A post has a number, which its text carries. In an outage it may have been accepted twice; then one of the two comments
is taken back. So an account is balanced when each acknowledged number stands exactly once, whatever its id.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from scripts.audience import Record, judge
from scripts.sse_client import Event

NUMBER = re.compile(r"c#(\d+) ")


def text_of(number: int) -> str:
    return f"c#{number:06d} what a goal"


ABOVE_ALL = "g"
"""Behind every id, which is of hex digits"""


class Gap(NamedTuple):
    after_id: str
    before_id: str
    server: str  # host:port that told it

    def covers(self, comment_id: str) -> bool:
        return self.after_id < comment_id < self.before_id


class _Comment(msgspec.Struct):
    id: str
    message: str = ""


class _Gap(msgspec.Struct):
    from_id: str | None = msgspec.field(name="from")  # None: nobody knows
    to_id: str | None = msgspec.field(name="to")  # None: nothing has come behind it yet


_COMMENT = msgspec.json.Decoder(_Comment)
_GAP = msgspec.json.Decoder(_Gap)


@dataclass(slots=True)
class Account:
    """One viewer's. host: where it is"""

    host: str
    numbers: dict[str, int] = field(default_factory=dict)  # by the comment's id, in the order of arrival
    read_at_s: dict[str, float] = field(default_factory=dict)  # when each id came first; monotonic
    repeated: list[str] = field(default_factory=list)  # ids that came again
    gone: set[str] = field(default_factory=set)  # taken back
    gaps: list[Gap] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)  # that sent anything

    def take(self, event: Event, server: str, now_s: float) -> None:
        self.servers.add(server)
        if event.name == "gap":
            gap = _GAP.decode(event.data)
            self.gaps.append(Gap(gap.from_id or "", gap.to_id or ABOVE_ALL, server))
        elif event.name == "deleted":
            self.gone.add(_COMMENT.decode(event.data).id)
        elif event.name == "message":
            comment = _COMMENT.decode(event.data)
            if comment.id in self.read_at_s:
                self.repeated.append(comment.id)
            elif match := NUMBER.match(comment.message):
                self.numbers[comment.id] = int(match[1])
                self.read_at_s[comment.id] = now_s

    def record(self) -> Record:
        """Of the numbers that stand"""
        record = Record()
        for comment_id, number in self.numbers.items():
            if comment_id not in self.gone:
                record.arrived(str(number), self.read_at_s[comment_id])
        record.repeated += [str(self.numbers[comment_id]) for comment_id in self.repeated]
        return record


class Posted(NamedTuple):
    """A post that was acknowledged; monotonic seconds"""

    id: str
    due_s: float
    at_s: float
    first: str  # the comment_service that was asked first


@dataclass(frozen=True, slots=True)
class Balance:
    """Of several accounts"""

    lost: int = 0
    doubled: int = 0
    in_gaps: int = 0  # not sent, and told as a gap

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(self.lost + other.lost, self.doubled + other.doubled, self.in_gaps + other.in_gaps)

    @property
    def even(self) -> bool:
        return not (self.lost or self.doubled)


def balance(accounts: Sequence[Account], posted: Mapping[int, Posted]) -> Balance:
    """posted: what was acknowledged of the video that these accounts are about, by number"""
    total = Balance()
    for account in accounts:
        record = account.record()
        told = [
            str(number)
            for number, post in posted.items()
            if account.gaps and str(number) not in record.read_at_s and any(gap.covers(post.id) for gap in account.gaps)
        ]
        due_at_s = {str(number): post.due_s for number, post in posted.items()}
        verdict = judge([record], due_at_s)
        total += Balance(verdict.lost - len(told), verdict.doubled, len(told))
    return total


def faults_of(account: Account, posted: Mapping[int, Posted]) -> list[str]:
    """Each number that is lost or doubled, in words, for whoever looks for the cause"""
    ids: dict[int, list[str]] = {}
    for comment_id, number in account.numbers.items():
        if comment_id not in account.gone:
            ids.setdefault(number, []).append(comment_id)
    words = [f"{comment_id} came again" for comment_id in account.repeated]
    for number, post in posted.items():
        if number not in ids and not any(gap.covers(post.id) for gap in account.gaps):
            words.append(f"c#{number} {post.id} lost")
        if len(ids.get(number, ())) > 1:
            words.append(f"c#{number} stands {len(ids[number])} times: {' '.join(ids[number])}")
    return words
