"""ErrorResponses and Faults, where no path of the API leads to them"""

import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from comment_service.core.errors import NoPlace
from comment_service.http.error_responses import ErrorResponses, Faults

ANSWERS = ErrorResponses(retry_after_min_s=2, retry_after_max_s=4)
SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def nothing_comes() -> Message:
    raise AssertionError("nothing is read")


async def test_retry_after_is_spread() -> None:
    answers = [await ANSWERS.service_error(Request(SCOPE), NoPlace()) for _ in range(100)]
    assert {answer.headers["retry-after"] for answer in answers} == {"2", "3", "4"}


async def test_starlettes_own_refusals_have_our_form() -> None:
    answer = await ANSWERS.http_exception(Request(SCOPE), HTTPException(401, "who are you?", {"x": "y"}))
    assert (answer.status_code, answer.headers["x"]) == (401, "y")
    assert json.loads(bytes(answer.body)) == {"error": {"code": "unauthorized", "message": "who are you?"}}


async def test_half_an_answer_does_not_become_a_whole_one() -> None:
    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        await Faults(breaks_off)(SCOPE, nothing_comes, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
