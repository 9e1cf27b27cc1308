"""Idempotency-Keys that say when they were made: UUIDs of version 7 (RFC 9562, 5.7). The viewer's page makes such."""

import re

_UUID_7 = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}", re.IGNORECASE)


def time_of_key(key: str) -> int | None:
    """Milliseconds since 1970, as the client says: it may be any time. None: the key has another form."""
    match = _UUID_7.fullmatch(key)
    return None if match is None else int(match[1] + match[2], 16)
