"""Comment ids: 64 bits, ordered by time, unique without any coordination.

| bits | what |
|---|---|
| 48 | milliseconds since 1970 |
| 10 | node: the number of the comment_service that accepted it |
| 6 | sequence within the millisecond |

The layout follows Twitter's Snowflake, with the milliseconds of a UUIDv7 (RFC 9562) in front. Written as 16 hex
digits wherever a person or a browser sees it, because JavaScript's integers end at 53 bits. Rule 1: no clock in here;
`now_ms` comes in.
"""

import re

NODE_BITS = 10
SEQUENCE_BITS = 6
NODES = 1 << NODE_BITS
ID_MAX = (1 << 63) - 1
"""The largest id that fits Cassandra's bigint and SQLite's integer; in milliseconds the year 6429."""

_ID = re.compile(r"[0-7][0-9a-f]{15}")


class InvalidId(ValueError):
    """The text is no comment id; says what one looks like."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is no comment id: an id is 16 lower-case hex digits, such as 018f3c4e5a6b7c8d")


def format_id(comment_id: int) -> str:
    """16 lower-case hex digits"""
    return f"{comment_id:016x}"


def parse_id(text: str) -> int:
    """The reverse of `format_id`. Raises InvalidId."""
    if not _ID.fullmatch(text):
        raise InvalidId(text)
    return int(text, 16)


def time_of(comment_id: int) -> int:
    """The id's milliseconds since 1970"""
    return comment_id >> (NODE_BITS + SEQUENCE_BITS)


def first_id_at(ms: int) -> int:
    """The smallest id of that millisecond: every comment accepted before has a smaller one."""
    return max(0, ms) << (NODE_BITS + SEQUENCE_BITS)


class IdSource:
    """Makes ids that only ever grow, also when the clock steps back.

    The 65th id of a millisecond gets the next millisecond: in a longer burst ids run ahead of the clock, which catches
    up afterwards (64,000 ids a second and node on average).
    """

    def __init__(self, node: int) -> None:
        """node: 0 to 1023, unique among all comment_service processes that share a history."""
        if not 0 <= node < NODES:
            raise ValueError(f"node must be 0 to {NODES - 1}, not {node}")
        self._node = node
        self._ms = 0
        self._sequence = -1

    def observe(self, event_id: int) -> None:
        """Ids from now on are larger than this one, which another process gave: a hybrid logical clock (Kulkarni et
        al., 2014)."""
        ms = time_of(event_id)
        if ms >= self._ms:
            self._ms, self._sequence = ms, (1 << SEQUENCE_BITS) - 1

    def next(self, now_ms: int) -> int:
        """A larger id than all before, of the millisecond now_ms or a later one"""
        if now_ms > self._ms:
            self._ms, self._sequence = now_ms, 0
        elif self._sequence + 1 < 1 << SEQUENCE_BITS:
            self._sequence += 1
        else:
            self._ms, self._sequence = self._ms + 1, 0
        return (self._ms << NODE_BITS | self._node) << SEQUENCE_BITS | self._sequence
