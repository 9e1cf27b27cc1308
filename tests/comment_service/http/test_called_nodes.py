"""called_nodes.py and page_policy.py: what browsers would refuse is said once, and nothing else"""

import pytest
from structlog.testing import capture_logs

from comment_service.http.called_nodes import CalledNodes
from comment_service.http.page_policy import THIS_MACHINE, may_call


@pytest.mark.parametrize(
    ("source", "origin", "may"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "https://a.example:443", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example:8443", "https://a.example:8443", True),
        ("https://a.example:*", "https://a.example:8443", True),
        ("https://*.a.example", "https://rms-1.a.example", True),
        ("https://*.a.example", "https://a.example", False),
        ("https://*.a.example", "https://nota.example", False),
        ("http:", "http://[::1]:8101", True),
        ("https:", "http://[::1]:8101", False),
        (THIS_MACHINE[0], "http://127.0.0.1:8101", True),
        (THIS_MACHINE[0], "http://127.0.0.2:8101", False),
    ],
)
def test_sources_are_read_as_browsers_do(source: str, origin: str, may: bool) -> None:
    assert may_call([source], origin) is may


def test_a_node_that_the_page_may_not_call_is_named_once() -> None:
    nodes = CalledNodes(["https://*.live.example"])
    with capture_logs() as logs:
        for _ in range(2):
            nodes.look("https://rms-1.live.example/comments/v", "page.example")
            nodes.look("https://page.example/n/rms-1/comments/v", "page.example")
            nodes.look("/n/rms-1/comments/v", "page.example")
            nodes.look("http://10.0.0.1:8101/comments/v", "page.example")
    assert [log["node"] for log in logs] == ["http://10.0.0.1:8101"]
