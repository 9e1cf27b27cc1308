"""scripts/replay as a user starts it, against a small service that can lose and double comments."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.replaying import VERDICT, replay


class Service:
    """Accepts comments and sends them to every open stream. Refuses empty ones.

    Where it is unrealistic: no history and no resuming. loses, doubles: messages that it loses or sends twice.
    """

    def __init__(self, *, loses: str = "", doubles: str = "") -> None:
        self.posted: list[str] = []
        self._loses, self._doubles = loses, doubles
        self._queues: list[asyncio.Queue[bytes]] = []

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        message = body["message"]
        if not message.strip():
            return web.json_response({"error": {"code": "message_empty", "message": "say something"}}, status=422)
        self.posted.append(message)
        comment_id = f"{len(self.posted):016x}"
        times = 0 if message == self._loses else 2 if message == self._doubles else 1
        for queue in self._queues:
            for _ in range(times):
                queue.put_nowait(f'id: {comment_id}\ndata: {{"id": "{comment_id}"}}\n\n'.encode())
        return web.json_response({"id": comment_id})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.append(queue)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(await queue.get())

    async def live(self, request: web.Request) -> web.Response:
        return web.Response()


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/comment/create", service.create)
    app.router.add_get("/comments/{video}", service.stream)
    app.router.add_get("/health/live", service.live)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
def log(tmp_path: Path) -> str:
    texts = ["one", "two", "three", "", "five"]
    lines = [json.dumps({"t": t // 3 * 60, "user": "ann", "text": text}) for t, text in enumerate(texts)]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([*lines, "no json"]))
    return str(path)


async def test_a_replay_without_a_loss(log: str) -> None:
    service = Service()
    async with served(service) as base:
        result = await replay(log, "--base", base, "--speed", "600", "--viewers", "3", "--verify")
    assert result.code == 0, result
    assert VERDICT.fullmatch(result.last_line), result.out
    assert result.last_line.startswith("lost=0 doubled=0 disordered=0 ")
    assert service.posted == ["one", "two", "three", "five"]
    for words in ("posted        5", "acknowledged  4", "refused       2", "1 message_empty", "1 not a comment"):
        assert words in result.out


@pytest.mark.parametrize(
    ("service", "verdict"),
    [
        (Service(loses="two"), "lost=2 doubled=0 disordered=0"),
        (Service(doubles="three"), "lost=0 doubled=2 disordered=0"),
    ],
)
async def test_a_fault_is_found_and_fails(service: Service, verdict: str, log: str) -> None:
    async with served(service) as base:
        result = await replay(
            *(log, "--base", base, "--speed", "600", "--viewers", "2", "--verify", "--settle-s", "0.3")
        )
    assert result.code == 1, result
    assert result.last_line.startswith(verdict)


async def test_json_for_programs_and_a_limit(log: str) -> None:
    service = Service()
    async with served(service) as base:
        result = await replay(
            *(log, "--base", base, "--speed", "600", "--viewers", "1", "--verify", "--json", "--limit", "2")
        )
    summary = json.loads(result.out)
    assert (summary["posted"], summary["acknowledged"], summary["verify"]["lost"]) == (2, 2, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--verify"], "--verify needs viewers"),
        (["--video", "no spaces"], "is no video id"),
        (["--base", "http://127.0.0.1:1"], "nobody answers at http://127.0.0.1:1"),
        (["--speed", "0"], "--speed"),
    ],
)
async def test_wrong_arguments_are_explained(arguments: list[str], words: str, log: str) -> None:
    result = await replay(log, *arguments)
    assert result.code == 2
    assert words in result.err
    assert "Traceback" not in result.err


async def test_a_file_without_comments_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("12:00 <ann> hi\n")
    result = await replay(str(path))
    assert result.code == 2
    assert "no line of it is a comment; line 1:" in result.err
