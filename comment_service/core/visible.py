"""Decides whether a text shows anything at all: white space is not the only text that looks empty."""

import re
import unicodedata

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""A character that ends a line or controls a terminal: in no name and no title"""

_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols for Unicode, and blank in every font: Hangul fillers and the blank Braille pattern"""

_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Me", "Zl", "Zp", "Zs"})
"""Controls, formats (zero-width space, joiners), unassigned and private ones, marks without a base, separators"""


def has_visible_character(text: str) -> bool:
    """Stops at the first visible one, which is usually the first of all."""
    if "!" <= text[:1] <= "~":
        return True
    return any(
        unicodedata.category(character) not in _INVISIBLE and character not in _BLANK_LETTERS for character in text
    )
