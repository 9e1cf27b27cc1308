"""docs/page.md shows a picture of each state."""

import re

from tests.comment_service.page.pictures import FOLDER
from tests.comment_service.page.states import STATES
from tests.test_house import ROOT


def test_the_docs_show_each_state() -> None:
    text = (ROOT / "docs" / "page.md").read_text()
    assert re.findall(r"\]\(page/(\w+)-light\.webp\)", text) == [state.name for state in STATES]
    shown = set(re.findall(r"\]\(page/([\w-]+\.webp)\)", text))
    assert shown == {path.name for path in FOLDER.iterdir()}, "run scripts/pictures"
