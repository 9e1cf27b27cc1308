"""page_build.py: what browsers get of the page's source files"""

import gzip
import json
from pathlib import Path

import brotli
import pytest

from comment_service.http.page_build import HASHED_NAME, PageError, build_page, stamp_of
from comment_service.http.page_files import PAGE_DIR

BYTES_BEFORE_A_COMMENT = 40_000
"""of index.html, style, script and words, with brotli"""


def folder(tmp_path: Path, **files: str) -> Path:
    texts = {
        "index.html": '<link href="page/style.css"><script type="module" src="page/app.js"></script>',
        "app.js": "// a comment\nconsole.log(`two  blanks`);\n",
        "style.css": "a { color: red; }\n" * 100,
        **files,
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_names_tell_the_content(tmp_path: Path) -> None:
    source = folder(tmp_path, **{"words/de.json": '{"hello": "Hallo"}'})
    built = build_page(source)
    index = built.index.body.decode()
    assert b"console.log(`two  blanks`);" in built.files["app.js"].body
    assert b"a comment" not in built.files["app.js"].body
    for name in ("app.js", "style.css"):
        assert f'"page/{built.files[name].name}"' in index
        assert HASHED_NAME.fullmatch(built.files[name].name)
    assert built.files["words/de.json"].name.startswith("words/de-")
    (source / "style.css").write_text("b {}")
    again = build_page(source)
    assert again.files["app.js"].name == built.files["app.js"].name
    assert again.files["style.css"].name != built.files["style.css"].name
    assert again.index.digest != built.index.digest


def test_each_form_is_the_same_file(tmp_path: Path) -> None:
    style = build_page(folder(tmp_path)).files["style.css"]
    assert list(style.compressed) == ["br", "gzip"]
    assert brotli.decompress(style.compressed["br"]) == gzip.decompress(style.compressed["gzip"]) == style.body


def test_the_manifest_names_its_icons_with_their_hashes(tmp_path: Path) -> None:
    manifest = '{"icons": [{"src": "icon.svg"}]}'
    built = build_page(folder(tmp_path, **{"icon.svg": "<svg/>", "manifest.webmanifest": manifest}))
    (icon,) = json.loads(built.files["manifest.webmanifest"].body)["icons"]
    assert icon["src"] == built.files["icon.svg"].name


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    source = folder(tmp_path, **{"index.html": '<img src="page/none.png">'})
    with pytest.raises(PageError, match=r"index\.html: there is no none\.png"):
        build_page(source)
    (source / "app.js").write_text("export default 1;")
    with pytest.raises(PageError, match=r"app\.js:1: "):
        build_page(source)


def test_a_stamp_changes_with_each_file(tmp_path: Path) -> None:
    source = folder(tmp_path)
    before = stamp_of(source)
    assert stamp_of(source) == before
    (source / "new.json").write_text("{}")
    assert stamp_of(source) != before


def test_the_page_is_small() -> None:
    built = build_page(PAGE_DIR)
    needed = [
        built.index,
        *(file for name, file in built.files.items() if name in ("app.js", "style.css", "words/en.json")),
    ]
    assert sum(len(file.compressed.get("br", file.body)) for file in needed) <= BYTES_BEFORE_A_COMMENT
