"""The docs say what the code does: every file is on the map, every setting on the list.

`python -m tests.test_docs` writes docs/limits.md anew.
"""

import re
import sys
from pathlib import Path

import pytest

import comment_service.config
import dispatcher.config
import rms.config
from proto.settings import Settings
from tests.test_house import ROOMS, ROOT, sources

LIMITS = ROOT / "docs" / "limits.md"

SERVICES: dict[str, type[Settings]] = {
    "dispatcher": dispatcher.config.Config,
    "rms": rms.config.RmsSettings,
    "comment_service": comment_service.config.Config,
}


def limits() -> str:
    lines = [
        "# Limits and settings",
        "",
        "Written by `python -m tests.test_docs` from the services' `config.py`; a test holds it to them. Each flag can",
        "also be given by the environment: the prefix, then the flag in capitals with `_` for `-`. The stores' own",
        "numbers stand in `history/config.py`, the tools' in `scripts/config.py`.",
    ]
    for service, settings in SERVICES.items():
        lines += ["", f"## python -m {service}", "", f"Prefix: `{settings.model_config['env_prefix']}`", ""]
        lines += ["| flag | default | what and why |", "|---|---|---|"]
        for name, field in settings.model_fields.items():
            flag = "--" + name.replace("_", "-")
            words = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{flag}` | `{field.default!r}` | {words} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_says_its_unit_and_why(service: str) -> None:
    for name, field in SERVICES[service].model_fields.items():
        assert field.description, f"{service} --{name} has no description"
        assert len(field.description) >= 15, f"{service} --{name}: say more than {field.description!r}"


def test_limits_are_listed() -> None:
    assert LIMITS.read_text() == limits(), "python -m tests.test_docs writes it anew"


def test_every_room_and_core_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for room in ROOMS:
        assert f"`{room}`" in text, f"{room} is not in ARCHITECTURE.md"


def test_what_the_architecture_names_exists() -> None:
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


def test_every_file_of_the_rms_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in sources("rms"):
        if path.name != "__init__.py":
            assert str(path.relative_to(ROOT)) in text, f"{path} is not on the map"


def test_each_source_file_has_its_test() -> None:
    for room in ("proto", "dispatcher", "rms", "comment_service", "history", "scripts"):
        tests = {path.name for path in Path(ROOT / "tests" / room).rglob("test_*.py")}
        for path in sources(room):
            name = path.stem.strip("_")
            if name != "init":
                assert f"test_{name}.py" in tests, f"{path.relative_to(ROOT)} has no tests/{room}/test_{name}.py"


if __name__ == "__main__":
    LIMITS.write_text(limits())
    sys.stdout.write(f"{LIMITS} written\n")
