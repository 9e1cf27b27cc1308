"""proto/cassandra_settings.py: what belongs together is given together, and no secret is shown."""

import pytest

from comment_service.config import Config
from proto.settings import Settings
from rms.config import RmsSettings

SECRET = "hunter2"


@pytest.mark.parametrize(("service", "prefix"), [(Config, "COMMENT_SERVICE"), (RmsSettings, "RMS")])
def test_both_services_take_them_from_the_environment(
    service: type[Config] | type[RmsSettings], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LIVECOMMENTS_{prefix}_CASSANDRA_USER", "comments")
    monkeypatch.setenv(f"LIVECOMMENTS_{prefix}_CASSANDRA_PASSWORD", SECRET)
    settings = service.parse([])
    access = settings.store_settings().cassandra_access
    assert access is not None
    assert (access.cassandra_user, access.cassandra_password) == ("comments", SECRET)
    assert access.cassandra_tls_check_host, "on, unless it is switched off"
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--cassandra-user u", "--cassandra-user has no password: give --cassandra-password-file"),
        (f"--cassandra-password {SECRET}", "there is a password for Cassandra and no user: give --cassandra-user"),
        (f"--cassandra-user u --cassandra-password {SECRET} --cassandra-password-file f", "are two passwords"),
        ("--cassandra-tls-ca a --cassandra-tls-cert c", "--cassandra-tls-cert and --cassandra-tls-key belong together"),
        ("--cassandra-tls-cert c --cassandra-tls-key k", "give --cassandra-tls-ca, too"),
        (
            f"--cassandra-user u --cassandra-password {SECRET}\n",
            "--cassandra-password: Value error, it must be one line",
        ),
        (f"--cassandra-user u --cassandra-password {SECRET} --listen nowhere", "--listen: "),
    ],
)
@pytest.mark.parametrize("service", [Config, RmsSettings])
def test_what_does_not_fit_together_is_said_without_the_password(
    service: type[Settings], argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        service.parse(argv.split(" "))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert SECRET not in said
