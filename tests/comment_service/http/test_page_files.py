"""PageFiles: the page with headers that let nothing foreign run"""

from tests.comment_service.conftest import StartService


async def test_the_page(start_service: StartService) -> None:
    running = await start_service()
    async with running.http.get("/") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        etag = answer.headers["etag"]
    async with running.http.get("/", headers={"if-none-match": etag}) as answer:
        assert answer.status == 304
    async with running.http.get("/page/app.js") as answer:
        assert answer.status == 200
        assert "javascript" in answer.content_type
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_nothing_else_is_a_file(start_service: StartService) -> None:
    running = await start_service()
    for path in ("/page/", "/page", "/page/../config.py", "/page/%2e%2e/config.py", "/page/%00", "/page/" + "x" * 5000):
        async with running.http.get(running.url + path) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "unknown_path"), path
    async with running.http.post("/page/app.js") as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
