"""Compiles the benches' C programs, once for each version of their source."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from scripts.benches.running import BenchFailed
from scripts.processes import ROOT

SOURCES = Path(__file__).parent
BUILT = ROOT / ".data" / "bench"
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror")


def build(name: str, folder: Path = BUILT, *, shared: bool = False) -> Path:
    """Returns the path of the program, or of the library if it is shared. Raises BenchFailed, which says what to
    install."""
    text = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]")))
    program = folder / f"{name}-{hashlib.sha256(text + repr(FLAGS).encode()).hexdigest()[:12]}"
    if program.exists():
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BenchFailed("no C compiler was found (Debian, Ubuntu: apt-get install gcc libc6-dev zlib1g-dev)")
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")  # two benches may build at the same time
    flags = [*FLAGS, *(("-shared", "-fPIC") if shared else ())]
    command = [compiler, *flags, "-o", str(unfinished), str(SOURCES / f"{name}.c"), "-lz"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        hint = "zlib's header is needed (Debian, Ubuntu: apt-get install zlib1g-dev)"
        raise BenchFailed(f"{' '.join(command)} failed; {hint}:\n{result.stderr.strip()}")
    unfinished.replace(program)
    return program
