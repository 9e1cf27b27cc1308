"""Checks that the docs match the code: docs/files.md lists every file, docs/limits.md every setting.

`python -m tests.test_docs` writes both anew.
"""

import ast
import re
import sys

import pytest

import comment_service.config
import dispatcher.config
import rms.config
from proto.settings import Settings
from tests.test_house import ROOMS, ROOT, sources

LIMITS = ROOT / "docs" / "limits.md"
FILES = ROOT / "docs" / "files.md"

SOURCE_ROOMS = tuple(room for room in ROOMS if room != "tests")

SERVICES: dict[str, type[Settings]] = {
    "dispatcher": dispatcher.config.Config,
    "rms": rms.config.RmsSettings,
    "rms.door": rms.config.DoorSettings,
    "comment_service": comment_service.config.Config,
}


def limits() -> str:
    lines = [
        "# Limits and settings",
        "",
        "Written by `python -m tests.test_docs` from the services' `config.py`; a test compares them. Each flag can",
        "also be set in the environment: the prefix, then the flag in capitals with `_` for `-`. The numbers of the",
        "stores are in `history/config.py`, those of the tools in `scripts/config.py`.",
    ]
    for service, settings in SERVICES.items():
        lines += ["", f"## python -m {service}", "", f"Prefix: `{settings.model_config['env_prefix']}`", ""]
        lines += ["| flag | default | what and why |", "|---|---|---|"]
        for name, field in settings.model_fields.items():
            flag = "--" + name.replace("_", "-")
            words = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{flag}` | `{field.default!r}` | {words} |")
    return "\n".join(lines) + "\n"


def files() -> str:
    lines = [
        "# Every file, and what it does",
        "",
        "Written by `python -m tests.test_docs` from the first sentence of each file.",
        "[ARCHITECTURE.md](../ARCHITECTURE.md) tells how they work together, and in which order to read them.",
    ]
    for room in SOURCE_ROOMS:
        lines += ["", f"## {room}", "", "| file | what it does |", "|---|---|"]
        for path in sources(room):
            if words := ast.get_docstring(ast.parse(path.read_text())):
                lines.append(f"| `{path.relative_to(ROOT)}` | {_first_sentence(words)} |")
    return "\n".join(lines) + "\n"


def _first_sentence(words: str) -> str:
    paragraph = " ".join(words.split("\n\n")[0].split())
    return re.split(r"(?<=[^.]\.)\s", paragraph, maxsplit=1)[0].rstrip(".").replace("|", "\\|")


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_has_a_description(service: str) -> None:
    for name, field in SERVICES[service].model_fields.items():
        assert field.description, f"{service} --{name} has no description"
        assert len(field.description) >= 15, f"{service} --{name}: say more than {field.description!r}"


def test_limits_are_listed() -> None:
    assert LIMITS.read_text() == limits(), "run python -m tests.test_docs"


def test_files_are_listed() -> None:
    assert FILES.read_text() == files(), "run python -m tests.test_docs"


def test_every_file_has_a_docstring() -> None:
    for room in SOURCE_ROOMS:
        for path in sources(room):
            assert path.stem == "__init__" or ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_every_top_folder_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for room in ROOMS:
        assert f"`{room}`" in text, f"{room} is not in ARCHITECTURE.md"


def test_files_that_the_docs_name_exist() -> None:
    for document in (
        ROOT / "ARCHITECTURE.md",
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
    ):
        text = document.read_text()
        for name in re.findall(rf"`((?:{'|'.join(ROOMS)}|docs)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{document.name} names {name}"
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


if __name__ == "__main__":
    for path, text in ((LIMITS, limits()), (FILES, files())):
        path.write_text(text)
        sys.stdout.write(f"{path} written\n")
