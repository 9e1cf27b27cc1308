"""Who holds a node number: a word of its folder, and which life of it.

Each start of a process counts the folder's generation up, and draws a word for this life. A later generation takes the
number over from an earlier one, which learns it with its next renewal. So of two processes that have one word, as in a
copied folder, only one holds the number: the one of the later generation, or of the same one whoever came first.
"""

from typing import NamedTuple, Self


class Holder(NamedTuple):
    """`str()` is what the store keeps, and `parse` reads."""

    word: str
    generation: int
    life: str

    def __str__(self) -> str:
        return f"{self.word}.{self.generation}.{self.life}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """An earlier release's holder was the folder's word alone."""
        parts = text.rsplit(".", 2)
        if len(parts) == 3 and parts[1].isdecimal():
            return cls(parts[0], int(parts[1]), parts[2])
        return cls(text, 0, "")


def may_replace(ours: str, theirs: str) -> bool:
    """Whether the holder `ours` has the number, or takes it over, while the row says `theirs`"""
    mine, other = Holder.parse(ours), Holder.parse(theirs)
    return ours == theirs or (mine.word == other.word and other.generation < mine.generation)
