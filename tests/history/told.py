"""Whom a spooled store tells what the other nodes' readers must know."""


class Told:
    """It keeps what it was told."""

    def __init__(self) -> None:
        self.hidden: list[int] = []
        self.shown = 0

    def hide(self, from_id: int) -> None:
        self.hidden.append(from_id)

    def show(self) -> None:
        self.shown += 1
