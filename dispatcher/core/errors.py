"""Defines what can go wrong between a replica and its peers. Each error is a sentence that says whose fault it is.

DispatcherError
├── InvalidRequest    the peer sent what no peer may send; the same again will fail again
├── LimitReached      the peer asks for more than a limit allows; the sentence names the limit
├── NoHello           the first message of a node's stream was no hello, or none came in time
├── Aborted           the stream is over, the peer connects again: a lease, an outbox, a newer stream
├── NoRoom            no living node can take a viewer now
├── NotConnected      the node that is meant isn't connected here
├── Stopping          this replica is stopping; another one can do it
└── Failed            an error of this replica, whose log has the reason
"""


class DispatcherError(Exception):
    """The sentence reaches the peer as the status's details."""


class InvalidRequest(DispatcherError):
    pass


class LimitReached(DispatcherError):
    pass


class NoHello(DispatcherError):
    pass


class Aborted(DispatcherError):
    pass


class NoRoom(DispatcherError):
    def __init__(self, video_id: str) -> None:
        super().__init__(f"no living node has room for a viewer of {video_id}; try again in a few seconds")


class NotConnected(DispatcherError):
    def __init__(self, node_id: str) -> None:
        super().__init__(f"{shown(node_id)} is not connected to this replica; another one may know it")


class Stopping(DispatcherError):
    def __init__(self) -> None:
        super().__init__("this replica is stopping; go to another one")


class Failed(DispatcherError):
    def __init__(self) -> None:
        super().__init__("this replica has failed at this call; its log has the reason")


def shown(text: str, characters: int = 40) -> str:
    """A peer's text in a sentence: quoted, escaped and cut, so that it can't break a log or a terminal."""
    return ascii(text[:characters]) + ("..." if len(text) > characters else "")
