"""The errors: each has a status, a code of its own, and a sentence that can stand in any answer"""

from comment_service.core import errors
from comment_service.core.errors import HTTP_STATUS, MessageTooLong, ServiceError, UnknownField, shown


def error_classes() -> list[type[ServiceError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]


def test_each_error_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(error_classes()) - {ServiceError}
    assert all(400 <= status < 500 or status == 503 for status in HTTP_STATUS.values())


def test_the_tree_in_the_docstring_names_each() -> None:
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in error_classes() if kind.__name__ not in errors.__doc__] == []


def test_a_code_is_the_name_in_snake_case() -> None:
    error = MessageTooLong(501, 500, "characters")
    assert error.code == "message_too_long"
    assert str(error) == "message has 501 characters; at most 500 are allowed"


def test_codes_are_different() -> None:
    codes = [kind.__new__(kind).code for kind in HTTP_STATUS]
    assert len(set(codes)) == len(codes)


def test_a_sentence_shows_little_of_what_was_sent() -> None:
    assert shown("x" * 40) == repr("x" * 40)
    assert shown("x" * 41) == repr("x" * 40) + "…"
    assert "\n" not in str(UnknownField("a\nb" * 500, ["id"]))
    assert len(str(UnknownField("a\nb" * 500, ["id"]))) < 200
