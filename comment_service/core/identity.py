"""Decides who the author of a comment is.

For now it is a name that the sender chooses, for a try-out: anybody can choose the same. A verified token will take its
place here, and nothing else will change: all other code takes an `Author`.
"""

import hashlib
from dataclasses import dataclass

from msgspec import UNSET

from comment_service.core.body import AuthorFields
from comment_service.core.errors import AuthorEmpty, AuthorTooLong, AuthorUnprintable
from comment_service.core.visible import CONTROL, has_visible_character
from history.core.model import Author

ANONYMOUS = "Anonymous"


@dataclass(frozen=True, slots=True)
class AuthorLimits:
    characters_max: int
    bytes_max: int


def author_of(claimed: AuthorFields | None, limits: AuthorLimits) -> Author:
    """The author that the sender claims to be. Raises AuthorEmpty, AuthorTooLong, AuthorUnprintable."""
    name = ANONYMOUS if claimed is None or claimed.name is UNSET else _checked("author.name", claimed.name, limits)
    if claimed is None or claimed.id is UNSET:
        return Author(_guest_id(name, limits), name)
    return Author(_checked("author.id", claimed.id, limits), name)


def _checked(field: str, text: str, limits: AuthorLimits) -> str:
    if len(text) > limits.characters_max:
        raise AuthorTooLong(field, len(text), limits.characters_max, "characters")
    if not text.isascii() and (size := len(text.encode())) > limits.bytes_max:
        raise AuthorTooLong(field, size, limits.bytes_max, "bytes of UTF-8")
    if control := CONTROL.search(text):
        raise AuthorUnprintable(field, control[0])
    if not has_visible_character(text):
        raise AuthorEmpty(field)
    return text


def _guest_id(name: str, limits: AuthorLimits) -> str:
    """The same name is the same guest. A name that leaves no room for the prefix is replaced by its hash."""
    guest_id = "guest:" + name
    if len(guest_id.encode()) <= limits.bytes_max:
        return guest_id
    return "guest:" + hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
