"""All servers that scripts/bench fanout can compare, by name, in the order of its table."""

from collections.abc import Mapping

from scripts.benches.bare import Bare
from scripts.benches.buffers import Buffers
from scripts.benches.contender import Contender
from scripts.benches.naive import Naive
from scripts.benches.nchan import Nchan
from scripts.benches.ours import Rms

CONTENDERS: Mapping[str, type[Contender]] = {kind.name: kind for kind in (Rms, Bare, Nchan, Buffers, Naive)}
