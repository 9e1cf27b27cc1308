"""The house rules: who may import whom, and what the cores must not touch."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("proto", "dispatcher", "rms", "comment_service", "history", "tests", "scripts")

# room -> the rooms that it may import, beside itself
ARROWS = {
    "proto": set(),
    "history": set(),
    "dispatcher": {"proto"},
    "rms": {"proto", "history"},
    "comment_service": {"proto", "history"},
    "scripts": {"proto", "history"},
    "tests": set(ROOMS),
}

# The cores decide and touch nothing that waits: `now` and everything else comes in as an argument.
CORES = (
    "rms/videos/request.py",
    "rms/feed/byte_log.py",
    "rms/feed/editions.py",
    "rms/feed/feed.py",
    "rms/feed/gaps.py",
    "rms/feed/seen_ids.py",
    "rms/feed/sse.py",
    "rms/feed/position.py",
    "rms/feed/resuming.py",
    "dispatcher/core/errors.py",
    "dispatcher/core/interests.py",
    "dispatcher/core/recent.py",
    "dispatcher/core/missed.py",
    "dispatcher/core/node.py",
    "dispatcher/core/registry.py",
    "dispatcher/core/seating.py",
    "dispatcher/core/life.py",
    "dispatcher/core/views.py",
    "dispatcher/core/placement.py",
    "comment_service/core/admission.py",
    "comment_service/core/body.py",
    "comment_service/core/errors.py",
    "comment_service/core/identity.py",
    "comment_service/core/outbox.py",
    "comment_service/core/video_body.py",
    "comment_service/core/visible.py",
    "history/core/runs.py",
    "history/core/commit_adopt.py",
    "history/core/ids.py",
    "history/core/model.py",
    "history/core/video.py",
    "history/core/spool_format.py",
    "history/core/spooled_comments.py",
)
PURE = {
    *("__future__", "abc", "array", "base64", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib"),
    *("heapq", "itertools", "math", "operator", "re", "struct", "types", "typing", "unicodedata", "zlib"),
    "msgspec",  # encodes and checks; waits for nothing
}


def sources(room: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / room).rglob("*.py")) if "_pb2" not in path.name)


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in the file"""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            assert node.module is not None
            yield node.module


def existing_cores() -> list[str]:
    return [core for core in CORES if (ROOT / core).exists()]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_along_the_arrows(room: str) -> None:
    for path in sources(room):
        rooms = {name.partition(".")[0] for name in imports(path)} & set(ROOMS)
        forbidden = rooms - ARROWS[room] - {room}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}; {room} may import {ARROWS[room]}"


@pytest.mark.parametrize("core", existing_cores())
def test_cores_touch_nothing_that_waits(core: str) -> None:
    path = ROOT / core
    cores = {other.removesuffix(".py").replace("/", ".") for other in CORES}
    for name in imports(path):
        top = name.partition(".")[0]
        assert top in PURE or name in cores, f"{core} imports {name}: a core has no clock, no socket, no log, no driver"
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{core}:{node.lineno} waits"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "input"), f"{core}:{node.lineno} calls {node.func.id}"


def test_history_and_dispatcher_know_no_http() -> None:
    for room in ("history", "dispatcher"):
        for path in sources(room):
            for name in imports(path):
                assert name.partition(".")[0] not in ("starlette", "uvicorn", "aiohttp"), f"{path} knows HTTP"
                assert name != "proto.http", f"{path} knows HTTP"
    for path in sources("history"):
        for name in imports(path):
            assert name.partition(".")[0] != "grpc", f"{path} knows gRPC"


def test_only_the_standard_library_is_called_pure() -> None:
    assert PURE - {"msgspec"} <= set(sys.stdlib_module_names)


def test_every_file_says_what_it_is_for() -> None:
    for room in ROOMS:
        for path in sources(room):
            if path.name != "__init__.py":
                assert ast.get_docstring(ast.parse(path.read_text())), f"{path.relative_to(ROOT)} has no docstring"
