"""Compiles the benches' C programs, once for each version of their source."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from scripts.processes import ROOT

SOURCES = Path(__file__).parent
BUILT = ROOT / ".data" / "bench"


class CannotBuild(Exception):
    """There is no C compiler, or it refuses; the message says what to do."""


def build(name: str, *, gzip: bool = False, folder: Path = BUILT) -> Path:
    """The program's path. gzip: with zlib, for viewers who ask for compression. Raises CannotBuild."""
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *(["-DWITH_GZIP"] if gzip else [])]
    text = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]")))
    program = folder / f"{name}-{hashlib.sha256(text + repr(flags).encode()).hexdigest()[:12]}"
    if program.exists():
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CannotBuild(
            "the load generator is in C, and no C compiler was found (Debian, Ubuntu: apt-get install gcc)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")  # two benches may build at the same time
    libraries = ["-lz"] if gzip else []
    command = [compiler, *flags, "-o", str(unfinished), str(SOURCES / f"{name}.c"), *libraries]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        hint = "; zlib's header is needed (Debian, Ubuntu: apt-get install zlib1g-dev)" if gzip else ""
        raise CannotBuild(f"{' '.join(command)} failed{hint}:\n{result.stderr.strip()}")
    unfinished.replace(program)
    return program
