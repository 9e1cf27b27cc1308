"""Asks one server as fast as it answers, over a fixed number of connections: requests/s, latency, and CPU of both ends.

asker.c does the asking. It costs 10 to 20 µs of CPU a request, nearly all of it the kernel's: on a machine with two
cores one is left for the server.
"""

from collections.abc import Mapping

import msgspec

from scripts.benches import procfs
from scripts.benches.building import build
from scripts.benches.config import HistorySettings
from scripts.benches.running import BenchFailed, Child

NUMBER, TURN = "#" * 12, "@" * 6
"""In a request they become the number of the request, and that number modulo `turns`, with leading zeros."""


class _Answered(msgspec.Struct, frozen=True):
    """asker.c's last line"""

    requests: int
    failed: int  # answers that are not 200 or 304, and connections that ended
    seconds: float
    own_cpu_s: float
    p99_ms: float


class Asked(msgspec.Struct, frozen=True):
    """What came of one load"""

    requests: int
    per_s: float
    p99_ms: float
    cpu_us: dict[str, float]  # of each watched process and the asker, for one request


def post(path: str, body: str, **headers: str) -> str:
    """A POST of JSON, ready to send"""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{lines}"
    return f"{head}content-length: {len(body.encode())}\r\n\r\n{body}"


def get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n\r\n"


async def ask(port: int, request: str, watched: Mapping[str, int], settings: HistorySettings, turns: int = 1) -> Asked:
    """Takes settings.seconds, and before them those in which the server warms up and nothing counts.

    watched: names and pids of processes on this machine. Raises BenchFailed if a request fails.
    """
    times = (str(int(settings.warm_s * 1000)), str(int(settings.seconds * 1000)))
    command = (str(build("asker")), str(port), str(settings.connections), *times, request, str(turns))
    async with Child("asker", command) as asker:
        await asker.answer(dict[str, bool], settings.warm_s + settings.spare_s)  # it is warm
        before = {name: procfs.cpu_s(pid) for name, pid in watched.items()}
        got = await asker.answer(_Answered, settings.seconds + settings.spare_s)
        used = {name: procfs.cpu_s(pid) - before[name] for name, pid in watched.items()} | {"asker": got.own_cpu_s}
    if got.failed or not got.requests:
        raise BenchFailed(f"{got.failed} of {got.requests} requests failed")
    cpu_us = {name: cpu_s / got.requests * 1e6 for name, cpu_s in used.items()}
    return Asked(got.requests, got.requests / got.seconds, got.p99_ms, cpu_us)
