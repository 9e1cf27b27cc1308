"""dispatcher/streams/journal.py: a flood of events becomes a bounded number of lines, and says how many it left out."""

from structlog.testing import capture_logs

from dispatcher.streams.journal import Journal


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def test_a_flood_is_counted_and_not_written() -> None:
    clock = Clock()
    journal = Journal(lines_per_s_max=3, now_ms=clock)
    with capture_logs() as lines:
        for number in range(10):
            journal.note("peer refused", number=number)
        clock.now_ms = 1000
        journal.close_second()
        journal.note("node connected", node="rms-1")
    assert [line["event"] for line in lines] == ["peer refused"] * 3 + ["log lines left out", "node connected"]
    assert lines[3]["lines"] == 7


def test_a_quiet_second_says_nothing() -> None:
    clock = Clock()
    journal = Journal(lines_per_s_max=3, now_ms=clock)
    with capture_logs() as lines:
        journal.note("node connected")
        clock.now_ms = 5000
        journal.close_second()
    assert [line["event"] for line in lines] == ["node connected"]
