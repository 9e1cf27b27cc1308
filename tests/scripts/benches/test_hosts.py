"""Hosts reach each other, every cut is silent and one-way where it should be, and nothing of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from scripts.benches.hosts import Hosts, needs
from scripts.benches.running import BenchFailed
from scripts.processes import ROOT
from tests.network_lock import network_changes
from tests.serving import serving as listening

if missing := needs():
    pytest.skip(missing, allow_module_level=True)

OWN = f"lc{os.getpid()}"  # what the names of all that this process makes begin with
PORT, OTHER_PORT = 8000, 8001
SILENT_S = 0.3
"""A try that gets no answer for so long, where others take a millisecond: nothing tells the sender more"""


@pytest.fixture(autouse=True)
def changing_network() -> Iterator[None]:
    with network_changes():
        yield


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts(["a", "b", "c"]) as made:
        yield made


@asynccontextmanager
async def serving(hosts: Hosts, name: str, port: int) -> AsyncIterator[list[str]]:
    """Gives the addresses from which bytes have come."""
    heard: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1):
            heard.append(hosts.name_of(writer.get_extra_info("peername")[0]))
            writer.write(data)

    listener = hosts.socket_of(name)
    listener.bind((hosts.address(name), port))
    async with listening(talk, listener=listener):
        yield heard


async def reaches(hosts: Hosts, source: str, target: str, port: int = PORT) -> bool:
    """False: there is silence. Raises OSError if the sender is told anything."""
    made = hosts.socket_of(source)
    try:
        async with asyncio.timeout(SILENT_S):
            await asyncio.get_running_loop().sock_connect(made, (hosts.address(target), port))
            return True
    except TimeoutError:
        return False
    finally:
        made.close()


async def test_a_cut_host_is_silent_until_it_is_joined(hosts: Hosts) -> None:
    async with serving(hosts, "b", PORT), serving(hosts, "c", PORT):
        assert await reaches(hosts, "a", "b")
        hosts.cut("b")
        assert not await reaches(hosts, "a", "b")
        assert not await reaches(hosts, "b", "c")
        assert await reaches(hosts, "a", "c")
        hosts.join("b")
        assert await reaches(hosts, "a", "b")


async def test_one_way_is_cut_and_the_other_is_open(hosts: Hosts) -> None:
    loop = asyncio.get_running_loop()
    async with serving(hosts, "b", PORT) as heard, serving(hosts, "c", PORT):
        made = hosts.socket_of("a")
        await loop.sock_connect(made, (hosts.address("b"), PORT))
        hosts.cut_way("b", "a")
        await loop.sock_sendall(made, b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENT_S):
                await loop.sock_recv(made, 1)
        assert heard == ["a"]  # it has come
        assert await reaches(hosts, "b", "c")
        hosts.open_way("b", "a")
        assert await loop.sock_recv(made, 1) == b"x"
        made.close()


async def test_a_cut_port_leaves_the_others_open(hosts: Hosts) -> None:
    async with serving(hosts, "b", PORT), serving(hosts, "b", OTHER_PORT):
        hosts.cut_port("b", PORT)
        assert not await reaches(hosts, "a", "b")
        assert await reaches(hosts, "a", "b", OTHER_PORT)
        hosts.open_port("b", PORT)
        assert await reaches(hosts, "a", "b")


def test_a_process_runs_on_its_host(hosts: Hosts) -> None:
    command = hosts.command("b", ["ip", "-br", "-4", "address", "show", "eth0"])
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f" {hosts.address('b')}/24" in shown
    assert hosts.name_of(f"{hosts.address('b')}:80") == "b"
    assert hosts.name_of("127.0.0.1:80") == ""


def left_over() -> tuple[str, str]:
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    return spaces, subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout


def test_nothing_is_left_also_after_an_error() -> None:
    hosts = Hosts(["a"])

    def fail() -> None:
        with hosts:
            assert all(OWN in text for text in left_over())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not any(OWN in text for text in left_over())


def test_a_failed_beginning_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(["a", "b"])
    monkeypatch.setattr(hosts, "_mac", lambda number: "no address")
    with pytest.raises(BenchFailed, match="no address"), hosts:
        pass
    assert not any(OWN in text for text in left_over())


def test_what_a_killed_bench_has_left_is_removed_by_the_next_one() -> None:
    code = "import os; from scripts.benches.hosts import Hosts; Hosts(['a']).__enter__(); os.kill(os.getpid(), 9)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as killed:
        assert killed.wait() == -signal.SIGKILL
        name = f"lc{killed.pid}"
        assert all(name in text for text in left_over())
    with Hosts(["a"]):
        assert not any(name in text for text in left_over())
