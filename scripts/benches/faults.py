"""The faults that scripts/bench partition knows, what each touches, and how pairs of them are drawn.

Rule: nothing in here does anything; striking.py does.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from scripts.benches.config import PartitionSettings

STORE, AUTHORS = "store", "authors"

KINDS = {
    "cut": "a host is off the network",
    "link": "two hosts don't reach each other",
    "way": "what one host sends to another is lost",
    "port": "what is sent to a port, or from it, is lost",
    "clock": "a host's wall clock is set, and set right again",
    "kill": "kill -9; started again",
    "restart": "SIGTERM; started again",
    "pause": "SIGSTOP; goes on",
    "drain": "a node is drained, and takes viewers again",
}

CLOCKS_S = (-3_600, -30, -8, -6, -1, 1, 6, 30, 1_200)
"""By how much a clock is off: within what is normal, at the bounds of what positions cover, and absurd"""


class Fault(NamedTuple):
    kind: str
    host: str
    other: str = ""  # of link and way: the host at the other end
    off_s: int = 0  # of clock

    def __str__(self) -> str:
        match self.kind:
            case "link":
                return f"link:{self.host}-{self.other}"
            case "way":
                return f"way:{self.host}>{self.other}"
            case "clock":
                return f"clock:{self.host}:{self.off_s:+d}"
        return f"{self.kind}:{self.host}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Two faults at one place would undo each other."""
        return self.kind, self.host, self.other

    @property
    def touches(self) -> frozenset[str]:
        """Hosts that are not healthy"""
        return frozenset({self.host, self.other} - {""})

    def without_store(self, hosts: Sequence[str]) -> frozenset[str]:
        """Which of the hosts can't reach the store meanwhile"""
        if STORE not in self.touches:
            return frozenset({self.host} if self.kind == "cut" else ())
        return self.touches - {STORE} if self.other else frozenset(hosts)


class Struck(NamedTuple):
    """A fault, and when: seconds after posting has begun"""

    fault: Fault
    at_s: float
    for_s: float

    def __str__(self) -> str:
        return f"{self.fault} ({self.at_s:.1f} to {self.at_s + self.for_s:.1f} s)"


def hosts(settings: PartitionSettings) -> list[str]:
    """All of them; what runs on a host has its name"""
    counts = {
        "comment-service": settings.services,
        "dispatcher": settings.replicas,
        "rms": settings.nodes,
        "viewers": settings.viewers_hosts,
    }
    return [*(f"{role}-{number}" for role, count in counts.items() for number in range(1, count + 1)), AUTHORS, STORE]


def known_faults(settings: PartitionSettings, *, clocks: bool = True) -> list[Fault]:
    """clocks: can be wrong"""
    names = hosts(settings)
    services, replicas, nodes, viewers = (
        [name for name in names if name.startswith(role)]
        for role in ("comment-service", "dispatcher", "rms", "viewers")
    )
    processes = [*services, *replicas, *nodes]
    links = [(name, other) for name in (*services, *nodes) for other in (*replicas, STORE)]
    links += [(name, other) for name in viewers for other in nodes]
    return [
        *(Fault("cut", name) for name in names if name != AUTHORS),
        *(Fault("link", *link) for link in links),
        *(Fault("way", *way) for link in links for way in (link, link[::-1])),
        *(Fault("port", name) for name in (*services, *nodes)),  # the other hosts have but one
        *(Fault("clock", name, off_s=off_s) for name in processes for off_s in CLOCKS_S if clocks),
        *(Fault(kind, name) for kind in ("kill", "restart") for name in processes),
        *(Fault("pause", name) for name in (*processes, STORE)),
        *(Fault("drain", name) for name in nodes),
    ]


def draw(seed: int, number: int, faults: Sequence[Fault], settings: PartitionSettings) -> list[Struck]:
    """The pair of this number. Each kind is as likely as the others. Needs nothing of the pairs before it."""
    random = Random(f"{seed}-{number}")
    kinds = sorted({fault.kind for fault in faults})

    def one() -> Fault:
        kind = random.choice(kinds)
        return random.choice([fault for fault in faults if fault.kind == kind])

    first, second = one(), one()
    while first.place == second.place:
        second = one()
    return [
        Struck(first, settings.first_at_s, round(random.uniform(*settings.first_for_s), 1)),
        Struck(
            second, round(random.uniform(*settings.second_at_s), 1), round(random.uniform(*settings.second_for_s), 1)
        ),
    ]
