"""Fixtures of the tests with real balancers: a real browser, and a certificate that the tests' clients trust."""

from pathlib import Path

import pytest

from scripts.balancers import make_certificates
from tests.browser_fixture import chromium, open_page, steady_network

__all__ = ["certificates", "chromium", "open_page", "steady_network"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and with both.pem as balancers read it: certificate and key in one file"""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder
