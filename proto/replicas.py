"""Finds the dispatcher replicas, and holds a gRPC channel to each.

The replicas are given as a list that never changes, or as a DNS name that is looked up again and again: each of its
addresses is a replica. Other processes look the name up at other times. So a new replica is tried last, when all others
have failed: nodes that haven't found it yet would get its comments late. A look-up that fails or finds nothing changes
nothing: healthy replicas must not be lost with the name server.

If a name has IPv4 and IPv6 addresses, only the IPv4 ones count: a replica with two addresses would count as two.

A channel shows the certificate that it was made with for as long as it lives. So when the certificate files have
changed, each channel gets a successor. Calls under way stay on the old one, which is closed when it loses its
connection.
"""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Annotated

import grpc
import grpc.aio
import structlog
from pydantic import AfterValidator, Field, StringConstraints

from proto.channel import TlsSettings, aio_channel
from proto.settings import check_ports
from proto.tasks import Supervisor, first_ended
from proto.tls import Pem, Tls

log = structlog.stdlib.get_logger()

_HOST = r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)"

Dispatchers = Annotated[
    str,
    StringConstraints(pattern=rf"^(dns:[A-Za-z0-9_.-]+:[0-9]{{1,5}}|{_HOST}:[0-9]{{1,5}}(,{_HOST}:[0-9]{{1,5}})*)$"),
    AfterValidator(check_ports),
]
"""host:port, or several separated by commas; or dns:NAME:PORT"""

LookUp = Callable[[str, int], Awaitable[Collection[str]]]
"""From a name and a port to its addresses, host:port. Raises OSError."""


async def look_up(name: str, port: int) -> Collection[str]:
    """Asks the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    v4 = {f"{address[0]}:{port}" for family, *_, address in found if family == socket.AF_INET}
    return v4 or {f"[{address[0]}]:{port}" for family, *_, address in found if family == socket.AF_INET6}


class ReplicaAddresses:
    """Where the replicas are.

    `fixed`: the addresses of a list; empty for a name. `tls_name`: the name that the certificates are for; empty for a
    list, where each certificate is for its own host.
    """

    def __init__(self, dispatchers: str, every_ms: int, look_up: LookUp = look_up) -> None:
        self.fixed: tuple[str, ...] = ()
        self.tls_name = ""
        self.every_ms = every_ms
        self._port = 0
        self._look_up = look_up
        if dispatchers.startswith("dns:"):
            _, self.tls_name, port = dispatchers.split(":")
            self._port = int(port)
        else:
            self.fixed = tuple(dict.fromkeys(dispatchers.split(",")))

    async def follow(self, on_found: Callable[[frozenset[str]], object]) -> None:
        """Calls `on_found` with the addresses of each look-up that finds any; for ever. For a list, returns at once."""
        failing = False
        known: frozenset[str] = frozenset()
        while not self.fixed:
            try:
                async with asyncio.timeout(self.every_ms / 1000):
                    found = frozenset(await self._look_up(self.tls_name, self._port))
                reason = "" if found else "the name has no address"
            except (OSError, TimeoutError, UnicodeError) as error:  # UnicodeError: the name is invalid
                found, reason = frozenset(), str(error) or "no answer in time"
            if reason and not failing:
                log.warning("dispatchers can't be looked up", name=self.tls_name, reason=reason, known=len(known))
            if found and (found != known or failing):
                log.info("dispatchers looked up", name=self.tls_name, addresses=sorted(found))
            failing, known = bool(reason), found or known
            if found:
                on_found(found)
            await asyncio.sleep(self.every_ms / 1000)


def replica_numbers(addresses: Iterable[str]) -> dict[str, str]:
    """A number for each, from 1, in the order of the sorted addresses: what strangers, who read the metrics on the
    viewers' port, may be told of a replica."""
    return {address: str(number) for number, address in enumerate(sorted(addresses), 1)}


class DispatcherSettings(TlsSettings):
    """The settings of a service that calls the dispatchers"""

    dispatchers: Dispatchers = Field(
        "127.0.0.1:7001,127.0.0.1:7002",
        description="host:port of every dispatcher replica, separated by commas; or dns:NAME:PORT, where each address "
        "of the name is a replica",
    )
    dispatchers_lookup_ms: int = Field(
        5_000,
        gt=0,
        description="ms between two look-ups of such a name, and their time-out: how long a new replica stays unknown; "
        "also between two looks whether the certificate files have changed",
    )

    def replica_addresses(self) -> ReplicaAddresses:
        return ReplicaAddresses(self.dispatchers, self.dispatchers_lookup_ms)


