"""Decides whether a text shows anything at all: white space is not the only text that looks empty."""

import re
import unicodedata

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""A character that ends a line or controls a terminal: in no name and no title"""

_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols for Unicode, and blank in every font: Hangul fillers and the blank Braille pattern"""

_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Mn", "Me", "Zl", "Zp", "Zs"})
"""Controls, formats (zero-width space, joiners), private ones, marks without a base, separators. Not the unassigned
(Cn): most are assigned in a later Unicode than this Python's, and phones show them years before."""

_NEVER_SHOWN = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e0fff]")
"""The unassigned ones that stay blank when they are assigned (Default_Ignorable_Code_Point, DerivedCoreProperties.txt),
and noncharacters (Unicode 3.4, D14), of which each plane has two more at its end"""

_PLANE_END = 0xFFFE


def has_visible_character(text: str) -> bool:
    """Stops at the first visible one, which is usually the first of all."""
    if "!" <= text[:1] <= "~":
        return True
    return any(_is_visible(character) for character in text)


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cn":
        return not _NEVER_SHOWN.match(character) and ord(character) & _PLANE_END != _PLANE_END
    return category not in _INVISIBLE and character not in _BLANK_LETTERS
