"""Where the stores keep an Idempotency-Key: its name, and for some keys the time when they were made.

UUIDs of version 7 (RFC 9562, 5.7) say when they were made, and the viewer's page makes such. What is claimed at one
time then lies together. A client may say any time: its claims are found as well, and only lie elsewhere.
"""

import hashlib
import re

_UUID_7 = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}", re.IGNORECASE)


def time_of_key(key: str) -> int | None:
    """Milliseconds since 1970, as the client says. None: the key has another form."""
    match = _UUID_7.fullmatch(key)
    return None if match is None else int(match[1] + match[2], 16)


def name_of_key(author_id: str, video_id: str, key: str) -> bytes:
    """16 bytes. Each author has keys of his own in each video; none of the three can hold the separator."""
    return hashlib.blake2b(f"{author_id}\n{video_id}\n{key}".encode(), digest_size=16).digest()