class ReplicaChannels:
    """One channel to each replica. Make, use and close it in one running event loop, while `follow` runs in a task.

    `order` is shuffled once a process. So many processes spread over the replicas, and each keeps to one replica as
    long as it works. A failed replica goes to the end of the order.
    """

    def __init__(
        self, replica_addresses: ReplicaAddresses, tls: Tls | None, options: Sequence[tuple[str, int]] = ()
    ) -> None:
        self.order: list[str] = []
        self._replica_addresses = replica_addresses
        self._tls = tls
        self._pem = tls.current() if tls else None
        self._options = tuple(options)
        self._retired: list[grpc.aio.Channel] = []  # calls may still be under way on them
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._changed = asyncio.Event()  # replaced whenever it is set
        for address in random.sample(replica_addresses.fixed, len(replica_addresses.fixed)):
            self._add(address)

    def __contains__(self, address: str) -> bool:
        """Is it one of the replicas now?"""
        return address in self.order

    def __getitem__(self, address: str) -> grpc.aio.Channel:
        """The channel to a replica. A replica that was removed keeps its channel until the next look-up."""
        return self._channels[address]

    def failed(self, address: str) -> None:
        """Puts the replica at the end of the order."""
        if address in self.order:
            self.order.remove(address)
            self.order.append(address)

    def prefer(self, address: str) -> None:
        """Puts the replica at the beginning of the order."""
        if address in self.order:
            self.order.remove(address)
            self.order.insert(0, address)

    async def wait_any(self) -> None:
        """Returns when at least one replica is known."""
        while not self.order:
            await self._changed.wait()

    async def wait_gone(self, address: str) -> None:
        """Returns when the address is no replica any more."""
        while address in self.order:
            await self._changed.wait()

    async def follow(self) -> None:
        """Keeps `order` and the certificates up to date; for ever. For a list, and in clear, returns at once."""
        working = Supervisor()

        def update(found: frozenset[str]) -> None:
            # Replicas that an earlier look-up has removed: no call to them is under way any more.
            for address in self._channels.keys() - found - set(self.order):
                working.spawn("close channel", self._channels.pop(address).close())
            self.order = [address for address in self.order if address in found]
            for address in random.sample(sorted(found - set(self.order)), len(found - set(self.order))):
                self._add(address)
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

        try:
            renewing = [working.keep("renew channels", partial(self._renew, self._tls, working))] if self._tls else []
            await self._replica_addresses.follow(update)
            await asyncio.gather(*renewing)
        finally:
            await working.close()

    async def close(self) -> None:
        for channel in (*self._channels.values(), *self._retired):
            await channel.close()

    async def _renew(self, tls: Tls, working: Supervisor) -> None:
        """For ever: gives each channel a successor when the certificates have changed."""
        while True:
            await asyncio.sleep(self._replica_addresses.every_ms / 1000)
            if (pem := tls.current()) is not self._pem:
                self._pem = pem
                for address, channel in self._channels.items():
                    working.spawn("renew channel", self._succeed(address, channel, pem))

    async def _succeed(self, address: str, old: grpc.aio.Channel, pem: Pem) -> None:
        """The successor takes the calls once it is connected: nobody waits for a handshake, or is turned away because
        the replica doesn't take the new certificate yet. If the old channel loses its connection, it does at once."""
        channel = self._open(address)
        try:
            await first_ended(_connected(channel), _disconnected(old))
            if pem is not self._pem or self._channels.get(address) is not old:
                return  # changed once more, or no replica any more
            channel, self._channels[address] = old, channel
            self._retired.append(channel)
            await _disconnected(channel)
            self._retired.remove(channel)
        finally:
            if channel not in self._retired:  # else `close` does it
                await channel.close()

    def _add(self, address: str) -> None:
        self.order.append(address)
        if address not in self._channels:
            self._channels[address] = self._open(address)

    def _open(self, address: str) -> grpc.aio.Channel:
        return replica_channel(self._replica_addresses, self._tls, address, self._options)


async def _connected(channel: grpc.aio.Channel) -> None:
    """Returns when it is connected. It tries until it is."""
    while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
        await channel.wait_for_state_change(state)


async def _disconnected(channel: grpc.aio.Channel) -> None:
    """Returns when it has no connection. A channel without calls gives its connection up after half an hour."""
    if (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
        await channel.wait_for_state_change(state)


def reconnecting(every_ms: int) -> list[tuple[str, int]]:
    """Options for a channel that must reconnect soon. every_ms: longest try, and longest wait until the next one.

    gRPC's own waits between tries begin at 1 s and grow to 120 s. By then a replica has long been back.
    """
    return [
        ("grpc.initial_reconnect_backoff_ms", min(100, every_ms)),
        ("grpc.min_reconnect_backoff_ms", every_ms),
        ("grpc.max_reconnect_backoff_ms", every_ms),
    ]


def replica_channel(
    replica_addresses: ReplicaAddresses, tls: Tls | None, address: str, options: Sequence[tuple[str, int]] = ()
) -> grpc.aio.Channel:
    return aio_channel(address, tls, options, tls_name=replica_addresses.tls_name)
