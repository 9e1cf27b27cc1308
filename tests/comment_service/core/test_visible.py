"""has_visible_character: what a reader would see something of"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comment_service.core.visible import has_visible_character

NEWER = "\U0001fa77\U0001fae8\U0001fadf\U000323b0\u0378\U0003fffd"
"""Emoji and a Han letter of Unicode 15 and 16, and what may be assigned one day"""


@pytest.mark.parametrize("text", ["a", ".", " é ", "\u200bx", "😀", "日", "🇩🇪", "\u0301a", "+", "‽", *NEWER])
def test_text_that_shows_something(text: str) -> None:
    assert has_visible_character(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "\n\t",
            "\u00a0",
            "\u3000",
            "\u200b\u200d",
            "\ufeff",
            "\u2800",
            "\u3164",
            "\x00",
            "\u202e",
            "\u0301",
        ),
        *("\u2065", "\ufff0", "\ufdd0", "\uffff", "\U0001fffe", "\U000e0080", "\U000e0fff"),
    ],
)
def test_text_that_shows_nothing(text: str) -> None:
    assert not has_visible_character(text)


@given(st.text(), st.text(st.characters(categories=["L", "N", "P"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_one_visible_character_is_enough(before: str, visible: str) -> None:
    assert has_visible_character(before + visible) or not visible
