"""The house rules: who may import whom, what pure folders must not touch, and who knows HTTP, gRPC or a clock."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("proto", "dispatcher", "rms", "comment_service", "history", "tests", "scripts")
SERVICES = ("dispatcher", "rms", "comment_service")

# room -> what it may import beside itself: a room, or a single module of one
ARROWS = {
    "proto": set(),
    "history": {"proto.tasks", "proto.tls"},
    "dispatcher": {"proto"},
    "rms": {"proto", "history"},
    "comment_service": {"proto", "history"},
    "scripts": {"proto", "history", "dispatcher.core", "dispatcher.config"},
    "tests": set(ROOMS),
}

# room -> its folders and files, from the top floor to the ground. Each imports only from the floors below its own.
FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "dispatcher": (
        ("__main__", "cli"),
        ("server",),
        ("servicer",),
        ("operators",),
        ("streams",),
        ("checks",),
        ("config",),
        ("core",),
        ("clocks",),
    ),
    "rms": (
        ("__main__",),
        ("door",),
        ("http",),
        ("metrics",),
        ("videos",),
        ("sending", "upstream"),
        ("config",),
        ("feed",),
        ("clocks",),
    ),
    "comment_service": (
        ("__main__",),
        ("service",),
        ("config", "metrics"),
        ("settings",),
        ("http", "node"),
        ("write",),
        ("publish", "videos", "moderate"),
        ("core", "fence"),
        ("clocks",),
    ),
    "history": (
        ("opening",),
        ("cache", "cassandra", "spool", "sqlite"),
        ("group_commit", "reading"),
        ("config", "store"),
        ("core",),
        ("clocks",),
    ),
}

# Pure folders decide and touch nothing that waits: `now_ms` and everything else comes in as an argument.
PURE_FOLDERS = ("proto/core", "rms/feed", "dispatcher/core", "comment_service/core", "history/core")
PURE = {
    *("__future__", "abc", "array", "base64", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib"),
    *("ipaddress", "posixpath"),
    *("heapq", "hmac", "itertools", "math", "operator", "re", "struct", "types", "typing", "unicodedata", "zlib"),
    "msgspec",  # encodes and checks; waits for nothing
}

# library -> the only folders and files of the services, of history and of proto that import it
KNOWN_TO = {
    "starlette": ("proto/http", "comment_service/http", "rms/http"),
    "uvicorn": ("proto/http", "comment_service/http", "rms/http"),
    "httptools": ("proto/http",),
    "proto.http": ("proto/http", "comment_service/http", "rms/http"),
    "cassandra": ("history/cassandra",),
    "sqlite3": ("history/sqlite",),
    "grpc": (
        *("proto/channel.py", "proto/replicas.py", "proto/clock_watch.py"),
        *("dispatcher/servicer.py", "dispatcher/server.py", "dispatcher/streams", "dispatcher/cli"),
        *("rms/upstream", "rms/door", "comment_service/publish"),
    ),
    "time": tuple(f"{room}/clocks.py" for room in (*SERVICES, "history")),
}

BEGINS_A_TASK = {"create_task", "ensure_future", "run_coroutine_threadsafe"}

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def sources(room: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / room).rglob("*.py")) if "_pb2" not in path.name)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in the file. `from a import b` gives a.b as well: b may be one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def lies_in(path: Path, places: tuple[str, ...]) -> bool:
    name = name_of(path)
    return any(name == place or name.startswith(f"{place}/") for place in places)


def folders(room: str) -> Iterator[Path]:
    return (path.parent for path in sources(room) if path.name == "__init__.py")


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_along_the_arrows(room: str) -> None:
    allowed = {room} | ARROWS[room]
    for path in sources(room):
        for name in imports(path):
            if name.partition(".")[0] in ROOMS and name not in ROOMS:
                assert within(name, allowed) or any(place.startswith(f"{name}.") for place in allowed), (
                    f"{name_of(path)} imports {name}; {room} may import {sorted(allowed)}"
                )


@pytest.mark.parametrize("room", FLOORS)
def test_folders_import_only_from_the_floors_below(room: str) -> None:
    floor_of = {unit: number for number, floor in enumerate(FLOORS[room]) for unit in floor}
    for path in sources(room):
        unit = path.relative_to(ROOT / room).parts[0].removesuffix(".py")
        if unit == "__init__":
            continue
        assert unit in floor_of, f"{name_of(path)} stands on no floor of FLOORS[{room!r}]"
        for name in imports(path):
            other = [*name.split("."), ""][1]
            if name.startswith(f"{room}.") and other in floor_of and other != unit:
                assert floor_of[other] > floor_of[unit], f"{name_of(path)} imports {name}, which isn't below it"


@pytest.mark.parametrize("room", FLOORS)
def test_every_floor_is_there(room: str) -> None:
    for unit in (unit for floor in FLOORS[room] for unit in floor):
        assert (ROOT / room / unit).is_dir() or (ROOT / room / f"{unit}.py").exists(), f"there is no {room}/{unit}"


@pytest.mark.parametrize("folder", PURE_FOLDERS)
def test_pure_folders_touch_nothing_that_waits(folder: str) -> None:
    pure = {place.replace("/", ".") for place in PURE_FOLDERS}
    for path in sources(folder):
        for name in imports(path):
            assert name.partition(".")[0] in PURE or within(name, pure), (
                f"{name_of(path)} imports {name}: a pure folder has no clock, no socket, no log, no driver"
            )
        for node in ast.walk(ast.parse(path.read_text())):
            waits = isinstance(node, ast.AsyncFunctionDef | ast.Await)
            assert not waits, f"{name_of(path)}:{getattr(node, 'lineno', 0)} waits"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("open", "print", "input"), f"{name_of(path)} calls {node.func.id}"


@pytest.mark.parametrize("library", KNOWN_TO)
def test_what_only_some_places_know(library: str) -> None:
    for room in ("proto", "history", *SERVICES):
        for path in sources(room):
            if not lies_in(path, KNOWN_TO[library]):
                known = [name for name in imports(path) if within(name, {library})]
                assert not known, f"{name_of(path)} imports {library}; only {KNOWN_TO[library]} may"


@pytest.mark.parametrize("room", ["proto", "history", *SERVICES])
def test_tasks_are_begun_only_under_supervision(room: str) -> None:
    for path in sources(room):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in BEGINS_A_TASK:
                group = isinstance(node.func.value, ast.Name) and node.func.value.id == "group"  # an asyncio.TaskGroup
                assert group or name_of(path) == "proto/tasks.py", (
                    f"{name_of(path)}:{node.lineno} begins a task by itself: use proto/tasks.py"
                )


@pytest.mark.parametrize("room", ROOMS)
def test_channels_are_opened_in_one_place(room: str) -> None:
    """So that each goes past the proxy that the environment names."""
    for path in sources(room):
        if name_of(path) != "proto/channel.py":
            for node in ast.walk(ast.parse(path.read_text())):
                opens = isinstance(node, ast.Attribute) and node.attr in ("insecure_channel", "secure_channel")
                assert not opens, f"{name_of(path)}:{getattr(node, 'lineno', 0)}: use proto/channel.py"


def test_servers_of_tests_are_made_in_one_place() -> None:
    """So that none leaves connections behind, which the next test would be blamed for."""
    for path in sources("tests"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "start_server":
                assert name_of(path) == "tests/serving.py", f"{name_of(path)}:{node.lineno}: use tests/serving.py"


def test_only_the_standard_library_is_called_pure() -> None:
    assert PURE - {"msgspec"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_says_what_it_is_for(room: str) -> None:
    for path in sources(room):
        if path.name != "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "tests"])
def test_every_folder_says_its_purpose_in_its_first_sentence(room: str) -> None:
    for folder in folders(room):
        words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert words, f"{name_of(folder)}/__init__.py has no docstring"


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "tests"])
def test_tests_mirror_the_folders(room: str) -> None:
    for path in sources(f"tests/{room}"):
        if path.name.startswith("test_"):
            mirrored = ROOT / path.parent.relative_to(ROOT / "tests")
            assert mirrored.is_dir(), f"{name_of(path)}: there is no folder {name_of(mirrored)}"


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_too_long(room: str) -> None:
    for path in sources(room):
        text = path.read_text()
        lines = text.count("\n")
        assert lines <= FILE_LINES_MAX, f"{name_of(path)} has {lines} lines; over {FILE_LINES_MAX} it is two things"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= FUNCTION_LINES_MAX, f"{name_of(path)}: {node.name} has {lines} lines"
