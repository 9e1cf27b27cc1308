"""The state folder's word: its processes have it one after the other, and a copy doesn't have it"""

import shutil
import socket
from pathlib import Path

import pytest

from comment_service.node.holding import (
    HOLDER_FILE,
    begin_life,
    forget_word,
    is_leased,
    lease_file,
    leased_ms,
    save_lease,
)


def test_each_start_is_a_later_generation_of_the_folders_word(tmp_path: Path) -> None:
    lives = [begin_life(tmp_path / "state") for _ in range(3)]
    assert [each.generation for each in lives] == [1, 2, 3]
    assert len({each.word for each in lives}) == 1
    assert len({each.life for each in lives}) == 3


def test_a_copied_folder_has_a_word_of_its_own_and_no_lease(tmp_path: Path) -> None:
    word = begin_life(tmp_path / "state")
    save_lease(tmp_path / "state", 3, word, 1_000)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    assert leased_ms(tmp_path / "state", 3, 400) == 600
    assert not is_leased(tmp_path / "copy", 3, 400)
    copy = begin_life(tmp_path / "copy")
    assert (copy.word != word.word, copy.generation) == (True, 1)
    assert not is_leased(tmp_path / "copy", 3, 400)
    assert begin_life(tmp_path / "state").word == word.word


def test_a_copy_of_the_whole_disk_on_another_host_has_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word = begin_life(tmp_path)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert begin_life(tmp_path).word != word.word


def test_an_earlier_releases_word_is_kept(tmp_path: Path) -> None:
    (tmp_path / HOLDER_FILE).write_text("0123456789abcdef\n")
    assert begin_life(tmp_path)[:2] == ("0123456789abcdef", 1)
    forget_word(tmp_path)
    forget_word(tmp_path)
    assert begin_life(tmp_path).word != "0123456789abcdef"


@pytest.mark.parametrize("text", ["", " ", "a b", "a x y", "a 1 1:2:nowhere", "a 1 2 3"])
def test_a_spoilt_word_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / HOLDER_FILE).write_text(text)
    lease_file(tmp_path, 3).write_text("1000 a")
    assert not is_leased(tmp_path, 3, 0)
    assert begin_life(tmp_path).generation == 1
