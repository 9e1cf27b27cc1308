"""The format of a spool's file: intact records come back, whatever follows them"""

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.model import Author, Comment
from history.core.spool_format import MAGIC, encode_records, read_segment

texts = st.text(max_size=20)
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
    segment = MAGIC + encode_records(written)
    cut = data.draw(st.integers(0, len(segment)))
    whole = read_segment(segment[:cut])
    kept = [n for n in range(len(written) + 1) if len(MAGIC) + len(encode_records(written[:n])) <= cut]
    assert whole.comments == (written[: kept[-1]] if kept else [])
    assert whole.size == (len(MAGIC + encode_records(whole.comments)) if kept else 0)


@moderate
@given(comments, st.binary(max_size=40))
def test_what_a_power_loss_leaves_at_the_end_is_no_comment(written: list[Comment], rest: bytes) -> None:
    segment = MAGIC + encode_records(written)
    for tail in (rest, bytes(len(rest)), encode_records(written)[1:]):
        assert read_segment(segment + tail).comments == written


@moderate
@given(comments.filter(bool), st.data())
def test_a_changed_bit_ends_what_is_trusted(written: list[Comment], data: st.DataObject) -> None:
    segment = bytearray(MAGIC + encode_records(written))
    at = data.draw(st.integers(0, len(segment) - 1))
    segment[at] ^= 1 << data.draw(st.integers(0, 7))
    whole = read_segment(bytes(segment))
    assert len(whole.comments) < len(written)
    assert whole.comments == written[: len(whole.comments)]
    assert whole.size <= at


@moderate
@given(st.binary(max_size=60))
def test_any_bytes_can_be_read(content: bytes) -> None:
    assert read_segment(content).comments == read_segment(MAGIC + content).comments == []
