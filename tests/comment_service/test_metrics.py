"""What Prometheus gets"""

from prometheus_client.parser import text_string_to_metric_families

from history.store import StoreUnavailable
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.waiting import eventually


async def scrape(running: RunningService) -> dict[str, float]:
    async with running.operators.get("/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_happened_is_counted(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await start_service(dispatchers=dispatcher.address)
    for headers in ({}, {}, {"idempotency-key": "a key"}):
        said = {"videoId": "demo", "message": "hi"}
        async with running.http.post("/comment/create", json=said, headers=headers) as answer:
            assert answer.status == 200
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": ""}) as answer:
        assert answer.status == 422
    for _ in range(2):
        async with running.http.get("/comments/demo") as answer:
            assert answer.status == 200
    await eventually(lambda: len(dispatcher.published) == 3)
    await eventually(lambda: running.service.publisher.statistics().published == 3)
    await eventually(lambda: bool(running.service.replicas.nodes))
    now = await scrape(running)
    assert now["comment_service_dispatcher_nodes 1"] == 1
    assert now["comment_service_accepted_total"] == 3
    assert now["comment_service_claimed_keys_total"] == now["comment_service_claims_total"] == 1
    assert now["comment_service_pending_keys"] == now["comment_service_pending_comments"] == 0
    assert now["comment_service_refused_total message_empty"] == 1
    assert now["comment_service_durable_seconds_count"] == now["comment_service_durable_seconds_bucket +Inf"] == 3
    assert now["comment_service_published_total"] == 3
    assert now["comment_service_replica 1"] == 1
    assert now["comment_service_cache_misses_total"] == 1
    assert now["comment_service_cache_hits_total"] >= 1
    assert now["comment_service_cache_bytes"] > 0
    assert now["comment_service_spool_comments"] == now["comment_service_spool_age_seconds"] == 0
    assert now["comment_service_store_away"] == 0


async def test_the_spool_shows(start_service: StartService) -> None:
    running = await start_service(drain_retry_min_ms=60_000, drain_retry_max_ms=60_000)

    async def away(*_: object) -> None:
        raise StoreUnavailable("cut off by the test")

    running.service.lazy_store.append = away  # type: ignore[method-assign, assignment]
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
        assert answer.status == 200
    now = await scrape(running)
    assert (now["comment_service_spool_comments"], now["comment_service_store_away"]) == (1, 1)
    assert 0 < now["comment_service_spool_bytes"] < now["comment_service_spool_bytes_max"]
