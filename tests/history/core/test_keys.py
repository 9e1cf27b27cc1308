"""The time in an Idempotency-Key"""

import uuid

import pytest

from history.core.keys import name_of_key, time_of_key


def test_a_uuid_of_version_7_says_when_it_was_made() -> None:
    made = "019acd12-3456-7abc-bdef-0123456789ab"
    assert time_of_key(made) == time_of_key(made.upper()) == time_of_key(made.replace("-", "")) == 0x019ACD123456


@pytest.mark.parametrize(
    "key",
    [
        "",
        "key",
        str(uuid.UUID(int=0)),
        "019acd12-3456-4abc-8def-0123456789ab",  # version 4
        "019acd12-3456-7abc-cdef-0123456789ab",  # another variant
        "019acd12-3456-7abc-8def-0123456789ab ",
        "019acd12-3456-7abc-8def-0123456789a",
    ],
)
def test_any_other_key_does_not(key: str) -> None:
    assert time_of_key(key) is None


def test_keys_of_others_have_other_names() -> None:
    names = {name_of_key(*key) for key in (("a", "v", "k"), ("b", "v", "k"), ("a", "w", "k"), ("a", "v", "l"))}
    assert {len(name) for name in names} == {16}
    assert len(names) == 4
