"""Config: what can't work is refused before anything starts"""

import pytest

from comment_service.config import Config


def parse(*argv: str) -> Config:
    return Config.parse(argv)


def test_the_defaults_fit_together() -> None:
    config = parse()
    assert config.listen == "127.0.0.1:8000"
    assert config.admission().message_characters_max == 500
    assert config.connection_limits().head_timeout_s == 10
    assert config.publish_settings().pacing.after == config.publish_pace_after


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECOMMENTS_COMMENT_SERVICE_NODE", "7")
    monkeypatch.setenv("LIVECOMMENTS_COMMENT_SERVICE_DISPATCHERS", "a:1,b:2")
    assert parse().node == 7
    assert parse().dispatchers == "a:1,b:2"
    assert parse("--node", "8").node == 8


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--node", "1024"], "--node: "),
        (["--listen", "nowhere"], "--listen: "),
        (["--dispatchers", "a:1,,b:2"], "--dispatchers: "),
        (["--author-bytes-max", "129"], "--author-bytes-max: "),
        (["--retry-after-min-s", "9"], "--retry-after-max-s is below"),
        (["--pagesize-max", "5"], "--pagesize-max is below"),
        (["--cache-late-ms", "9999"], "--cache-late-ms is below 10000"),
    ],
)
def test_what_can_not_be_used_is_said(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(*argv)
    assert exit_.value.code == 2
    assert words in capsys.readouterr().err


def test_every_setting_says_its_unit_and_reason() -> None:
    for name, field in Config.model_fields.items():
        assert field.description, name
        assert len(field.description) > 20, name


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse().node = 2
