"""What a long poll answers: frames of the stream as JSON, each event with the same name, data and id.

Rule: no clock, no socket, no log; frames come in.
"""

import msgspec

from rms.feed.sse import payloads

ANSWERS_BYTES_MAX = 4 << 20
"""of frames whose answers are remembered; in memory some three times as much. 300 of 50 comments each"""


class PolledEvent(msgspec.Struct, omit_defaults=True):
    """A server-sent event. id: empty if it has none. event: empty for an unnamed one. data: as it is, which is JSON"""

    data: msgspec.Raw
    id: str = ""
    event: str = ""


class Answer(msgspec.Struct, omit_defaults=True):
    """The body of an answer. position: what its reader has then; the next request names it. more: there are events
    behind it already."""

    events: list[PolledEvent]
    position: str
    more: bool = False


def answer_of(frames: bytes, position: str, bytes_max: int) -> Answer:
    """As much of the frames as `bytes_max` takes, but up to the first one with a position. position: of their reader
    before, which stays if none of them has one. No place in a log is asked for it: a thinned log may end with comments
    that it has left out, and not said so yet."""
    answer = Answer([], position)
    taken, is_told = 0, False
    for payload in payloads(frames):
        if taken > bytes_max and is_told:
            answer.more = True
            return answer
        taken += len(payload)
        fields = dict(line.split(b": ", 1) for line in payload.split(b"\n") if line[:1] not in (b"", b":"))
        event_id = fields.get(b"id", b"").decode()
        if event_id:
            answer.position, is_told = event_id, True
        if b"data" in fields:
            name = fields.get(b"event", b"").decode()
            answer.events.append(PolledEvent(msgspec.Raw(fields[b"data"]), event_id, name))
    return answer


def own_event(name: str, payload: object) -> PolledEvent:
    """A named event of the node's own, which has no id"""
    return PolledEvent(msgspec.Raw(msgspec.json.encode(payload)), event=name)


class Answers:
    """Remembers answers, because viewers who ask between two comments mostly get the same: to read 50 frames costs half
    of what a poll does."""

    def __init__(self, bytes_max: int = ANSWERS_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._known: dict[tuple[bytes, str, int], Answer] = {}

    def of(self, frames: bytes, position: str, bytes_max: int) -> Answer:
        """As `answer_of`. The answer is the caller's, who may change it."""
        asked = (frames, position, bytes_max)
        answer = self._known.get(asked)
        if answer is None:
            if self._bytes + len(frames) > self._bytes_max:
                self._known.clear()
                self._bytes = 0
            answer = self._known[asked] = answer_of(frames, position, bytes_max)
            self._bytes += len(frames)
        return Answer([*answer.events], answer.position, answer.more)
