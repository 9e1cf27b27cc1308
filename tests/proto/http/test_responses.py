"""proto/http/responses.py: the form of errors and health answers"""

import json

from proto.http.responses import error_response, health_response


def test_an_error_has_a_code_and_a_message() -> None:
    response = error_response(422, "too_long", "at most 500 characters", {"retry-after": "1"})
    assert (response.status_code, response.headers["retry-after"]) == (422, "1")
    assert json.loads(bytes(response.body)) == {"error": {"code": "too_long", "message": "at most 500 characters"}}


def test_health_is_never_cached() -> None:
    well, ill = health_response(True, {"a": 1}), health_response(False, {})
    assert (well.status_code, json.loads(bytes(well.body))) == (200, {"status": "ok", "a": 1})
    assert (ill.status_code, json.loads(bytes(ill.body))) == (503, {"status": "unavailable"})
    assert well.headers["cache-control"] == "no-store"
