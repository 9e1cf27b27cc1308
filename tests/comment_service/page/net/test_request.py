"""request.js turns every failure of the service, a proxy or the network into a sentence and a time."""

import pytest
from playwright.async_api import Page

from tests.comment_service.page.modules import call

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ = "const error = await it.errorOf(new Response(given.body, {status: given.status, headers: given.headers}));"


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "expected"),
    [
        (503, '{"error": {"code": "x", "message": "the store is away"}}', "3", ["The store is away.", 3000, True]),
        (422, '{"error": {"code": "x", "message": "Too long!"}}', "", ["Too long!", 0, False]),
        (429, "", "0.5", ["The server answered 429.", 500, True]),
        (502, "<html>Bad gateway</html>", "Wed, 21 Oct 2026 07:28:00 GMT", ["The server answered 502.", 0, True]),
        (503, "null", "86400", ["The server answered 503.", 300_000, True]),
        (404, '{"error": {"message": 7}}', "-1", ["The server answered 404.", 0, False]),
        (408, "{}", "1", ["The server answered 408.", 1000, True]),
    ],
)
async def test_an_error_response_gives_the_reason_and_the_time_to_retry(
    modules: Page, status: int, body: str, retry_after: str, expected: list[object]
) -> None:
    headers = {"retry-after": retry_after} if retry_after else {}
    given = {"status": status, "body": body, "headers": headers}
    code = f"{READ} return [error.message, error.retryAfterMs, error.isTemporary];"
    assert await call(modules, "net/request.js", code, given) == expected


async def test_no_response_is_a_service_error_and_an_abort_is_not(modules: Page) -> None:
    await modules.route("**/nobody", lambda route: route.abort("connectionrefused"))
    code = "try { await it.request('/nobody', {timeoutMs: 5000, signal: given ? AbortSignal.abort() : undefined}); } "
    code += "catch (error) { return [error.name, error.message]; }"
    assert await call(modules, "net/request.js", code, False) == ["Error", "No server answers."]
    assert (await call(modules, "net/request.js", code, True))[0] == "AbortError"


async def test_a_response_that_takes_too_long_is_a_service_error(modules: Page) -> None:
    await modules.route("**/silent", lambda route: None)
    code = "return it.request('/silent', {timeoutMs: 50}).catch((error) => error.message);"
    assert await call(modules, "net/request.js", code) == "No server answers."
    await modules.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("missing", [["any"], ["any", "timeout"]])
async def test_older_browsers_get_an_answer_and_a_time_out_too(modules: Page, missing: list[str]) -> None:
    """Safari before 17.4 has no AbortSignal.any, before 16 no AbortSignal.timeout."""
    await modules.evaluate("void (window.kept = {any: AbortSignal.any, timeout: AbortSignal.timeout})")
    try:
        await modules.evaluate("(missing) => missing.forEach((name) => delete AbortSignal[name])", missing)
        answered = "return (await it.request('/page/icon.svg', {timeoutMs: 5000, "
        answered += "signal: new AbortController().signal})).status;"
        assert await call(modules, "net/request.js", answered) == 200
        await modules.route("**/silent", lambda route: None)
        silent = "return it.request('/silent', {timeoutMs: 50}).catch((error) => [error.message, error.isTemporary]);"
        assert await call(modules, "net/request.js", silent) == ["No server answers.", True]
    finally:
        await modules.evaluate("void Object.assign(AbortSignal, window.kept)")
        await modules.unroute_all(behavior="ignoreErrors")


async def test_a_body_that_is_cut_off_is_a_service_error_and_an_abort_is_not(modules: Page) -> None:
    """Also when the time-out cuts it: the headers alone are no answer."""
    code = """window.fetch = async (url, {signal}) => new Response(new ReadableStream({start(body) {
        body.enqueue(new TextEncoder().encode('{"id":'));
        signal.addEventListener("abort", () => body.error(new DOMException("cut", "AbortError")));
    }}));
    const stop = new AbortController();
    if (given) setTimeout(() => stop.abort(), 50);
    const options = {timeoutMs: given ? 60000 : 50, signal: stop.signal};
    try { await it.requestJson("/cut", options); } catch (error) { return [error.name, error.message]; }"""
    await modules.evaluate("window.kept = window.fetch")
    try:
        assert await call(modules, "net/request.js", code, False) == ["Error", "The server's answer was incomplete."]
        assert (await call(modules, "net/request.js", code, True))[0] == "AbortError"
    finally:
        await modules.evaluate("window.fetch = window.kept")


async def test_paths_lead_below_the_pages_own_prefix(modules: Page) -> None:
    path = await call(modules, "net/request.js", "return new URL(it.urlOf('/comments/a%20b')).pathname;")
    assert path == "/comments/a%20b"
