"""Authors who post at a steady rate, with Idempotency-Keys, and ask the next comment_service when one fails."""

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from scripts.benches.accounts import Posted, text_of
from scripts.benches.asking import post
from scripts.benches.authors import Connect, Connection
from scripts.benches.config import PartitionSettings


class _Comment(msgspec.Struct):
    id: str


class KeyedAuthors:
    def __init__(
        self, services: Mapping[str, Connect], videos: Sequence[str], run: str, settings: PartitionSettings
    ) -> None:
        """services: by name, how to connect to each. run: makes the keys unlike those of other runs."""
        self.posted: dict[str, dict[int, Posted]] = {video: {} for video in videos}  # acknowledged, by video and number
        self.errors: Counter[str] = Counter()  # answers that were no 200, by status; and posts that were given up
        self.cut = 0  # posts whose connection ended, or that had no answer in time
        self._services = services
        self._videos = videos
        self._run = run
        self._settings = settings
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)

    async def post(self, seconds: float) -> None:
        """Returns when all that was begun is answered, or given up."""
        start_s = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(round(self._settings.rate * seconds)):
                    due_s = start_s + number / self._settings.rate
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                    group.create_task(self._post(number, due_s))
        finally:
            for connection in itertools.chain(*self._idle.values()):
                connection.close()

    async def _post(self, number: int, due_s: float) -> None:
        video = self._videos[number % len(self._videos)]
        body = f'{{"liveVideoId":"{video}","message":"{text_of(number)}","author":{{"name":"u{number}"}}}}'
        request = post("/comment/create", body, idempotency_key=f"{self._run}-{number}").encode()
        names = list(self._services)
        turn = number // len(self._videos) % len(names)
        first = names[turn]
        for name in itertools.cycle((*names[turn:], *names[:turn])):
            if time.monotonic() > due_s + self._settings.give_up_s:
                break
            if answer := await self._ask(name, request):
                comment_id = msgspec.json.decode(answer, type=_Comment).id
                self.posted[video][number] = Posted(comment_id, due_s, time.monotonic(), first)
                return
            await asyncio.sleep(self._settings.again_s)
        self.errors["given up"] += 1

    async def _ask(self, name: str, request: bytes) -> bytes:
        """The 200's body; empty: there was none"""
        idle = self._idle[name]
        connection = idle.pop() if idle else Connection(self._services[name])
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                status, answer = await connection.ask(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            connection.close()
            self.cut += 1
            return b""
        except BaseException:
            connection.close()
            raise
        idle.append(connection)
        if status == "200":
            return answer
        self.errors[status] += 1
        return b""
