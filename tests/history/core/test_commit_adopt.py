"""Commit-adopt under every schedule: whoever is slow, dies, or reads beside a write, nobody contradicts an agreement"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.commit_adopt import Proposal, decide, was_alone

PROCESSES_MAX = 4


@dataclass
class Registers:
    """Regular: a read surely sees what was written before it began; what is written beside it, it sees or not."""

    chance: Iterator[bool]
    written: dict[tuple[int, int], object] = field(default_factory=dict)  # round and writer
    beginning: dict[tuple[int, int], object] = field(default_factory=dict)

    def begin(self, round_: int, writer: int, word: object) -> None:
        self.beginning[round_, writer] = word

    def end(self, round_: int, writer: int) -> None:
        self.written[round_, writer] = self.beginning.pop((round_, writer))

    def surely(self) -> dict[tuple[int, int], object]:
        return dict(self.written)

    def read(self, surely: dict[tuple[int, int], object], round_: int) -> dict[int, object]:
        """At its end: what was there at its beginning, and by chance what came meanwhile or is coming."""
        maybe = {name: word for name, word in {**self.written, **self.beginning}.items() if name not in surely}
        seen = surely | {name: word for name, word in maybe.items() if next(self.chance)}
        return {writer: word for (there, writer), word in seen.items() if there == round_}


def process(me: int, registers: Registers, outcomes: dict[int, tuple[int, bool]]) -> Iterator[None]:
    registers.begin(1, me, me)
    yield
    registers.end(1, me)
    surely = registers.surely()
    yield
    proposals = [Proposal(value, None) for value in registers.read(surely, 1)]
    registers.begin(2, me, was_alone(me, proposals))
    yield
    registers.end(2, me)
    surely = registers.surely()
    yield
    words = registers.read(surely, 2)
    outcomes[me] = decide(me, [Proposal(value, bool(word)) for value, word in words.items()])


@settings(max_examples=1_000, deadline=None)
@given(
    schedule=st.lists(st.integers(0, PROCESSES_MAX - 1), max_size=60),
    chances=st.lists(st.booleans(), min_size=1, max_size=40),
)
def test_nobody_goes_on_with_another_value_than_the_agreed_one(schedule: list[int], chances: list[bool]) -> None:
    registers = Registers(chance=(chances[n % len(chances)] for n in range(10**9)))
    outcomes: dict[int, tuple[int, bool]] = {}
    processes = [process(me, registers, outcomes) for me in range(PROCESSES_MAX)]
    for me in schedule:  # who isn't named often enough has died on the way
        next(processes[me], None)
    agreed = {value for value, is_agreed in outcomes.values() if is_agreed}
    assert len(agreed) <= 1
    if agreed:
        assert {value for value, _ in outcomes.values()} == agreed


def test_one_after_the_other() -> None:
    registers = Registers(chance=iter(lambda: False, True))
    outcomes: dict[int, tuple[int, bool]] = {}
    for me in range(3):
        for _ in process(me, registers, outcomes):
            pass
    assert outcomes == {0: (0, True), 1: (0, False), 2: (0, False)}


def test_who_proposes_again_is_not_alone_any_more() -> None:
    assert was_alone(1, [Proposal(1, None)])
    assert not was_alone(1, [Proposal(1, True)])
    assert not was_alone(1, [Proposal(1, None), Proposal(2, None)])
    assert decide(1, [Proposal(1, True)]) == (1, True)
    assert decide(1, [Proposal(1, False)]) == (1, False)
    assert decide(1, []) == (1, False)  # it has expired
