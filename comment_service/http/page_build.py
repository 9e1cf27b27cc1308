"""Makes of the page's source files what browsers get: one script, compressed once, under names that tell the content.

A name with a hash, as app-0123456789ab.js, never means anything else, so browsers keep the file for ever. index.html
stays readable in the source: its `href="page/…"` and `src="page/…"` get the hashes here. So does the manifest.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import brotli
import rjsmin

from comment_service.core.linking import LinkError, link

INDEX = "index.html"
ENTRY = "app.js"
MANIFEST = "manifest.webmanifest"
FOLDER = "page/"
"""of the files, as index.html names it"""

HASH_DIGITS = 12
"""of a hash in a name: 48 bits, for some dozen files of a release"""

HASHED_NAME = re.compile(rf"(?P<stem>.+)-[0-9a-f]{{{HASH_DIGITS}}}(?P<suffix>\.[a-z0-9]+)")

SMALL_BYTES = 600
"""what is smaller isn't compressed: it fits into one packet"""

MEDIA_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}
"""those that a machine's table of types may not know, or know otherwise"""

_IN_INDEX = re.compile(rf'(?P<before>\b(?:href|src)="){FOLDER}(?P<name>[^"]+)"')
_IN_MANIFEST = re.compile(r'(?P<before>"src":\s*")(?P<name>[^"]+)"')


class PageError(ValueError):
    """The page's source files don't fit together."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """name: with its hash"""

    name: str
    media_type: str
    digest: str
    body: bytes
    compressed: Mapping[str, bytes]
    """by Content-Encoding, the smallest first; none where that saves nothing"""


@dataclass(frozen=True, slots=True)
class BuiltPage:
    index: PageFile
    files: Mapping[str, PageFile]
    """by the name in the source, as words/de.json"""


Stamp = frozenset[tuple[str, int, int]]


def build_page(folder: Path) -> BuiltPage:
    """Reads and compresses all files: 0.2 s, once for the same files. Raises PageError, OSError."""
    return _built(folder, stamp_of(folder))


@lru_cache(maxsize=1)
def _built(folder: Path, _: Stamp) -> BuiltPage:
    texts = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _sources(folder)}
    modules = {name: body.decode() for name, body in texts.items() if name.endswith(".js")}
    try:
        script = link(modules, ENTRY)
    except LinkError as error:
        raise PageError(str(error)) from None
    files = {ENTRY: _file(ENTRY, rjsmin.jsmin(script).encode())}
    others = {name: body for name, body in texts.items() if name not in modules and name not in (INDEX, MANIFEST)}
    files |= {name: _file(name, body) for name, body in others.items()}
    if MANIFEST in texts:
        files[MANIFEST] = _file(
            MANIFEST, _IN_MANIFEST.sub(_renamed(MANIFEST, files), texts[MANIFEST].decode()).encode()
        )
    index = _IN_INDEX.sub(_renamed(INDEX, files, FOLDER), texts[INDEX].decode())
    return BuiltPage(_file(INDEX, index.encode()), files)


def stamp_of(folder: Path) -> Stamp:
    """Changes with every change of a file: 0.2 ms."""
    stats = ((path, path.stat()) for path in _sources(folder))
    return frozenset((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _renamed(of: str, files: Mapping[str, PageFile], folder: str = "") -> Callable[[re.Match[str]], str]:
    """Puts the hashed names into a file."""

    def rename(reference: re.Match[str]) -> str:
        found = files.get(reference["name"])
        if found is None:
            raise PageError(f"{of}: there is no {reference['name']}")
        return f'{reference["before"]}{folder}{found.name}"'

    return rename


def _file(name: str, body: bytes) -> PageFile:
    digest = hashlib.blake2b(body, digest_size=HASH_DIGITS // 2).hexdigest()
    path = Path(name)
    media_type = MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    compressed: dict[str, bytes] = {}
    if len(body) > SMALL_BYTES:
        compressed = {"br": brotli.compress(body), "gzip": gzip.compress(body, mtime=0)}
    hashed = path.with_stem(f"{path.stem}-{digest}").as_posix()
    return PageFile(
        hashed,
        media_type,
        digest,
        body,
        {encoding: data for encoding, data in compressed.items() if len(data) < len(body)},
    )
