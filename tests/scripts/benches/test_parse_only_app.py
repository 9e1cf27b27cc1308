"""The app beside which ours is measured answers what ours would"""

from typing import Any

from scripts.benches.parse_only_app import ANSWER, PAGE, app


async def ask(method: str, path: str, body: bytes = b"") -> bytes:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return b"".join(message.get("body", b"") for message in sent)


async def test_it_answers() -> None:
    assert await ask("POST", "/comment/create", b'{"message":"hi"}') == ANSWER
    assert await ask("GET", "/comments/demo") == PAGE
