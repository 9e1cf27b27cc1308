"""What nodes are silent for, beside what the balancers' configurations take for dead"""

import re
from pathlib import Path

import pytest

from rms.config import RmsSettings

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize(
    ("file", "limit"),
    [
        ("nginx/nginx.conf", r"proxy_read_timeout (\d+)s;"),
        ("haproxy/haproxy.cfg", r"timeout server (\d+)s"),
        ("envoy/envoy.yaml", r"stream_idle_timeout: (\d+)s"),
    ],
)
def test_no_balancer_takes_a_silent_node_for_dead(file: str, limit: str) -> None:
    """A heartbeat may be lost; and a long poll is answered when its time is over. nginx takes a node out for one."""
    (limit_s,) = map(int, re.findall(limit, (DEPLOY / file).read_text()))
    settings = RmsSettings.parse([])
    assert limit_s > 2 * settings.heartbeat_ms / 1000
    assert limit_s >= settings.poll_wait_s_max + 5
