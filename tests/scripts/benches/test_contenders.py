"""scripts/benches/contenders.py"""

import pytest

from scripts.benches.contenders import CONTENDERS


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_says_what_it_is(name: str) -> None:
    assert CONTENDERS[name].name == name
    assert CONTENDERS[name].about


def test_ours_comes_first() -> None:
    assert next(iter(CONTENDERS)) == "rms"
