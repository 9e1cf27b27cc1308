"""python -m scripts.benches.watchdog PORT:PID...: the longest time for which each service's event loop was held.

Each is asked for /health/live again and again, over one connection. What it takes to answer is the hold, less the times
for which the kernel let the asked process or this one wait for a processor (/proc/PID/schedstat): on a machine that
others load these would be most of it. A line on stdin is answered by the longest holds so far, in ms by port; then it
begins anew.
"""

import asyncio
import sys
import time
from pathlib import Path

import msgspec
import uvloop

PAUSE_S = 0.005
REQUEST = b"GET /health/live HTTP/1.1\r\nhost: bench\r\n\r\n"


def waited_ns(pid: int | str) -> int:
    """For a processor, by the process's main thread"""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])


async def watch(port: str, pid: str, longest_ms: dict[str, float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    while True:
        waits_ns = waited_ns(pid) + waited_ns("self")
        asked_ns = time.monotonic_ns()
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        taken_ns = time.monotonic_ns() - asked_ns
        waits_ns = waited_ns(pid) + waited_ns("self") - waits_ns
        longest_ms[port] = max(longest_ms.get(port, 0.0), (taken_ns - waits_ns) / 1e6)
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
        await asyncio.sleep(PAUSE_S)


async def run(targets: list[str]) -> None:
    """Until stdin ends"""
    longest_ms: dict[str, float] = {}
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with asyncio.TaskGroup() as group:
        pairs = (target.partition(":")[::2] for target in targets)
        watches = [group.create_task(watch(port, pid, longest_ms)) for port, pid in pairs]
        while await orders.readline():
            print(msgspec.json.encode(longest_ms).decode(), flush=True)
            longest_ms.clear()
        for each in watches:
            each.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1:]))
