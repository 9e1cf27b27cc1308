"""proto/settings.py: flags, environment, defaults, and clear error messages."""

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from proto.settings import Address, Addresses, Settings, is_wildcard, join_address, split_address


class Example(Settings):
    """An example."""

    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")
    listen: Address = Field("127.0.0.1:1", description="host:port")
    others: Addresses = Field("a:1", description="host:port of the others")
    wait_ms: int = Field(5, gt=0, description="ms to wait")


def test_flags_then_environment_then_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_WAIT_MS", "7")
    monkeypatch.setenv("EXAMPLE_OTHERS", "a:1,[::1]:2")
    assert Example.parse(["--listen", "x:2"]).model_dump() == {
        "log_level": "info",
        "log_format": "auto",
        "log_lines_per_s_max": 50,
        "gc_objects": 20_000,
        "listen": "x:2",
        "others": "a:1,[::1]:2",
        "wait_ms": 7,
    }


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--wait-ms", "0"], "--wait-ms: Input should be greater than 0; it was '0'"),
        (["--listen", "nowhere"], "--listen: "),
        (["--listen", "x:99999"], "--listen: Value error, there is no port 99999; ports end at 65535"),
        (["--others", "a:1,"], "--others: "),
        (["--others", "a:1,[::1]:65536"], "--others: Value error, there is no port 65536; ports end at 65535"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_an_invalid_flag_is_named_and_the_exit_code_is_2(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Example.parse(argv)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Example.parse(["--help"])
    text = capsys.readouterr().out
    for words in ("An example.", "--wait-ms", "ms to wait (default: 5)", "EXAMPLE_LOG_LEVEL"):
        assert words in text


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError):
        Example.parse([]).wait_ms = 6


def test_addresses() -> None:
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:80") == ("::1", 80)
    for address in ("127.0.0.1:80", "[::1]:65535", "here:0"):
        assert join_address(*split_address(address)) == address


def test_wildcards() -> None:
    assert all(map(is_wildcard, ("0.0.0.0:80", "[::]:80", "[0:0::0]:80")))
    assert not any(map(is_wildcard, ("127.0.0.1:80", "[::1]:80", "here:80", "0.0.0.0.example:80")))
