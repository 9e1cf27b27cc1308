"""What a state folder says about the node number: its word, by which a process that was killed finds its own row again,
and until when its lease surely lasts.

A copied folder has the word of the original. So the word's file also says which file it is, on which host: in a copy
that isn't true, and the copy gets a word of its own. A copy of a whole disk or machine under the same host name isn't
told apart here; there the store decides (history/core/holder.py).
"""

import contextlib
import os
import secrets
import socket
from pathlib import Path

from history.core.holder import Holder

HOLDER_FILE = "holder"


def begin_life(state_dir: Path) -> Holder:
    """The holder of a process that starts now; the folder remembers its generation. Raises OSError."""
    word, generation = _own(state_dir) or (secrets.token_hex(8), 0)
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / HOLDER_FILE
    new = path.with_name(f"{HOLDER_FILE}.{os.getpid()}")  # processes with other numbers may share the folder
    with new.open("w") as file:
        file.write(f"{word} {generation + 1} {_identity(os.fstat(file.fileno()))}\n")
    new.replace(path)
    return Holder(word, generation + 1, secrets.token_hex(4))


def forget_word(state_dir: Path) -> None:
    """Another process has the number, perhaps with the same word: the next start takes it from nobody who lives."""
    with contextlib.suppress(OSError):
        (state_dir / HOLDER_FILE).unlink(missing_ok=True)


def is_leased(state_dir: Path, node: int, now_ms: int) -> bool:
    """Whether the lease of this folder's last process with that number surely lasts"""
    return leased_ms(state_dir, node, now_ms) > 0


def leased_ms(state_dir: Path, node: int, now_ms: int) -> int:
    """For how long the lease of this folder's last process with that number surely lasts; 0: it doesn't"""
    with contextlib.suppress(OSError, ValueError):
        until_ms, word = lease_file(state_dir, node).read_text().split()
        own = _own(state_dir)
        return max(0, int(until_ms) - now_ms) if own is not None and own[0] == word else 0
    return 0


def save_lease(state_dir: Path, node: int, holder: Holder, until_ms: int) -> None:
    """Raises OSError; an older file holds, too."""
    lease_file(state_dir, node).write_text(f"{until_ms} {holder.word}\n")


def lease_file(state_dir: Path, node: int) -> Path:
    return state_dir / f"lease-node{node}"


def _own(state_dir: Path) -> tuple[str, int] | None:
    """The folder's word and its last generation. None: it has none, or it is a copy's."""
    path = state_dir / HOLDER_FILE
    with contextlib.suppress(OSError, ValueError):
        word, *rest = path.read_text().split()
        if not rest:  # an earlier release's
            return word, 0
        generation, identity = rest
        if identity == _identity(path.stat()):
            return word, int(generation)
    return None


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{socket.gethostname()}"
