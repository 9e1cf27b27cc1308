"""Keeps tests that make network interfaces from running beside tests in a browser.

Chromium cuts what it is loading when an interface of the machine comes or goes (ERR_NETWORK_CHANGED): a page whose
scripts it was loading stays as it is for good. The tests run in several processes, so the locks are files.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(tempfile.gettempdir())


@contextmanager
def network_stays() -> Iterator[None]:
    """For any number at the same time"""
    with _held(fcntl.LOCK_SH):
        yield


@contextmanager
def network_changes() -> Iterator[None]:
    """For one at a time, and nobody else"""
    with _held(fcntl.LOCK_EX):
        yield


@contextmanager
def _held(kind: int) -> Iterator[None]:
    """Through a gate, so that who waits to be alone isn't passed by for ever by those who come later."""
    with _open("room") as room:
        with _open("gate") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(room, kind)
        yield


@contextmanager
def _open(name: str) -> Iterator[int]:
    number = os.open(FOLDER / f"livecomments-tests-network-{name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield number
    finally:
        os.close(number)
