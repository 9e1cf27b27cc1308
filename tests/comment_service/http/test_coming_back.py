"""An EventSource that comes back while no node can be placed: proto/http/come_again.py in this service"""

from scripts.sse_client import SseParser
from tests.comment_service.conftest import StartService


async def test_an_event_source_that_comes_back_comes_again(start_service: StartService) -> None:
    """Another status than 200 would end it for good."""
    alone = await start_service()
    headers = {"accept": "text/event-stream", "Last-Event-ID": "0000000000000001", "Origin": "http://a.example"}
    async with alone.http.get("/comments/demo", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["access-control-allow-origin"] == "*"
        parser = SseParser()
        assert parser.feed(await answer.read()) == []
        assert 1000 <= (parser.retry_ms or 0) <= 5000
