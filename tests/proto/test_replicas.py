"""proto/replicas.py: a list never changes; a name is looked up again, and addresses that it lost are closed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import astuple
from pathlib import Path

import grpc
import pytest
from pydantic import TypeAdapter, ValidationError
from structlog.testing import capture_logs

from proto.replicas import Dispatchers, ReplicaAddresses, ReplicaChannels, look_up, reconnecting
from proto.tls import Pem, Tls
from tests.certificates import files, make_certificates
from tests.waiting import eventually


class Names:
    """A resolver that returns `answer`, or raises it if it is an exception, and records what it was asked."""

    def __init__(self, *answer: str) -> None:
        self.answer: Collection[str] | Exception = answer
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, name: str, port: int) -> Collection[str]:
        self.asked.append((name, port))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def asked_again(self) -> None:
        """Returns when the last answer has taken effect."""
        before = len(self.asked)
        await eventually(lambda: len(self.asked) >= before + 2)


@asynccontextmanager
async def following(names: Names) -> AsyncIterator[ReplicaChannels]:
    channels = ReplicaChannels(ReplicaAddresses("dns:replicas.example:7001", 5, names), None)
    task = asyncio.create_task(channels.follow())
    try:
        yield channels
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await channels.close()


@pytest.mark.parametrize(
    "right", ["a:1", "a:1,b:2", "[::1]:7001,127.0.0.1:7002", "dns:dispatchers.example:7001", "dns:7001"]
)
def test_valid_dispatchers(right: str) -> None:
    assert TypeAdapter(Dispatchers).validate_python(right) == right


@pytest.mark.parametrize("wrong", ["", "a", "a:1,", "dns:", "dns:a:1,b:2", "a:1,dns:b:2", "dns:a:b:1", "a:123456"])
def test_invalid_dispatchers(wrong: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Dispatchers).validate_python(wrong)


async def test_a_list_is_never_looked_up() -> None:
    names = Names()
    replica_addresses = ReplicaAddresses("a:1,b:2,a:1", 5, names)
    assert (replica_addresses.fixed, replica_addresses.tls_name) == (("a:1", "b:2"), "")
    await replica_addresses.follow(lambda found: pytest.fail(f"found {found}"))
    assert names.asked == []


async def test_localhost_is_one_replica() -> None:
    """On most machines it has two addresses, and a replica may listen on both."""
    assert await look_up("localhost", 7001) == {"127.0.0.1:7001"}
    with pytest.raises(OSError, match=r"."):
        await look_up("nowhere.invalid", 7001)


async def test_a_name_is_looked_up_again() -> None:
    names = Names("10.0.0.1:7001", "10.0.0.2:7001")
    async with following(names) as channels:
        await asyncio.wait_for(channels.wait_any(), 5)
        assert set(names.asked) == {("replicas.example", 7001)}
        first = list(channels.order)
        assert sorted(first) == ["10.0.0.1:7001", "10.0.0.2:7001"]
        names.answer = ("10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7001")
        await eventually(lambda: len(channels.order) == 3)
        assert channels.order == [*first, "10.0.0.3:7001"], "nodes may not have found the new one yet"


async def test_an_address_that_the_name_lost_is_closed_when_nobody_uses_it() -> None:
    names = Names("10.0.0.1:7001", "10.0.0.2:7001")
    async with following(names) as channels:
        await channels.wait_any()
        channel = channels["10.0.0.1:7001"]
        gone = asyncio.create_task(channels.wait_gone("10.0.0.1:7001"))
        stays = asyncio.create_task(channels.wait_gone("10.0.0.2:7001"))
        names.answer = ("10.0.0.2:7001",)
        await asyncio.wait_for(gone, 5)
        assert "10.0.0.1:7001" not in channels
        channels.failed("10.0.0.1:7001")  # a caller may have just tried it
        assert channels.order == ["10.0.0.2:7001"]
        await eventually(lambda: channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN)
        assert not stays.done()
        stays.cancel()


@pytest.mark.parametrize("trouble", [(), OSError("the name server is away"), UnicodeError("label too long")])
async def test_a_failing_name_server_removes_nothing(trouble: Collection[str] | Exception) -> None:
    names = Names("10.0.0.1:7001")
    async with following(names) as channels:
        await channels.wait_any()
        names.answer = trouble
        await names.asked_again()
        assert channels.order == ["10.0.0.1:7001"]
        names.answer = ("10.0.0.9:7001",)
        await eventually(lambda: channels.order == ["10.0.0.9:7001"])


async def test_an_address_that_comes_back_keeps_its_channel() -> None:
    names = Names("10.0.0.1:7001", "10.0.0.2:7001")
    async with following(names) as channels:
        await channels.wait_any()
        await names.asked_again()
        names.answer = ("10.0.0.2:7001",)
        await channels.wait_gone("10.0.0.1:7001")
        names.answer = ("10.0.0.1:7001", "10.0.0.2:7001")
        await eventually(lambda: "10.0.0.1:7001" in channels)
        assert channels["10.0.0.1:7001"].get_state() is not grpc.ChannelConnectivity.SHUTDOWN
        assert channels.order == ["10.0.0.2:7001", "10.0.0.1:7001"]


async def test_a_channel_that_cannot_be_closed_is_logged_and_look_ups_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names("10.0.0.1:7001", "10.0.0.2:7001")
    async with following(names) as channels:
        await channels.wait_any()

        async def fail() -> None:
            raise ValueError("still in use")

        monkeypatch.setattr(channels["10.0.0.1:7001"], "close", fail)
        with capture_logs() as logs:
            names.answer = ("10.0.0.2:7001",)
            await channels.wait_gone("10.0.0.1:7001")
            await eventually(lambda: any(line.get("reason") == "ValueError('still in use')" for line in logs))
        names.answer = ("10.0.0.3:7001",)
        await eventually(lambda: channels.order == ["10.0.0.3:7001"])


@pytest.mark.parametrize("every_ms", [50, 1000])
def test_no_wait_between_tries_is_longer(every_ms: int) -> None:
    assert {name.split("_")[0] for name, _ in reconnecting(every_ms)} == {"grpc.initial", "grpc.min", "grpc.max"}
    assert max(ms for _, ms in reconnecting(every_ms)) == every_ms


async def test_an_address_that_is_lost_just_when_certificates_are_renewed_is_no_fault(tmp_path: Path) -> None:
    await asyncio.to_thread(make_certificates, tmp_path)
    names = ["10.0.0.1:7001", "10.0.0.2:7001"]

    class Told(ReplicaAddresses):
        async def follow(self, on_found: Callable[[frozenset[str]], object]) -> None:
            self.found = on_found
            on_found(frozenset(names))
            await asyncio.Event().wait()

    class Renewed(Tls):
        """Just when they are, the name loses an address, and the look-up after that closes its channel."""

        def current(self) -> Pem:
            if renewed.is_set() and super().current() is self._pem:
                renewed.clear()
                self._pem = Pem(*astuple(self._pem))
                for _ in range(2):
                    asyncio.get_running_loop().call_soon(told.found, frozenset(names[1:]))
            return self._pem

    renewed, told = asyncio.Event(), Told("dns:replicas.example:7001", 5)
    tls = Renewed(*files(tmp_path, "comment-service"))
    with capture_logs() as lines:
        channels = ReplicaChannels(told, tls)
        following = asyncio.create_task(channels.follow())
        await channels.wait_any()
        old = channels[names[1]]
        renewed.set()
        await eventually(lambda: channels[names[1]] is not old)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await channels.close()
    assert not [line for line in lines if line["log_level"] in ("warning", "error")], lines
