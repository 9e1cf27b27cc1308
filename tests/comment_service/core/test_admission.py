"""Admission: from a body to a draft, or to the error that says why not"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comment_service.core.admission import Admission, Draft
from comment_service.core.errors import HTTP_STATUS, ServiceError
from comment_service.core.identity import AuthorLimits
from history.core.model import Author

ADMISSION = Admission(message_characters_max=500, message_bytes_max=2000, author_limits=AuthorLimits(64, 128))


def body(**fields: object) -> bytes:
    return json.dumps({"liveVideoId": "demo", "message": "hi", **fields}).encode()


def assert_refused(wrong: bytes, code: str, *words: str, admission: Admission = ADMISSION) -> None:
    with pytest.raises(ServiceError) as refused:
        admission.admit(wrong)
    assert refused.value.code == code
    for word in words:
        assert word in str(refused.value)


def test_a_draft() -> None:
    draft = ADMISSION.admit(body(author={"id": "u1", "name": "Ann"}))
    assert draft == Draft("demo", Author("u1", "Ann"), "hi")


def test_both_names_of_the_video() -> None:
    assert ADMISSION.admit(b'{"videoId":"v","message":"hi"}').video_id == "v"
    assert ADMISSION.admit(body(videoId="demo")).video_id == "demo"
    assert_refused(body(videoId="other"), "video_ids_differ", "'demo'", "'other'")
    assert_refused(b'{"message":"hi"}', "missing_field", "liveVideoId")


@pytest.mark.parametrize("video_id", ["", ".", "../x", "a b", "a/b", "é", "x" * 129, "a\n", "~x"])
def test_odd_video_ids(video_id: str) -> None:
    assert_refused(body(liveVideoId=video_id), "invalid_video_id", "A-Z a-z 0-9")


@pytest.mark.parametrize("message", ["", " ", "\n", "\u200b", "\u3164", "\x00"])
def test_messages_that_say_nothing(message: str) -> None:
    assert_refused(body(message=message), "message_empty")


def test_the_longest_message() -> None:
    assert ADMISSION.admit(body(message="😀" * 500)).message == "😀" * 500
    assert_refused(body(message="x" * 501), "message_too_long", "501 characters", "at most 500")


def test_the_limit_in_bytes() -> None:
    narrow = Admission(message_characters_max=500, message_bytes_max=10, author_limits=AuthorLimits(64, 128))
    assert narrow.admit(body(message="é" * 5)).message == "é" * 5
    assert_refused(body(message="é" * 6), "message_too_long", "12 bytes", "at most 10", admission=narrow)
    assert_refused(body(message="x" * 11), "message_too_long", "11 bytes", admission=narrow)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).map(lambda text: text + "x"))
def test_a_message_keeps_its_characters(message: str) -> None:
    assert ADMISSION.admit(body(message=message)).message == message


@given(st.binary(max_size=200))
def test_any_bytes_are_admitted_or_refused(wrong: bytes) -> None:
    error = None
    try:
        ADMISSION.admit(wrong)
    except ServiceError as refused:
        error = refused
    assert error is None or HTTP_STATUS[type(error)] in (400, 422)
