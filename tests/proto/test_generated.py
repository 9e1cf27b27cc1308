"""proto/*_pb2*: what is committed is what the .proto files give"""

import subprocess
from pathlib import Path

from tests.test_house import ROOT


def test_the_generated_files_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "protoc", tmp_path], check=True, capture_output=True)
    made = sorted((tmp_path / "proto").iterdir())
    assert len(made) == 6
    for path in made:
        assert (ROOT / "proto" / path.name).read_text() == path.read_text(), f"run scripts/protoc: {path.name}"


def test_every_call_says_what_it_promises() -> None:
    for line, before in zip(
        lines := (ROOT / "proto/dispatch.proto").read_text().splitlines(), ["", *lines], strict=False
    ):
        if line.strip().startswith("rpc "):
            assert before.strip().startswith("//"), line
