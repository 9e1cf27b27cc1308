"""Rights: only the whole token opens"""

import pytest

from comment_service.core.errors import ErasingOff, NotAuthorized
from comment_service.core.rights import Rights

WRONG = [None, "", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "secret", "Bearer \udcff"]


@pytest.mark.parametrize("authorization", WRONG)
def test_a_wrong_token_opens_nothing(authorization: str | None) -> None:
    rights = Rights("secret")
    for require in (rights.require_to_moderate, rights.require_to_lead_videos):
        with pytest.raises(NotAuthorized):
            require(authorization)


@pytest.mark.parametrize("authorization", ["Bearer secret", "bearer secret"])
def test_the_right_one_opens(authorization: str) -> None:
    Rights("secret").require_to_moderate(authorization)
    Rights("secret").require_to_lead_videos(authorization)


@pytest.mark.parametrize("token", ["Schlüssel à", "ключ", "鍵", "\udcff"])
def test_letters_beyond_ascii(token: str) -> None:
    rights = Rights(token)
    sent = token.encode("utf-8", "surrogateescape")
    rights.require_to_moderate(f"Bearer {sent.decode('latin-1')}")
    with pytest.raises(NotAuthorized):
        rights.require_to_moderate(f"Bearer {sent[:-1].decode('latin-1')}")


def test_letters_that_a_browser_sends_as_latin_1() -> None:
    Rights("Schlüssel").require_to_moderate("Bearer Schlüssel")


@pytest.mark.parametrize("authorization", [*WRONG, "Bearer secret"])
def test_without_a_token_erasing_is_off_and_videos_are_anybodys(authorization: str | None) -> None:
    with pytest.raises(ErasingOff):
        Rights("").require_to_moderate(authorization)
    Rights("").require_to_lead_videos(authorization)
