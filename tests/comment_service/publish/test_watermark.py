"""Watermark: a file that is always whole, and a lock"""

from pathlib import Path

import pytest

from comment_service.publish.watermark import Saved, StateDirInUse, Watermark


@pytest.fixture
def watermark(tmp_path: Path) -> Watermark:
    return Watermark(tmp_path, 3)


def test_the_first_start_has_none(watermark: Watermark) -> None:
    assert watermark.read() is None


def test_what_was_written_is_read(watermark: Watermark) -> None:
    watermark.write(0x018F3C4E5A6B7C8D)
    assert watermark.read() == Saved(0x018F3C4E5A6B7C8D, clean=False)
    watermark.write(7, clean=True)
    assert watermark.read() == Saved(7, clean=True)
    watermark.ids_up_to = 99
    watermark.write(8)
    assert watermark.read() == Saved(8, clean=False, ids_up_to=99)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"xyz\n", b"018f", b"\xff\xfe", b"f" * 16, b"clean", b"0" * 16 + b" ids-up-to-x"]
)
def test_a_broken_file_counts_as_none(watermark: Watermark, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "published-node3").write_bytes(content)
    assert watermark.read() is None


def test_nodes_have_files_of_their_own(tmp_path: Path) -> None:
    Watermark(tmp_path, 1).write(1)
    Watermark(tmp_path, 2).write(2)
    assert Watermark(tmp_path, 1).read() == Saved(1, clean=False)


def test_two_processes_can_not_be_the_same_node(tmp_path: Path) -> None:
    state_dir = tmp_path / "made" / "as needed"
    first = Watermark(state_dir, 3).hold()
    with pytest.raises(StateDirInUse, match=r"node 3 .*its own --node"):
        Watermark(state_dir, 3).hold()
    Watermark(state_dir, 4).hold().release()
    first.release()
    Watermark(state_dir, 3).hold().release()


def test_a_folder_that_can_not_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Watermark(tmp_path / "file", 0).hold()
    with pytest.raises(OSError, match="absent"):
        Watermark(tmp_path / "absent", 0).write(1)


def test_it_is_held_in_the_folder_that_is_there_now(tmp_path: Path) -> None:
    """Its disk was mounted anew, below a process that goes on."""
    folder = tmp_path / "state"
    watermark = Watermark(folder, 3).hold()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="state"):
        watermark.write(1)
    assert not folder.exists()
    other = Watermark(folder, 3).hold()
    with pytest.raises(OSError, match="another comment_service"):
        watermark.write(1)
    other.release()
    watermark.write(1)
    with pytest.raises(StateDirInUse):
        Watermark(folder, 3).hold()
    watermark.release()
