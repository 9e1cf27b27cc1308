"""rms/upstream/trouble.py: each reason once, and no address for strangers"""

import pytest
from structlog.testing import capture_logs

from rms.upstream.trouble import LINES_MAX, LinkLost, Trouble


def test_each_reason_is_told_once_until_it_was_of_use_again() -> None:
    trouble = Trouble("10.0.0.1:7001")
    with capture_logs() as lines:
        for _ in range(3):
            trouble.note(LinkLost("nothing listens there"))
            trouble.note(LinkLost("no welcome within 20 ms"))
        assert [line["reason"] for line in lines] == ["nothing listens there", "no welcome within 20 ms"]
        trouble.over()
        trouble.note(LinkLost("nothing listens there"))
    assert len(lines) == 3
    assert {line["dispatcher"] for line in lines} == {"10.0.0.1:7001"}


def test_however_many_reasons_there_are_the_log_gets_some() -> None:
    trouble = Trouble("10.0.0.1:7001")
    with capture_logs() as lines:
        for number in range(100):
            trouble.note(LinkLost(f"reason {number}"))
    assert len(lines) == LINES_MAX


@pytest.mark.parametrize("error", [OSError("10.0.0.1:7001 is far"), LinkLost("it is far")])
def test_strangers_read_no_address(error: Exception) -> None:
    trouble = Trouble("10.0.0.1:7001")
    with capture_logs():
        trouble.note(error)
    assert trouble.words
    assert "10.0.0.1" not in trouble.words
    trouble.connected()
    assert trouble.words == ""
