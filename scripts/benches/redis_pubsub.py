"""Redis Pub/Sub, to compare a replica with: Debian's redis-server, in memory only, and its redis-py with hiredis.

Debian's Python runs that client, as our own has it not: the locks hold no package for the benches alone.
"""

import asyncio
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from scripts.benches.config import DispatcherSettings
from scripts.benches.running import BenchFailed, Child, Program, listens, running
from scripts.plan import free_ports

BYTES = 200
PYTHON = "/usr/bin/python3"

_SUBSCRIBE = """
import sys, redis
subscription, came = redis.Redis(port=int(sys.argv[1])).pubsub(), 0
subscription.subscribe("bench")
for message in subscription.listen():
    if message["type"] == "subscribe":
        print("{}", flush=True)
    elif message["data"] == b"end":
        print(came, flush=True)
        sys.stdin.read()
    else:
        came += 1
"""
_PUBLISH = f"""
import sys, time, redis
client, count, end_s = redis.Redis(port=int(sys.argv[1])), 0, time.monotonic() + float(sys.argv[2])
while time.monotonic() < end_s:
    pipeline = client.pipeline(transaction=False)
    for _ in range(100):
        pipeline.publish("bench", b"x" * {BYTES})
    pipeline.execute()
    count += 100
client.publish("bench", b"end")
print(count, flush=True)
sys.stdin.read()
"""


async def missing() -> str:
    """Why it can't be measured; empty if it can"""
    for command in (("redis-server", "--version"), (PYTHON, "-c", "import redis, hiredis")):
        try:
            process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
        except FileNotFoundError:
            break
        if await process.wait():
            break
    else:
        return ""
    return (
        "Redis isn't measured: it isn't installed. Debian, Ubuntu: "
        "sudo apt-get install redis-server python3-redis python3-hiredis"
    )


async def throughput(settings: DispatcherSettings) -> float:
    """Messages/s from one publisher, a hundred in a pipeline, to two subscribers, until both have read all. Raises
    BenchFailed."""
    async with _a_server() as port, AsyncExitStack() as stack:
        subscribers = [Child("redis subscriber", (PYTHON, "-c", _SUBSCRIBE, str(port))) for _ in range(2)]
        for subscriber in subscribers:
            await stack.enter_async_context(subscriber)
            await subscriber.answer(dict[str, int], settings.nodes_timeout_s)
        publisher = Child("redis publisher", (PYTHON, "-c", _PUBLISH, str(port), str(settings.seconds)))
        started_s = asyncio.get_running_loop().time()
        await stack.enter_async_context(publisher)
        count = await publisher.answer(int, settings.nodes_timeout_s)
        came = [await subscriber.answer(int, settings.nodes_timeout_s) for subscriber in subscribers]
        seconds = asyncio.get_running_loop().time() - started_s
    if came != [count, count]:
        raise BenchFailed(f"Redis has lost messages: of {count}, {came} came")
    return count / seconds


@asynccontextmanager
async def _a_server() -> AsyncIterator[int]:
    port = free_ports(1)[0]
    command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    async with running([[Program("redis-server", command, partial(listens, port))]]):
        yield port
