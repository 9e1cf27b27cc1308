"""Takes over what processes with other node numbers have left in the same folders: their spools and their watermarks.

A process may come back under another number (another --node, or `auto` when its number is taken), or never. Then nobody
else would store what its spool holds, nor publish what its watermark owes.

The order makes it safe to be killed at any moment: a file of the other spool is moved as a whole; and its watermark is
settled only after this process's own watermark covers it. The locks say whether a process lives that has the number. A
process that starts meanwhile with that number waits for them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from comment_service.publish.watermark import StateDirInUse, Watermark
from history.core.ids import NODES
from history.spool.files import SUFFIX, Spool, SpoolInUse

log = structlog.stdlib.get_logger()

_NAME = re.compile(r"(?:published-)?node([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Adopted:
    """What another number's process has left; locked until `settle`."""

    watermark: Watermark
    owed_from_id: int | None
    """nodes have to read history from here on; None: nothing is owed"""
    high_id: int
    """the greatest id that its spool held; 0: none"""

    def settle(self) -> None:
        """This process's watermark covers it. Raises OSError."""
        saved = self.watermark.read()
        if saved is not None:
            self.watermark.settle(saved.low_id, max(saved.ids_up_to, self.high_id))
        self.watermark.release()


def adopt(spool: Spool, node: int, state_dir: Path, spools: Path) -> list[Adopted]:
    """Moves other numbers' comments into the spool, as far as it has room. spools: the folder of all numbers' spools.

    What can't be had is logged, and left for a later start."""
    adopted = []
    for other in sorted(_nodes_in(state_dir, spools) - {node}):
        folder = spools / f"node{other}"
        saved = Watermark(state_dir, other).read()
        if (saved is None or saved.clean) and not any(folder.glob(f"*{SUFFIX}")):
            continue
        try:
            adopted.append(one := _adopt(spool, Watermark(state_dir, other), folder))
        except StateDirInUse:
            continue  # it lives
        except (SpoolInUse, OSError) as error:
            log.error("what another node number left can't be adopted", node=other, reason=str(error))
        else:
            log.warning("adopted what another node number left", node=other, owed=one.owed_from_id is not None)
    return adopted


def _adopt(spool: Spool, watermark: Watermark, folder: Path) -> Adopted:
    watermark.hold()
    try:
        high_id = spool.adopt(folder) if folder.is_dir() else 0
        saved = watermark.read()
    except BaseException:
        watermark.release()
        raise
    return Adopted(watermark, None if saved is None or saved.clean else saved.low_id, high_id)


def _nodes_in(state_dir: Path, spools: Path) -> set[int]:
    return {node for folder in (state_dir, spools) for node in _nodes(folder)}


def _nodes(folder: Path) -> Iterator[int]:
    for path in folder.glob("*node*"):
        if (match := _NAME.fullmatch(path.name)) and (node := int(match[1])) < NODES:
            yield node
