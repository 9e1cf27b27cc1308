"""The format of a spool's file: intact records come back, whatever follows them"""

import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.model import Author, Comment
from history.core.spool_format import (
    MAGIC,
    SegmentContent,
    SpooledKey,
    encode_records,
    is_of_newer_release,
    read_segment,
)

texts = st.text(max_size=20)
some_keys = st.builds(SpooledKey, texts, st.binary(max_size=16))
comments = st.lists(
    st.builds(
        Comment,
        st.integers(0, 2**63 - 1),
        texts,
        st.builds(Author, texts, texts),
        texts,
        st.integers(0, 2**48),
    ),
    max_size=5,
)
moderate = settings(max_examples=100, deadline=None)


@moderate
@given(comments, st.data())
def test_a_cut_at_any_byte_keeps_every_whole_record(written: list[Comment], data: st.DataObject) -> None:
    segment = MAGIC + encode_records(written, {})
    cut = data.draw(st.integers(0, len(segment)))
    whole = read_segment(segment[:cut])
    kept = [n for n in range(len(written) + 1) if len(MAGIC) + len(encode_records(written[:n], {})) <= cut]
    assert whole.comments == (written[: kept[-1]] if kept else [])
    assert whole.size == (len(MAGIC + encode_records(whole.comments, {})) if kept else 0)
    assert whole.damaged_bytes == 0


@moderate
@given(comments, st.binary(max_size=40))
def test_what_a_power_loss_leaves_at_the_end_is_no_comment(written: list[Comment], rest: bytes) -> None:
    segment = MAGIC + encode_records(written, {})
    assert read_segment(segment + rest).comments == written
    zeros = read_segment(segment + bytes(len(rest)))
    assert (zeros.comments, zeros.size, zeros.damaged_bytes) == (written, len(segment), 0)


@moderate
@given(comments.filter(bool), st.data())
def test_a_changed_bit_costs_one_record_at_most(written: list[Comment], data: st.DataObject) -> None:
    segment = bytearray(MAGIC + encode_records(written, {}))
    at = data.draw(st.integers(0, len(segment) - 1))
    segment[at] ^= 1 << data.draw(st.integers(0, 7))
    if is_of_newer_release(bytes(segment)):
        return
    read = read_segment(bytes(segment))
    ends = [len(MAGIC) + len(encode_records(written[:n], {})) for n in range(len(written) + 1)]
    hit = next((n for n in range(len(written)) if ends[n] <= at < ends[n + 1]), None)
    assert read.comments == [comment for n, comment in enumerate(written) if n != hit]
    begin, end = (0, len(MAGIC)) if hit is None else (ends[hit], ends[hit + 1])
    if read.damaged_bytes:
        assert (read.size, read.damaged_bytes) == (len(segment), end - begin)
    else:  # the last record's length was hit: it looks torn
        assert (hit, read.size) == (len(written) - 1, begin)


@moderate
@given(comments, comments, comments, st.binary(min_size=1, max_size=40))
def test_any_damage_costs_only_what_it_touches(
    before: list[Comment], hit: list[Comment], after: list[Comment], damage: bytes
) -> None:
    size = max(len(encode_records(hit, {})), len(damage))
    bad = (damage * size)[:size]
    read = read_segment(MAGIC + encode_records(before, {}) + bad + encode_records(after, {}))
    assert read.comments == [*before, *after]
    assert read.damaged_bytes == (len(bad) if after else read.size - len(MAGIC + encode_records(before, {})))


@moderate
@given(comments, st.dictionaries(st.integers(0, 4), some_keys))
def test_keys_come_back_with_their_comments(written: list[Comment], by_index: dict[int, SpooledKey]) -> None:
    keys = {comment.id: by_index[n] for n, comment in enumerate(written) if n in by_index}
    read = read_segment(MAGIC + encode_records(written, keys))
    assert (read.comments, read.keys) == (written, keys)


