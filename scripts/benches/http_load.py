"""Asks one server as fast as it answers, over a fixed number of connections: requests/s, latency, and CPU of both ends.

The asking is done by asker.c, a process that costs 10 to 20 µs of CPU a request, nearly all of it the kernel's: on a
machine with two cores one is left for the server.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping

import msgspec

from scripts.benches import procfs
from scripts.benches.building import build
from scripts.processes import ROOT

NUMBER = b"#" * 16
"""In a request it becomes the number of the request, with leading zeros."""

_TETHER = str(ROOT / "scripts" / "tether.py")
_SPARE_S = 10.0  # for the asker's connections and its sorting


class LoadFailed(Exception):
    """The asker has ended early; its last words say why."""


class _Answered(msgspec.Struct, frozen=True):
    """asker.c's last line"""

    requests: int
    failed: int
    seconds: float
    own_cpu_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class LoadFigures(msgspec.Struct, frozen=True):
    requests: int
    failed: int  # answers that are not 200 or 304, and connections that ended
    per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    own_cpu_us: float  # of the asker, for one request
    cpu_us: dict[str, float]  # of each watched process, for one request


def post(path: str, body: bytes, **headers: str) -> bytes:
    """A POST of JSON, ready to send"""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{lines}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n\r\n" % path.encode()


async def load(
    port: int,
    request: bytes,
    *,
    connections: int,
    seconds: float,
    warm_s: float = 1.0,
    watched: Mapping[str, int] | None = None,
) -> LoadFigures:
    """Takes the seconds, and before them those in which the server warms up and nothing counts.

    watched: names and pids of processes on this machine. Raises LoadFailed, CannotBuild.
    """
    times = (str(int(warm_s * 1000)), str(int(seconds * 1000)))
    asker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-E", _TETHER, str(os.getpid()), str(build("asker")), str(port), str(connections)),
        *times,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is for us
    )
    try:
        async with asyncio.timeout(warm_s + seconds + _SPARE_S):
            figures = await _listen(asker, request, watched or {})
            await asker.wait()
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            asker.kill()
        await asker.wait()
        if isinstance(error, TimeoutError):
            raise LoadFailed("the asker didn't end in time") from None
        raise
    return figures


async def _listen(asker: asyncio.subprocess.Process, request: bytes, watched: Mapping[str, int]) -> LoadFigures:
    assert asker.stdin
    assert asker.stdout
    assert asker.stderr
    asker.stdin.write(request)
    asker.stdin.close()
    await asker.stdout.readline()  # it is warm
    before = {name: procfs.cpu_s(pid) for name, pid in watched.items()}
    line = await asker.stdout.readline()
    if not line:
        raise LoadFailed((await asker.stderr.read()).decode().strip() or "the asker has ended")
    used = {name: procfs.cpu_s(pid) - before[name] for name, pid in watched.items()}
    got = msgspec.json.decode(line, type=_Answered)
    each_us = 1e6 / max(got.requests, 1)
    return LoadFigures(
        requests=got.requests,
        failed=got.failed,
        per_s=got.requests / got.seconds,
        p50_ms=got.p50_ms,
        p99_ms=got.p99_ms,
        max_ms=got.max_ms,
        own_cpu_us=got.own_cpu_s * each_us,
        cpu_us={name: cpu_s * each_us for name, cpu_s in used.items()},
    )
