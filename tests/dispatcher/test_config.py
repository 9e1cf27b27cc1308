"""dispatcher/config.py: numbers that contradict each other are refused, and everything has a reason."""

import pytest
from pydantic import ValidationError

from comment_service.config import Config as ServiceConfig
from dispatcher.config import Config
from rms.upstream.link import MESSAGE_BYTES_MAX


def test_the_defaults_keep_what_the_protocol_promises() -> None:
    config = Config.model_validate({})
    assert config.lease_ms == 2000
    assert config.keepalive_ms + config.keepalive_timeout_ms <= 2000
    assert config.registry_limits().placement.nearly_full < 1
    assert config.link_limits().deliver_bytes_max < 4 << 20


def test_a_lease_holds_at_least_two_beats() -> None:
    with pytest.raises(ValidationError, match="at least twice beat_ms"):
        Config.model_validate({"lease_ms": 900, "beat_ms": 500})


def test_a_batch_fits_into_a_message() -> None:
    with pytest.raises(ValidationError, match="would never arrive"):
        Config.model_validate({"batch_bytes_max": 9 << 20})


LARGEST = ServiceConfig.parse(()).outbox_limits()
"""A comment_service can't be told to send larger batches than by default: test_no_service_sends_more"""


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ("batch_bytes_max", LARGEST.batch_bytes_max),
        ("batch_events_max", LARGEST.batch_events_max),
        ("message_bytes_max", 50_000 * 140),  # a hello
    ],
)
def test_no_replica_can_be_told_to_refuse_what_healthy_peers_send(setting: str, sent: int) -> None:
    """It would be sent again for ever, and all behind it wait."""
    with pytest.raises(ValidationError, match="greater than or equal"):
        Config.model_validate({setting: sent - 1})


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ("publish_batch_bytes_max", LARGEST.batch_bytes_max),
        ("publish_batch_max", LARGEST.batch_events_max),
    ],
)
def test_no_service_sends_more(setting: str, sent: int) -> None:
    with pytest.raises(ValidationError, match="less than or equal"):
        ServiceConfig.model_validate({setting: sent + 1})


def test_no_node_is_sent_a_message_that_it_refuses() -> None:
    largest = Config.model_validate({"deliver_bytes_max": 8 << 20, "sums_max": 50_000})
    assert largest.deliver_bytes_max + largest.sums_max * 140 < MESSAGE_BYTES_MAX
    for setting, more in (("deliver_bytes_max", (8 << 20) + 1), ("sums_max", 50_001)):
        with pytest.raises(ValidationError, match="less than or equal"):
            Config.model_validate({setting: more})


def test_every_setting_says_what_it_is_for() -> None:
    for name, setting in Config.model_fields.items():
        assert setting.description, name


def test_flags_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECOMMENTS_DISPATCHER_BEAT_MS", "250")
    config = Config.parse(["--listen", "127.0.0.1:0", "--replica-id", "d1"])
    assert (config.listen, config.replica_id, config.beat_ms) == ("127.0.0.1:0", "d1", 250)


def test_a_wrong_flag_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Config.parse(["--lease-ms", "soon"])
    assert ended.value.code == 2
    assert "--lease-ms" in capsys.readouterr().err
