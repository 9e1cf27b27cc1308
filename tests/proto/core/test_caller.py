"""proto/core/caller.py: only what trusted proxies have written is believed"""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proto.core.caller import Caller, Callers, ProxyHeaders, parse_networks

PROXY, REAL = "10.0.0.1", "203.0.113.9"


def callers(
    trusted: str = "10.0.0.0/8,fd00::/8", headers: ProxyHeaders = "x-forwarded", unlimited: str = ""
) -> Callers:
    return Callers(parse_networks(trusted), parse_networks(unlimited), headers)


def behind(known: Callers, *lines: tuple[str, str], proxy: str = PROXY) -> Caller:
    return known.behind(known.of_peer(proxy, "http"), [(name.encode(), value.encode()) for name, value in lines])


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (REAL, REAL),
        (f"1.2.3.4, {REAL}", REAL),
        (f"{REAL}, 10.0.0.7, 10.9.9.9", REAL),
        (f"{REAL}:4711", REAL),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", REAL),
        ("10.0.0.7", "10.0.0.7"),  # all are ours: the first one has called
        ("", PROXY),
        ("unknown", PROXY),
        (f"{REAL}, nonsense", PROXY),
        (f"{REAL}, unknown, 10.0.0.7", "10.0.0.7"),
        ("1.2.3", PROXY),
        ("fe80::1%eth0", PROXY),
    ],
)
def test_the_first_address_that_is_no_proxy_of_ours_is_the_caller(told: str, address: str) -> None:
    assert behind(callers(), ("x-forwarded-for", told)).address == address


@pytest.mark.parametrize(
    ("told", "caller"),
    [
        (f"for={REAL}", (REAL, "http", None)),
        (f"For={REAL};Proto=HTTPS;host=live.example", (REAL, "https", "live.example")),
        (f'for="[2001:db8::1]:47011";proto=https, for="{REAL}:80"', (REAL, "http", None)),
        (f"for={REAL};proto=https, for=10.0.0.7;proto=http", (REAL, "https", None)),
        ("for=_hidden", (PROXY, "http", None)),
        ('for="unclosed, for=1.2.3.4', (PROXY, "http", None)),
        (f"for={REAL};proto=gopher;host=<b>", (REAL, "http", None)),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(told: str, caller: tuple[str, str, str | None]) -> None:
    found = behind(callers(headers="forwarded"), ("forwarded", told))
    assert (found.address, found.scheme, found.host) == caller


@given(st.text(max_size=60))
@example('for="')
@example("1.2.3.4, ")
def test_nothing_that_a_stranger_writes_makes_him_another(prefix: str) -> None:
    """The proxy appends to what it gets: with a comma, or in a line of its own."""
    stranger = prefix.encode("latin-1", "replace").decode("latin-1").replace("\n", "").replace("\r", "")
    for lines in (
        [("x-forwarded-for", f"{stranger}, {REAL}")],
        [("x-forwarded-for", stranger), ("x-forwarded-for", REAL)],
        [("forwarded", f"for={stranger}"), ("x-forwarded-for", REAL)],
    ):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in lines]
        known = callers()
        assert known.behind(known.of_peer(PROXY, "http"), encoded).address == REAL
    known = callers(headers="forwarded")
    encoded = [(b"forwarded", f"{stranger}, for={REAL}".encode("latin-1")), (b"x-forwarded-for", b"9.9.9.9")]
    assert known.behind(known.of_peer(PROXY, "http"), encoded).address in (REAL, PROXY)


def test_scheme_and_host_are_the_nearest_proxys() -> None:
    lines = [
        ("x-forwarded-for", REAL),
        ("x-forwarded-proto", "http, HTTPS"),
        ("x-forwarded-host", "evil, live.example:8443"),
    ]
    assert behind(callers(), *lines)[2:4] == ("https", "live.example:8443")
    assert behind(callers(), ("x-forwarded-for", REAL), ("x-forwarded-proto", "javascript"))[2:4] == ("http", None)


@given(st.ip_addresses(v=6))
def test_a_household_has_one_key(address: ipaddress.IPv6Address) -> None:
    neighbour = ipaddress.IPv6Address(int(address) ^ 0xFFFF_FFFF)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        keys = {callers(trusted="").of_peer(str(each), "http").key for each in (address, neighbour)}
        assert len(keys) == 1
        assert str(keys.pop()).endswith("/64")


def test_unlimited_networks_have_no_key() -> None:
    known = callers(unlimited="127.0.0.0/8,::1,203.0.113.0/24")
    assert [known.of_peer(each, "http").key for each in ("127.0.0.1", "::1", "::2", "9.9.9.9", "")] == [
        *(None, None, "::/64", "9.9.9.9", None),
    ]
    assert behind(known, ("x-forwarded-for", REAL)).key is None


def test_a_wrong_network_is_said() -> None:
    assert len(parse_networks(" 10.0.0.0/8, ::1 ,")) == 2
    for wrong in ("10.0.0.1/8", "localhost", "10.0.0.0/33"):
        with pytest.raises(ValueError, match="write networks as"):
            parse_networks(wrong)
