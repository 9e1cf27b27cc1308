"""parse: each wrong body gets the error that fits it"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from comment_service.core.body import COMMENT_FIELDS, parse
from comment_service.core.errors import HTTP_STATUS, ServiceError


def assert_refused(body: bytes, code: str, *words: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse(body)
    assert refused.value.code == code
    for word in words:
        assert word in str(refused.value)


def refusal(body: bytes) -> ServiceError | None:
    try:
        parse(body)
    except ServiceError as error:
        return error
    return None


def test_a_whole_body() -> None:
    fields = parse(b'{"liveVideoId":"v","videoId":"v","message":"a: \\u003a","author":{"id":"guest:1","name":"Ann"}}')
    assert (fields.live_video_id, fields.video_id, fields.message) == ("v", "v", "a: :")
    assert fields.author is not UNSET
    assert (fields.author.id, fields.author.name) == ("guest:1", "Ann")


def test_the_least_body() -> None:
    fields = parse(b'{"message":""}')
    assert (fields.message, fields.video_id, fields.author) == ("", UNSET, UNSET)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", "malformed_json", ("empty",)),
        (b" \n", "malformed_json", ("empty",)),
        (b"{", "malformed_json", ()),
        (b"{'message':'a'}", "malformed_json", ("byte 1",)),
        (b'{"message":"a"} x', "malformed_json", ("trailing",)),
        (b'{"message":"a"}{}', "malformed_json", ("trailing",)),
        (b'{"message":"a\nb"}', "malformed_json", ()),
        (b'\xef\xbb\xbf{"message":"a"}', "malformed_json", ("byte 0",)),
        (b'{"message":NaN}', "malformed_json", ()),
        (b'{"message":"\xff"}', "invalid_utf8", ("byte 12",)),
        (b'{"message":"\xed\xa0\x80"}', "invalid_utf8", ()),
        (b'{"message":"\xc0\xaf"}', "invalid_utf8", ()),
        (b'{"message":"\\ud83d"}', "lone_surrogate", ("ud83d",)),
        (b'{"message":"\\ude00"}', "lone_surrogate", ("ude00",)),
        (b'{"message":"\\ude00\\ud83d"}', "lone_surrogate", ()),
        (b'{"message":"\\ud83dx\\ude00"}', "lone_surrogate", ()),
        (b'{"message":"\\\\ud83d","x":1}', "unknown_field", ("'x'",)),  # a backslash and the letters ud83d
        (b'{"x":' + b"[" * 15_000, "too_deep", ()),
        (b'{"x":' + b'{"y":' * 3_000, "too_deep", ()),
        (b"[]", "not_an_object", ("an array",)),
        (b'"text"', "not_an_object", ("a string",)),
        (b"12", "not_an_object", ("a number",)),
        (b"null", "not_an_object", ("null",)),
        (b'{"message":"a","mesage":"b"}', "unknown_field", ("'mesage'", "liveVideoId, videoId, message, author")),
        (b'{"message":"a","x":1e999}', "unknown_field", ("'x'",)),
        (b'{"message":1}', "wrong_type", ("message", "a string", "a number")),
        (b'{"message":null}', "wrong_type", ("null",)),
        (b'{"message":["a"]}', "wrong_type", ("an array",)),
        (b'{"message":"a","liveVideoId":false}', "wrong_type", ("liveVideoId", "false")),
        (b'{"message":"a","author":"Ann"}', "wrong_type", ("author", "an object", "a string")),
        (b'{"message":"a","author":{"id":7}}', "wrong_type", ("author.id", "a number")),
        (b'{"message":"a","author":{"mail":"x"}}', "unknown_field", ("author.mail", "author.name")),
        (b"{}", "missing_field", ("message",)),
        (b'{"videoId":"v"}', "missing_field", ("message",)),
        (b'{"message":"a","message":"b"}', "duplicate_field", ("'message'",)),
        (b'{"message":"a", "me\\u0073sage" : "a"}', "duplicate_field", ("'message'",)),
        (b'{"message":"a","author":{},"author":{"id":"x"}}', "duplicate_field", ("'author'",)),
        (b'{"message":"a","author":{"id":"x","id":"\\u003a"}}', "duplicate_field", ("'id'",)),
        (b'{"message":"\\u003a","message":"\\u003A"}', "duplicate_field", ("'message'",)),
    ],
)
def test_wrong_bodies(body: bytes, code: str, words: tuple[str, ...]) -> None:
    assert_refused(body, code, *words)


texts = st.text(st.characters(codec="utf-8") | st.sampled_from('":\\{},/'), max_size=30)
right = st.fixed_dictionaries(
    {"message": texts},
    optional={
        "liveVideoId": texts,
        "videoId": texts,
        "author": st.fixed_dictionaries({}, optional={"id": texts, "name": texts}),
    },
)


@given(right, st.booleans(), st.sampled_from([None, 1]))
def test_right_bodies_are_read_as_json_reads_them(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    fields = parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())
    assert fields.message == value["message"]
    assert fields.video_id == value.get("videoId", UNSET)
    assert (fields.author is UNSET) == ("author" not in value)


@given(right, st.sampled_from(["message", "id"]), texts)
def test_a_field_given_twice_is_always_seen(value: dict[str, Any], name: str, text: str) -> None:
    value["author"] = {"id": "x", **value.get("author", {})}
    whole = json.dumps(value)
    first = f'"{name}": {json.dumps(value["message"] if name == "message" else value["author"]["id"])}'
    assert_refused(whole.replace(first, f'{first}, "{name}": {json.dumps(text)}', 1).encode(), "duplicate_field", name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(COMMENT_FIELDS), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_gives_fields_or_an_error_with_a_status(body: bytes) -> None:
    error = refusal(body)
    assert error is None or HTTP_STATUS[type(error)] in (400, 422)
    assert "can't be read" not in str(error)  # the sentence for a body that no other sentence fits


@pytest.mark.parametrize(
    ("text", "lone"),
    [
        (r"\ud7ff", None),
        (r"\ue000", None),
        (r"\ud800", r"\ud800"),
        (r"\udbff", r"\udbff"),
        (r"\udc00", r"\udc00"),
        (r"\udfff", r"\udfff"),
        (r"\ud800\udc00", None),
        (r"\udbff\udfff", None),
        (r"\ud800\ud800\udc00", r"\ud800"),
        (r"\ud800\n\udc00", r"\ud800"),
        (r"\ud800\udc00\udc00", r"\udc00"),
        (r"\ud800\udbff", r"\ud800"),
        (r"\ud800\ue000", r"\ud800"),
    ],
)
def test_which_half_stands_alone(text: str, lone: str | None) -> None:
    """In a body that is wrong for another reason, too"""
    with pytest.raises(ServiceError) as refused:
        parse(b'{"message":"%b","more":1}' % text.encode())
    assert refused.value.code == ("unknown_field" if lone is None else "lone_surrogate")
    assert lone is None or lone in str(refused.value)
