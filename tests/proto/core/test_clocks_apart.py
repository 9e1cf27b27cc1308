"""ClocksApart: whoever is off is found, whatever the network does, and nobody else"""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from proto.core.clocks_apart import ClocksApart, Offset, Verdict

OFF_MS, KEEP_MS = 5_000, 90_000
RIGHT = Verdict(None, {})


@dataclass
class World:
    """True time, a process's two clocks, and its replicas' clocks"""

    apart: ClocksApart = field(default_factory=lambda: ClocksApart(OFF_MS, KEEP_MS))
    true_ms: int = 1_000_000
    ahead_ms: int = 0
    """of the process's wall clock"""
    replicas_ahead_ms: dict[str, int] = field(default_factory=dict)

    @property
    def now(self) -> tuple[int, int]:
        """wall, monotonic"""
        return self.true_ms + self.ahead_ms, self.true_ms - 999_000

    def hear(self, replica: str, there_ms: int = 1, back_ms: int = 1) -> None:
        """It is asked, and answers after these milliseconds."""
        asked_ms = self.now[1]
        self.true_ms += there_ms
        says_ms = self.true_ms + self.replicas_ahead_ms[replica]
        self.true_ms += back_ms
        wall_ms, monotonic_ms = self.now
        self.apart.heard(replica, says_ms, asked_ms=asked_ms, monotonic_ms=monotonic_ms, wall_ms=wall_ms)

    @property
    def verdict(self) -> Verdict:
        return self.apart.verdict(*self.now)


def heard(ahead_ms: int, **replicas_ahead_ms: int) -> World:
    world = World(ahead_ms=ahead_ms, replicas_ahead_ms=replicas_ahead_ms)
    for replica in replicas_ahead_ms:
        world.hear(replica)
    return world


def test_without_an_answer_nobody_is_off() -> None:
    assert World(ahead_ms=60_000).verdict == RIGHT


def test_the_only_replica_counts_as_most() -> None:
    assert heard(7_000, a=0).verdict == Verdict(7_000, {})
    assert heard(-7_000, a=0).verdict == Verdict(-7_000, {})
    assert heard(4_000, a=0).verdict == RIGHT


def test_of_two_replicas_the_one_that_differs_is_named() -> None:
    assert heard(0, a=0, b=-8_000).verdict == Verdict(None, {"b": -8_000})


def test_who_differs_from_most_is_off_himself() -> None:
    assert heard(6_000, a=0, b=0).verdict == Verdict(6_000, {})
    assert heard(0, a=9_000, b=9_000, c=0).verdict == Verdict(-9_000, {})
    assert heard(0, a=9_000, b=0, c=0).verdict == Verdict(None, {"a": 9_000})


def test_a_slow_answer_neither_accuses_nor_clears() -> None:
    world = World(ahead_ms=7_000, replicas_ahead_ms={"a": 0})
    world.hear("a", there_ms=5_000)
    assert world.verdict == RIGHT, "its clock may have been read 5 s ago"
    world.hear("a")
    assert world.verdict == Verdict(7_000, {})
    world.hear("a", there_ms=9_000)
    assert world.verdict == Verdict(7_000, {})
    world = World(ahead_ms=-4_000, replicas_ahead_ms={"a": 0})
    world.hear("a", there_ms=3_000)
    assert world.verdict == RIGHT


def test_a_clock_that_is_set_counts_at_once() -> None:
    world = heard(0, a=0)
    world.ahead_ms = 4_000
    assert world.verdict == RIGHT
    world.hear("a", back_ms=100)
    assert world.verdict == RIGHT
    world.ahead_ms = 9_000
    assert world.verdict == RIGHT, "or the machine has slept: nobody can know before the next answer"
    assert world.apart.age_ms("a", *world.now) is None
    world.hear("a")
    assert world.verdict == Verdict(9_000, {})
    world.replicas_ahead_ms["a"] = 9_000
    world.hear("a", there_ms=500)
    assert world.verdict == RIGHT


def test_small_steps_add_up() -> None:
    world = heard(0, a=0)
    world.ahead_ms = 4_000
    world.hear("a", there_ms=100)  # not narrower than what is known
    world.ahead_ms = 6_000
    world.hear("a")
    assert world.verdict == Verdict(6_000, {})


def test_an_answer_counts_for_its_time() -> None:
    world = heard(7_000, a=0)
    world.true_ms += KEEP_MS
    assert world.verdict == Verdict(7_000, {})
    assert world.apart.age_ms("a", *world.now) == KEEP_MS
    world.true_ms += 1
    assert world.verdict == RIGHT
    world.apart.forget_old(world.now[1])
    assert world.apart.offsets(*world.now) == {}


def test_a_slow_answer_is_an_answer() -> None:
    """Else a busy replica, whose answers are slower than its quickest one, is asked all the time."""
    world = heard(0, a=0)
    world.true_ms += 50_000
    world.hear("a", there_ms=100)
    world.true_ms += 1_000
    assert world.apart.age_ms("a", *world.now) == 1_000
    world.true_ms += KEEP_MS - 50_000
    assert world.apart.age_ms("a", *world.now) is None, "the quick one is too old, and it is asked again at once"


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 8_000) | st.just(1),  # there
        st.integers(0, 8_000) | st.just(1),  # back
        st.integers(-3_000, 3_000) | st.just(0),  # how far the process's clock is set before
        st.integers(0, 40_000) | st.just(0),  # until then
    ),
    max_size=12,
)


@given(st.integers(-9_000, 9_000), st.tuples(*[st.integers(-9_000, 9_000)] * 3), STEPS)
def test_what_is_known_holds_the_truth(
    ahead_ms: int, replicas: tuple[int, int, int], steps: list[tuple[str, int, int, int, int]]
) -> None:
    world = World(ahead_ms=ahead_ms, replicas_ahead_ms=dict(zip("abc", replicas, strict=True)))
    widths: dict[str, int] = {}
    for replica, there_ms, back_ms, set_by_ms, pause_ms in steps:
        world.true_ms += pause_ms
        world.ahead_ms += set_by_ms
        world.hear(replica, there_ms, back_ms)
        offsets = world.apart.offsets(*world.now)
        widths[replica] = there_ms + back_ms
        assert _width(offsets[replica]) <= widths[replica]
        for known, offset in offsets.items():
            assert offset.low_ms <= world.replicas_ahead_ms[known] - world.ahead_ms <= offset.high_ms
        _check_verdict(world, offsets)


def _width(offset: Offset) -> int:
    return offset.high_ms - offset.low_ms


def _check_verdict(world: World, offsets: dict[str, Offset]) -> None:
    true = {replica: world.replicas_ahead_ms[replica] - world.ahead_ms for replica in offsets}
    surely = {replica for replica, ms in true.items() if abs(ms) > OFF_MS + _width(offsets[replica])}
    perhaps = {replica for replica, ms in true.items() if abs(ms) > OFF_MS}
    verdict = world.verdict
    if 2 * len(surely) > len(offsets):
        assert verdict.own_ms is not None
    if 2 * len(perhaps) <= len(offsets):
        assert verdict.own_ms is None
        assert surely <= verdict.replicas_ms.keys() <= perhaps
