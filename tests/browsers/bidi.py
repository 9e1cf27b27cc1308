"""Speaks W3C WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/) with Firefox, which needs no driver beside it.

Playwright has BiDi, too, but its own Firefox can't be had everywhere, and it asks for commands that Debian's lacks.
"""

import asyncio
import json
from typing import Any

import aiohttp

COMMAND_S = 30


class BidiError(Exception):
    """The browser's answer to a command that it could not do, or an exception of a script."""


class Bidi:
    """A session. One command at a time is under way."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._lock = asyncio.Lock()
        self._last = 0
        self.complaints: list[str] = []  # errors in the console, of all pages: of scripts, and of the security policy

    async def send(self, method: str, **params: Any) -> Any:
        """Returns the command's result."""
        async with self._lock, asyncio.timeout(COMMAND_S):
            self._last += 1
            await self._socket.send_json({"id": self._last, "method": method, "params": params})
            while True:
                answer = await self._socket.receive_json()
                if answer.get("id") == self._last:
                    break
                self._note(answer)
        if answer["type"] == "error":
            raise BidiError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    async def call(self, context: str, function: str, given: tuple[object, ...]) -> Any:
        """Calls a JavaScript function, which may be asynchronous, with JSON values; returns its value."""
        answer = await self.send(
            "script.callFunction",
            functionDeclaration=f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)))",
            arguments=[{"type": "string", "value": json.dumps(given)}],
            target={"context": context},
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise BidiError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "log.entryAdded" and event["params"]["level"] == "error":
            self.complaints.append(event["params"]["text"])
