"""rms/feed/byte_log.py"""

from hypothesis import given
from hypothesis import strategies as st

from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30), st.data())
def test_the_log_is_the_frames_in_a_row(frames: list[bytes], data: st.DataObject) -> None:
    log: ByteLog[FeedOffset] = ByteLog()
    ends, all_bytes = [log.end], b""
    for frame in frames:
        ends.append(log.append(frame))
        all_bytes += frame
        if data.draw(st.booleans()):
            log.trim(data.draw(st.sampled_from([end for end in ends if end >= log.base])))
    assert log.end == len(all_bytes)
    assert len(log) == log.end - log.base
    offset = FeedOffset(data.draw(st.integers(log.base, log.end)))
    most = data.draw(st.integers(0, 50))
    assert log.read(offset, most) == all_bytes[offset : offset + most]
    assert log.frame_end(offset) == min(end for end in ends if end >= offset)
    taken = data.draw(st.integers(0, log.end - offset))
    cut_end, rest = log.rest_of_frame(offset, taken)
    assert cut_end == min(end for end in ends if end >= offset + taken)
    assert rest == all_bytes[offset + taken : cut_end]


@given(st.lists(st.text("ab", max_size=9), max_size=30), st.text("ab", min_size=1, max_size=3), st.data())
def test_frames_are_found_by_what_they_have(texts: list[str], needle: str, data: st.DataObject) -> None:
    log: ByteLog[FeedOffset] = ByteLog()
    ends = [log.end, *(log.append(text.encode() + b"\n") for text in texts)]
    log.trim(data.draw(st.sampled_from(ends)))
    held = texts[ends.index(log.base) :]
    assert list(log.frames_with(needle.encode())) == [index for index, text in enumerate(held) if needle in text]


def test_trimming_to_where_it_begins_changes_nothing() -> None:
    log: ByteLog[FeedOffset] = ByteLog()
    log.append(b"one")
    log.trim(log.base)
    assert (log.base, log.read(log.base, 9)) == (0, b"one")


def test_mypy_keeps_the_offsets_of_two_logs_apart() -> None:
    """It would complain of an `ignore` that has nothing to ignore."""
    feed_log: ByteLog[FeedOffset] = ByteLog()
    edition_log: ByteLog[EditionOffset] = ByteLog()
    assert feed_log.read(edition_log.end, 9) == b""  # type: ignore[arg-type]
    assert edition_log.read(feed_log.end, 9) == b""  # type: ignore[arg-type]
    assert edition_log.read(0, 9) == b""  # type: ignore[arg-type]
