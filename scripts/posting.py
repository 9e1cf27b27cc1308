"""Posts comments through the public API as a careful client does: one key for all tries, and Retry-After is obeyed."""

from dataclasses import dataclass

import aiohttp
import msgspec
import tenacity
from yarl import URL

from scripts.config import POST, PostSettings
from scripts.sse_client import retry_after_s


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The service's 200: the comment is durable under this id (16 hex digits)."""

    comment_id: str
    tries: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The service's 4xx: the comment is wrong, and a retry would not help."""

    code: str
    message: str


class GaveUp(Exception):
    """Neither a 200 nor a refusal came in the time that the settings allow. The comment may or may not be stored."""


class _TryAgain(Exception):
    def __init__(self, reason: str, wait_s: float) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Poster:
    """Posts to one video."""

    def __init__(self, session: aiohttp.ClientSession, base: str, video: str, *, settings: PostSettings = POST) -> None:
        self._session = session
        self._url = URL(base) / "comment" / "create"
        self._video = video
        self._settings = settings
        self._backoff = tenacity.wait_random_exponential(settings.wait_first_s, settings.wait_max_s)

    async def post(self, name: str, message: str, key: str) -> Acknowledged | Refusal:
        """Retries with the same Idempotency-Key after lost connections, 5xx and 429. Raises GaveUp."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((aiohttp.ClientError, TimeoutError, OSError, _TryAgain)),
            wait=self._wait_s,
            stop=tenacity.stop_before_delay(self._settings.give_up_s),
        )
        body: dict[str, object] = {"liveVideoId": self._video, "message": message, "author": {"name": name}}
        try:
            async for attempt in attempts:
                with attempt:
                    return await self._try(body, key, attempt.retry_state.attempt_number)
        except tenacity.RetryError as over:
            error = over.last_attempt.exception()
            raise GaveUp(str(error) or type(error).__name__) from error
        raise AssertionError("tenacity ends with a result or an error")

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.wait_s if isinstance(error, _TryAgain) else 0.0
        return max(asked_s, self._backoff(state))

    async def _try(self, body: dict[str, object], key: str, tries: int) -> Acknowledged | Refusal:
        async with self._session.post(
            self._url,
            data=msgspec.json.encode(body),
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
            timeout=aiohttp.ClientTimeout(total=self._settings.answer_timeout_s),
        ) as response:
            content = await response.read()
            if response.status == 200:
                return Acknowledged(_comment_id(content), tries)
            code, message = _error(content)
            if response.status == 429 or response.status >= 500:
                raise _TryAgain(f"{response.status}: {message}", retry_after_s(response))
            return Refusal(code or str(response.status), message)


class _Comment(msgspec.Struct):
    id: str


class _Reason(msgspec.Struct):
    code: str
    message: str


class _Error(msgspec.Struct):
    error: _Reason


def _comment_id(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Comment).id
    except msgspec.DecodeError as error:
        raise _TryAgain(f"a 200 without a comment: {error}", 0) from error


def _error(content: bytes) -> tuple[str, str]:
    """The code and the message of an error's JSON. Without such JSON (a proxy's response): no code, and the text."""
    try:
        reason = msgspec.json.decode(content, type=_Error).error
    except msgspec.DecodeError:
        return "", content[:300].decode(errors="replace")
    return reason.code, reason.message
