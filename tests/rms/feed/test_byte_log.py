"""rms/feed/byte_log.py"""

from hypothesis import given
from hypothesis import strategies as st

from rms.feed.byte_log import ByteLog


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30), st.data())
def test_the_log_is_the_frames_in_a_row(frames: list[bytes], data: st.DataObject) -> None:
    log, ends, all_bytes = ByteLog(), [0], b""
    for frame in frames:
        ends.append(log.append(frame))
        all_bytes += frame
        if data.draw(st.booleans()):
            log.trim(data.draw(st.sampled_from([end for end in ends if end >= log.base])))
    assert log.end == len(all_bytes)
    assert len(log) == log.end - log.base
    offset = data.draw(st.integers(log.base, log.end))
    most = data.draw(st.integers(0, 50))
    assert log.read(offset, most) == all_bytes[offset : offset + most]
    assert log.frame_end(offset) == min(end for end in ends if end >= offset)


def test_trimming_to_where_it_begins_changes_nothing() -> None:
    log = ByteLog()
    log.append(b"one")
    log.trim(0)
    assert (log.base, log.read(0, 9)) == (0, b"one")
