"""How a service asks dispatchers where viewers go: its limits, and what a response means."""

from collections.abc import Sequence

from pydantic import Field

from proto.dispatch_pb2 import Placed, PlaceResponse
from proto.settings import Settings
from proto.together import Ask, T, Together


class PlacingSettings(Settings):
    place_asks_max: int = Field(
        8, ge=1, description="requests for places at once: more would only wait for each other at the replica"
    )
    place_together_max: int = Field(
        64, ge=1, le=64, description="viewers of one video that share a request; a replica allows 64"
    )
    place_waiting_max: int = Field(
        10_000, ge=1, description="viewers that wait for a place: what 2 s are enough for, and 10 MB; others get a 503"
    )

    def together(self, ask: Ask[T]) -> Together[T]:
        return Together(
            "place viewers",
            ask,
            asks_max=self.place_asks_max,
            together_max=self.place_together_max,
            waiting_max=self.place_waiting_max,
        )


def each_placed(response: PlaceResponse, viewers: int) -> Sequence[PlaceResponse | Placed]:
    """Where each of so many viewers goes; fewer, if there is no room for the others. A replica of an earlier version
    names one node for all."""
    if not response.placed:
        return [response] * viewers
    return [run for run in response.placed for _ in range(min(run.viewers, viewers))]
