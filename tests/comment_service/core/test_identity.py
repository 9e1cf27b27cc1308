"""author_of: who the sender claims to be"""

import pytest

from comment_service.core.body import AuthorFields
from comment_service.core.errors import AuthorEmpty, AuthorTooLong, AuthorUnprintable, ServiceError
from comment_service.core.identity import AuthorLimits, author_of
from history.core.model import Author

LIMITS = AuthorLimits(characters_max=64, bytes_max=128)


def test_nobody_in_particular() -> None:
    assert author_of(None, LIMITS) == author_of(AuthorFields(), LIMITS) == Author("guest:Anonymous", "Anonymous")


def test_a_name_is_a_guest() -> None:
    assert author_of(AuthorFields(name="Ann"), LIMITS) == Author("guest:Ann", "Ann")


def test_an_id_is_kept() -> None:
    assert author_of(AuthorFields(id="u1", name="Ann"), LIMITS) == Author("u1", "Ann")
    assert author_of(AuthorFields(id="u1"), LIMITS) == Author("u1", "Anonymous")


def test_a_long_name_still_has_an_id_of_its_own() -> None:
    one, other = (author_of(AuthorFields(name="é" * 63 + last), LIMITS) for last in "éè")
    assert one.id != other.id
    assert one.id.startswith("guest:")
    assert len(one.id.encode()) <= 128
    assert one.name == "é" * 64


@pytest.mark.parametrize(
    ("fields", "kind", "sentence"),
    [
        (AuthorFields(name="x" * 65), AuthorTooLong, "author.name has 65 characters; at most 64 are allowed"),
        (AuthorFields(id="😀" * 33), AuthorTooLong, "author.id has 132 bytes of UTF-8; at most 128 are allowed"),
        (AuthorFields(name=" \u200b"), AuthorEmpty, "author.name has no visible character"),
        (AuthorFields(id=""), AuthorEmpty, "author.id has no visible character"),
        (AuthorFields(name="a\nb"), AuthorUnprintable, "U\\+000A"),
        (AuthorFields(id="a\x1b[31m"), AuthorUnprintable, "U\\+001B"),
        (AuthorFields(name="a\u2028b"), AuthorUnprintable, "U\\+2028"),
    ],
)
def test_who_can_not_be(fields: AuthorFields, kind: type[ServiceError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        author_of(fields, LIMITS)
