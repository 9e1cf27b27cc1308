"""proto/*_pb2*: the committed files are those that scripts/protoc makes from the .proto files."""

import subprocess
from pathlib import Path

from tests.test_house import ROOT


def test_the_generated_files_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "protoc", tmp_path], check=True, capture_output=True)
    made = sorted((tmp_path / "proto").iterdir())
    assert len(made) == 6
    for path in made:
        assert (ROOT / "proto" / path.name).read_text() == path.read_text(), f"run scripts/protoc: {path.name}"


def test_every_call_has_a_comment() -> None:
    for line, before in zip(
        lines := (ROOT / "proto/dispatch.proto").read_text().splitlines(), ["", *lines], strict=False
    ):
        if line.strip().startswith("rpc "):
            assert before.strip().startswith("//"), line
