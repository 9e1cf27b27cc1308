"""scripts/plan.py: the commands fit together, and the ports stay free."""

import socket
from pathlib import Path

import pytest

from proto.core.caller import Callers, parse_networks
from scripts.plan import EPHEMERAL_RANGE, Plan, free_or_other, free_ports, is_free, make_plan, ports_of


def plan(*, dispatchers: int = 2, rms: int = 2, comment_services: int = 2) -> Plan:
    return make_plan(
        dispatchers=dispatchers,
        rms=rms,
        comment_services=comment_services,
        store="sqlite:/data/comments.db",
        data=Path("/data"),
        ports=range(7000, 7000 + ports_of(dispatchers=dispatchers, rms=rms, comment_services=comment_services)),
        log_format="json",
        more_flags=lambda role: ("--capacity", "5") if role == "rms" else (),
    )


def flag(command: tuple[str, ...], name: str) -> str:
    return command[command.index(name) + 1]


def test_every_process_has_an_address_of_its_own() -> None:
    parts = [part for group in plan().parts for part in group]
    assert [part.name for part in parts] == [
        *("dispatcher-1", "dispatcher-2", "rms-1", "rms-2", "comment-service-1", "comment-service-2")
    ]
    assert [flag(part.command, "--listen") for part in parts] == [f"127.0.0.1:{port}" for port in range(7000, 7006)]
    assert plan().base_url == "http://127.0.0.1:7004"
    operators = ["", "", *(f"127.0.0.1:{port}" for port in range(7006, 7010))]
    assert [part.operators for part in parts] == operators
    assert [flag(part.command, "--operators-listen") for part in parts[2:]] == operators[2:]


def test_rms_and_comment_service_know_every_dispatcher_and_one_store() -> None:
    for part in (*plan()["rms"], *plan()["comment-service"]):
        assert flag(part.command, "--dispatchers") == "127.0.0.1:7000,127.0.0.1:7001"
        assert flag(part.command, "--store") == "sqlite:/data/comments.db"


def test_comment_services_never_share_a_number_or_a_state_folder() -> None:
    services = plan(comment_services=3)["comment-service"]
    assert [flag(part.command, "--node") for part in services] == ["0", "1", "2"]
    assert len({flag(part.command, "--state-dir") for part in services}) == 3


def test_others_are_served_on_the_host_and_dispatchers_stay_local() -> None:
    many = make_plan(
        dispatchers=1,
        rms=1,
        door=True,
        host="fd00::7",
        store="sqlite:x",
        data=Path("/data"),
        ports=range(7000, 7007),
        log_format="json",
    )
    assert [part.address for group in many.parts for part in group] == [
        *("127.0.0.1:7000", "[fd00::7]:7001", "[fd00::7]:7002", "[fd00::7]:7003")
    ]
    assert flag(many["rms"][0].command, "--public-url") == "http://[fd00::7]:7002"
    assert many["rms"][0].operators == "127.0.0.1:7004"


def test_each_process_may_have_a_host_of_its_own() -> None:
    apart = make_plan(
        dispatchers=2,
        rms=1,
        host_of=lambda role, number: f"{role}-{number}.test",
        store="sqlite:x",
        data=Path("/data"),
        ports=(7000, 7000, 9000, 8000, 9001, 9001),
        log_format="json",
    )
    assert [part.address for group in apart.parts for part in group] == [
        *("dispatcher-1.test:7000", "dispatcher-2.test:7000", "rms-1.test:9000", "comment-service-1.test:8000")
    ]
    assert flag(apart["rms"][0].command, "--public-url") == "http://rms-1.test:9000"
    assert apart["rms"][0].operators == "rms-1.test:9001"
    assert flag(apart["rms"][0].command, "--dispatchers") == "dispatcher-1.test:7000,dispatcher-2.test:7000"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "192.0.2.20", "fd00::7"])
def test_who_calls_from_this_machine_has_no_limits(host: str) -> None:
    """Whoever calls an address of his own machine comes from that address."""
    planned = make_plan(
        dispatchers=1,
        rms=1,
        store="sqlite:x",
        data=Path("/data"),
        ports=range(7000, 7005),
        log_format="json",
        host=host,
    )
    for role in ("rms", "comment-service"):
        callers = Callers((), parse_networks(flag(planned[role][0].command, "--unlimited-networks")), "x-forwarded")
        own = "127.0.0.9" if host == "localhost" else host
        assert [callers.of_peer(each, "http").key is None for each in (own, "::1", "192.0.2.21")] == [True, True, False]


def test_more_flags_go_to_their_role() -> None:
    assert flag(plan()["rms"][0].command, "--capacity") == "5"
    assert "--capacity" not in plan()["dispatcher"][0].command


def test_free_ports_are_free_distinct_and_not_for_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(map(is_free, ports))
    lowest = int(EPHEMERAL_RANGE.read_text().split()[0])
    if lowest > 12000:
        assert max(ports) < lowest


def test_a_taken_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not is_free(taken.getsockname()[1])


def test_a_taken_port_is_replaced() -> None:
    free, promised = free_ports(2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = free_or_other([free, port, promised], promised=[promised])
    with socket.create_server(("127.0.0.2", port)):
        assert free_or_other([port], host="127.0.0.2") != [port], "it is free on 127.0.0.1 only"
    assert ports[0] == free
    assert not {port, promised} & set(ports)
    assert len(set(ports)) == 3


async def test_a_process_that_is_not_there_is_not_ready() -> None:
    (port,) = free_ports(1)
    for part in filter(None, plan(dispatchers=1, rms=1, comment_services=1).parts):
        here = type(part[0])(part[0].role, 1, f"127.0.0.1:{port}", f"127.0.0.1:{port}", ())
        assert not await here.is_ready()
        assert f"127.0.0.1:{port}" in await here.trouble(), "where nobody answers"


@pytest.mark.parametrize("role", ["dispatcher", "rms", "comment-service"])
def test_a_role_may_have_no_process(role: str) -> None:
    counts = {"dispatchers": int(role != "dispatcher"), "rms": int(role != "rms")}
    counts["comment_services"] = int(role != "comment-service")
    assert plan(**counts)[role] == ()