def test_files_of_former_releases_can_be_read_and_theirs_is_ours_without_a_key() -> None:
    """Golden bytes: a disk may hold them"""
    comment = Comment(7, "video", Author("ann", "Ann"), "hi", 8, 6)
    without = bytes.fromhex("1500000031c7c79c9707a5766964656fa3616e6ea3416e6ea268690806")
    assert encode_records([comment], {}) == without
    with_key = encode_records([comment], {7: SpooledKey("key", b"digest")})
    assert with_key[8:] == b"\x99" + without[9:] + b"\xa3key\xc4\x06digest"
    before_that = b"\x96" + without[9:-1]
    head = len(before_that).to_bytes(4, "little")
    old = head + zlib.crc32(before_that, zlib.crc32(head)).to_bytes(4, "little") + before_that
    assert read_segment(MAGIC + old).comments == [Comment(7, "video", Author("ann", "Ann"), "hi", 8)]


def test_a_broken_records_text_is_not_taken_for_a_record() -> None:
    forged = encode_records([Comment(7, "video", Author("ann", "Ann"), "never said", 7)], {}).decode("latin-1")
    one = Comment(8, "video", Author("bob", "Bob"), forged, 8)
    for after in ([], [one]):
        segment = bytearray(MAGIC + encode_records([one, *after], {}))
        segment[len(MAGIC) + 10] ^= 1
        assert read_segment(bytes(segment)).comments == after


def test_no_bytes_that_a_record_holds_are_taken_for_a_record() -> None:
    """A digest is bytes: it may be a whole record with the right checksum."""
    forged = encode_records([Comment(7, "video", Author("ann", "Ann"), "never said", 7)], {})
    holding, one = (Comment(number, "video", Author("bob", "Bob"), "hi", 8) for number in (8, 9))
    broken = bytearray(encode_records([holding], {8: SpooledKey("key", forged)}))
    broken[10] ^= 1
    for after in ([], [one]):
        read = read_segment(MAGIC + broken + encode_records(after, {}))
        assert (read.comments, read.damaged_bytes) == (after, len(broken))


def test_what_is_whole_and_broken_is_damage_and_no_torn_tail() -> None:
    """A torn tail may be cut off without a word; this was acknowledged."""
    record = bytearray(encode_records([Comment(7, "video", Author("ann", "Ann"), "hi", 8)], {}))
    record[-1] ^= 1
    for whole in (bytes(record), b"\0\0\0\0abcd"):
        read = read_segment(MAGIC + whole)
        assert (read.comments, read.size, read.damaged_bytes) == ([], len(MAGIC + whole), len(whole))
    torn = read_segment(MAGIC + record[:-1])
    assert (torn.size, torn.damaged_bytes) == (len(MAGIC), 0)


def test_a_file_that_does_not_begin_like_one_is_damage() -> None:
    assert read_segment(b"garbage") == SegmentContent([], {}, 7, 7)
    assert read_segment(MAGIC[:5]) == SegmentContent([], {}, 0, 0)


def test_a_record_that_says_something_else_is_passed_by() -> None:
    """Its checksum is right: a later release has written it, or another program."""
    payload = b"\x92\xa1a\xa1b"
    head = len(payload).to_bytes(4, "little")
    strange = head + zlib.crc32(payload, zlib.crc32(head)).to_bytes(4, "little") + payload
    one = Comment(9, "video", Author("ann", "Ann"), "hi", 8)
    read = read_segment(MAGIC + strange + encode_records([one], {}))
    assert (read.comments, read.damaged_bytes) == ([one], len(strange))


def test_a_newer_releases_file_is_known_by_its_beginning() -> None:
    assert is_of_newer_release(b"LCspool2 and more")
    for other in (MAGIC, b"LCspool", b"LCspoom2", b"LCspool0", b""):
        assert not is_of_newer_release(other)


@moderate
@given(st.binary(max_size=60))
def test_any_bytes_can_be_read(content: bytes) -> None:
    assert read_segment(content).comments == read_segment(MAGIC + content).comments == []
