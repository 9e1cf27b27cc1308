"""What the benches' tests need of the machine."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def compiler() -> None:
    """The viewers are in C, and read gzip by zlib."""
    if shutil.which("cc") is None or not Path("/usr/include/zlib.h").exists():
        pytest.skip("a C compiler and zlib.h are needed (Debian, Ubuntu: apt-get install gcc libc6-dev zlib1g-dev)")
