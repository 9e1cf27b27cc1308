"""Commit-adopt under every schedule: whoever is slow, dies, or reads beside a write, nobody contradicts an agreement"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.commit_adopt import Proposal, decide, perhaps_alone, was_alone

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


@dataclass
class Store(Registers):
    """Also with an LWT, and comments: appended ones can be read unless they are erased, whichever comes first."""

    decided: int | None = None
    appended: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)
    seen_at_once: int = 0

    def append(self, comment: int) -> None:
        self.appended.add(comment)
        self.seen_at_once = max(self.seen_at_once, len(self.appended - self.erased))


def claim(me: int, store: Store, answers: dict[int, int]) -> Iterator[None]:
    """As history/cassandra/claims.py does it; each step may be its last"""
    store.begin(1, me, me)
    yield
    store.end(1, me)
    surely = store.surely()
    yield
    alone = was_alone(me, [Proposal(value, None) for value in store.read(surely, 1)])
    store.begin(2, me, alone)
    yield
    if alone:
        store.append(me)
    yield
    store.end(2, me)
    surely = store.surely()
    yield
    words = store.read(surely, 2)
    proposals = [Proposal(value, bool(words[value]) if value in words else None) for value in store.read(surely, 1)]
    first, is_agreed = decide(me, proposals)
    if not is_agreed:
        yield
        store.decided = first = first if store.decided is None else store.decided
        yield
        for loser in perhaps_alone(proposals):
            if loser != first:
                store.erased.add(loser)
                yield
        if first == me:
            store.append(me)
            yield
    answers[me] = first


def run_claims(processes: int, schedule: list[int], chances: list[bool]) -> tuple[Store, dict[int, int]]:
    """Who isn't named often enough in the schedule has died on the way."""
    store = Store(chance=(chances[n % len(chances)] for n in range(10**9)))
    answers: dict[int, int] = {}
    claims = [claim(me, store, answers) for me in range(processes)]
    for me in schedule:
        next(claims[me % processes], None)
    return store, answers


SCHEDULES = st.lists(st.integers(0, PROCESSES_MAX - 1), max_size=80)
CHANCES = st.lists(st.booleans(), min_size=1, max_size=40)


@settings(max_examples=2_000, deadline=None)
@given(schedule=SCHEDULES, chances=CHANCES)
def test_all_get_one_answer_and_no_other_comment_is_left_then(schedule: list[int], chances: list[bool]) -> None:
    store, answers = run_claims(PROCESSES_MAX, schedule, chances)
    assert len(set(answers.values())) <= 1
    if answers:
        assert store.appended - store.erased <= set(answers.values())
        assert not store.erased & set(answers.values())


@settings(max_examples=1_000, deadline=None)
@given(schedule=SCHEDULES, chances=CHANCES)
def test_two_processes_never_undo_anything(schedule: list[int], chances: list[bool]) -> None:
    store, _ = run_claims(2, schedule, chances)
    assert store.seen_at_once <= 1
    assert not store.erased & store.appended


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
    assert decide(1, [Proposal(1, False), Proposal(5, None), Proposal(3, None), Proposal(0, False)]) == (3, False)
    assert decide(1, [Proposal(1, False), Proposal(5, True), Proposal(3, None)]) == (5, False)
    assert perhaps_alone([Proposal(1, False), Proposal(5, True), Proposal(3, None)]) == [5, 3]
    assert decide(1, []) == (1, False)  # it has expired
