"""proto/tls.py: files that were replaced are read again, and what is half written changes nothing."""

import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proto import tls as tls_module
from proto.tls import Tls, client_context
from tests.certificates import files, make_certificates, tls_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_certificates(tmp_path)
    return tmp_path


def test_contents_stay_the_same_object_until_they_change(folder: Path) -> None:
    tls = tls_of(folder, "rms")
    first = tls.current()
    certificate, key, authority = (Path(name) for name in files(folder, "rms"))
    assert (first.certificate, first.key, first.authority) == (
        *(certificate.read_bytes(), key.read_bytes(), authority.read_bytes()),
    )
    certificate.touch()
    assert tls.current() is first
    with capture_logs() as logs:
        make_certificates(folder)
        second = tls.current()
        assert tls.current() is second
    assert second.certificate == certificate.read_bytes() != first.certificate
    assert second.authority == first.authority
    assert [line["event"] for line in logs] == ["certificates renewed"]


@pytest.mark.parametrize("spoiled", ["other key", "half a certificate", "half an authority", "no file", "empty"])
def test_what_is_half_written_is_told_once_and_tried_again(folder: Path, spoiled: str) -> None:
    tls = tls_of(folder, "rms")
    first = tls.current()
    make_certificates(folder)
    certificate, key, authority = (Path(name) for name in files(folder, "rms"))
    path, contents = {
        "other key": (key, (folder / "dispatcher.key").read_bytes()),
        "half a certificate": (certificate, certificate.read_bytes()[:300]),
        "half an authority": (authority, authority.read_bytes() * 2),
        "no file": (key, b""),
        "empty": (certificate, b""),
    }[spoiled]
    whole = path.read_bytes()
    path.write_bytes(contents[:-100] if spoiled == "half an authority" else contents)
    if spoiled == "no file":
        path.unlink()
    with capture_logs() as logs:
        for _ in range(3):
            assert tls.current() is first
    assert [line["log_level"] for line in logs] == ["warning"]
    path.write_bytes(whole)
    renewed = tls.current()
    assert renewed is not first
    assert renewed.certificate == certificate.read_bytes()


def test_at_the_start_files_must_be_right(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key, authority = files(folder, "rms")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Tls("nowhere", key, authority)
    with pytest.raises(OSError, match=r"rms\.pem, .*dispatcher\.key, .* are no certificate, its key and an authority"):
        Tls(certificate, str(folder / "dispatcher.key"), authority)
    with pytest.raises(OSError, match="are no certificate, its key and an authority"):
        Tls(certificate, key, key)
    monkeypatch.setattr(tls_module, "PEM_BYTES_MAX", 100)
    with pytest.raises(OSError, match="has more than 100 bytes"):
        Tls(certificate, key, authority)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(folder: Path) -> None:
    certificate, key, authority = files(folder, "rms")
    locked = folder / "locked.key"
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:secret"], check=True)
    with pytest.raises(OSError, match="are no certificate"):
        Tls(certificate, str(locked), authority)


def test_names_in_a_bundle_need_not_be_ascii(folder: Path) -> None:
    authority = folder / "ca.pem"
    authority.write_bytes("Autorität\n".encode() + authority.read_bytes())
    assert len(client_context(Tls("", "", str(authority)).current()).get_ca_certs()) == 1
