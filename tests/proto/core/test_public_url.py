"""proto/core/public_url.py"""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.core.public_url import has_path, is_public_url

ORIGIN = "https://example.org"


@pytest.mark.parametrize("url", ["http://rms-1:8000", "https://[::1]:443", "http://127.0.0.1:80/"])
def test_an_origin(url: str) -> None:
    assert is_public_url(url)
    assert not has_path(url)


@pytest.mark.parametrize("url", ["/n/rms-1", "/live/n/rms-1/", "https://example.org/live/n/rms-1"])
def test_a_path(url: str) -> None:
    assert is_public_url(url)
    assert has_path(url)


@pytest.mark.parametrize(
    "url", ["", "/", "//a", "/n//a", "/n/a?b", "/n/a#b", "/n/a b", "/n/ä", "n/a", "ftp://a", "http://"]
)
def test_none(url: str) -> None:
    assert not is_public_url(url)
    assert not has_path(url)


@given(st.text("/:.anx~@?#\\\n ", max_size=12))
def test_a_path_stays_in_the_origin(text: str) -> None:
    if text.startswith("/") and is_public_url(text):
        whole = urlsplit(urljoin(ORIGIN, f"{text.rstrip('/')}/comments/v"))
        assert f"{whole.scheme}://{whole.netloc}" == ORIGIN
        assert whole.path.endswith("/comments/v")
