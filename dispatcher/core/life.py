"""A node's life at this replica. A row is a state, a column an event; an empty field can't happen. What is not in the
table is no state of a node but of a session: a session that isn't its node's current one is over, and whatever still
comes from it changes nothing. Whether a node drains is its own word, in its hello and in every beat.

| state    | hello                             | drain    | undrain | end of the stream | lease runs out |
|----------|-----------------------------------|----------|---------|-------------------|----------------|
| absent   | live                              |          |         |                   |                |
| live     | live (the session before is over) | draining | live    | absent            | absent         |
| draining | live (the session before is over) | draining | live    | absent            | absent         |

A draining node keeps its videos and gets their comments; it takes no viewers.
"""

import enum
from collections.abc import Mapping


class State(enum.Enum):
    ABSENT = "absent"
    LIVE = "live"
    DRAINING = "draining"


class Event(enum.Enum):
    HELLO = "hello"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    END = "end"
    EXPIRE = "expire"


_HERE = {
    Event.HELLO: State.LIVE,
    Event.DRAIN: State.DRAINING,
    Event.UNDRAIN: State.LIVE,
    Event.END: State.ABSENT,
    Event.EXPIRE: State.ABSENT,
}
LIFE: Mapping[State, Mapping[Event, State]] = {
    State.ABSENT: {Event.HELLO: State.LIVE},
    State.LIVE: _HERE,
    State.DRAINING: _HERE,
}
