"""Fixtures of the tests with real balancers: a real browser, and a certificate that the tests' clients trust."""

import subprocess
from pathlib import Path

import pytest

from scripts.processes import ROOT
from tests.browser_fixture import chromium, open_page

__all__ = ["certificates", "chromium", "open_page"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and with edge.pem as balancers read it: certificate and key in one file"""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([ROOT / "scripts" / "certs", folder], check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "edge.pem").read_text() + (folder / "edge.key").read_text())
    return folder
