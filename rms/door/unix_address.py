"""The address of a Unix socket, in a folder of any depth."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENAMETOOLONG
from pathlib import Path

ADDRESS_BYTES_MAX = 107
"""of a Unix socket's address on Linux: sun_path in unix(7), less the zero byte at its end"""


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """An address to bind or connect to, valid inside the `with`. Raises OSError if there is no such folder, or if the
    file's name alone is too long.

    A path that is too long goes by a number of its folder, which /proc makes a path of; so it works on Linux only.
    """
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        address = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(address)) > ADDRESS_BYTES_MAX:
            raise OSError(ENAMETOOLONG, "the name is too long for a Unix socket", path.name)
        yield address
    finally:
        os.close(folder)
