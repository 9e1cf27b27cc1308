"""What the tests of every service expect of each response for browsers' sake"""

from collections.abc import Mapping

from proto.http.browser_headers import HEADERS, POLICY, POLICY_OF_DATA

HSTS = "strict-transport-security"


def assert_browsers_are_told(headers: Mapping[str, str], what: object, policy: str = POLICY_OF_DATA) -> None:
    """headers: of a response, each name once. what: was asked for"""
    told = {name: headers.get(name) for name in (*HEADERS, POLICY)}
    assert told == {**HEADERS, POLICY: policy}, what


def headers_of(head: bytes) -> dict[str, str]:
    """Of a response's head, whose names must differ"""
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]]
    names = [name.lower() for name, _, _ in lines]
    assert len(names) == len(set(names)), names
    return {name.lower(): value for name, _, value in lines}
