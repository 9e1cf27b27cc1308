"""Defines the states of a node at this replica, and what leads from one to another.

A row is a state, a column a trigger; an empty field can't happen. A node has one current session. Any other session of
it is over, and what still comes from that one changes nothing. The node itself says whether it drains, in its hello and
in every beat.

| state    | hello                             | drain    | undrain | end of the stream | lease runs out |
|----------|-----------------------------------|----------|---------|-------------------|----------------|
| absent   | live                              |          |         |                   |                |
| live     | live (the session before is over) | draining | live    | absent            | absent         |
| draining | live (the session before is over) | draining | live    | absent            | absent         |

A draining node keeps its videos and gets their events; it takes no viewers.
"""

import enum
from collections.abc import Mapping


class State(enum.Enum):
    ABSENT = "absent"
    LIVE = "live"
    DRAINING = "draining"


class Trigger(enum.Enum):
    HELLO = "hello"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    END = "end"
    EXPIRE = "expire"


_CONNECTED = {
    Trigger.HELLO: State.LIVE,
    Trigger.DRAIN: State.DRAINING,
    Trigger.UNDRAIN: State.LIVE,
    Trigger.END: State.ABSENT,
    Trigger.EXPIRE: State.ABSENT,
}
LIFE: Mapping[State, Mapping[Trigger, State]] = {
    State.ABSENT: {Trigger.HELLO: State.LIVE},
    State.LIVE: _CONNECTED,
    State.DRAINING: _CONNECTED,
}
