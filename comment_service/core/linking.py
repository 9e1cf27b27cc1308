"""Links the page's ES modules into one script, so that a browser asks for one file instead of thirty.

Rule 1: no file is read in here; sources come in as text. Rule 2: it is no parser. The page's modules keep to a few
forms at the beginning of a line, and whatever else begins with `import` or `export` there is an error that names its
line:

    import { name, other as alias } from "./file.js";      also over several lines
    export function name, export async function name, export class Name, export const NAME

Each module becomes a function of what it imports, which returns what it exports. So no name of one module can collide
with another's, and modules run in the order in which a browser would run them. No import may lead in a circle: then a
name would be needed before its module has run.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_STATEMENT = re.compile(r"^(import|export)\b", re.MULTILINE)
_IMPORT = re.compile(r'import \{([^{}]*)\} from "(\.\.?/[^"\n]+)";')
_IMPORT_LINES = re.compile(rf"^{_IMPORT.pattern}", re.MULTILINE)
_EXPORT_WORD = re.compile(r"^export\b ?", re.MULTILINE)
_EXPORT = re.compile(r"export ((?:async )?function|class|const) ([A-Za-z_$][\w$]*)")
_IMPORTED = re.compile(r"([A-Za-z_$][\w$]*)(?:\s+as\s+([A-Za-z_$][\w$]*))?")
_OWN_URL = re.compile(r"\bimport\.meta\.url\b")
_UNKNOWN = re.compile(r"^(?!\s*(?://|/?\*)).*?(?P<what>\bimport\s*\(|\bimport\.meta\b(?!\.url\b))", re.MULTILINE)
_WAITS = re.compile(r"^(?!.*\basync\b)(?!//|/\*)(?P<what>\S.*?\bawait\b|await\b)", re.MULTILINE)


class LinkError(ValueError):
    """A module that can't be linked: its file, the line and what is wrong there"""

    def __init__(self, name: str, line: int, what: str) -> None:
        super().__init__(f"{name}:{line}: {what}")


class _Import(NamedTuple):
    of: str
    """the module's name"""
    names: str
    """as a destructuring pattern"""


class _Module(NamedTuple):
    imports: list[_Import]
    exports: list[str]
    body: str


def link(sources: Mapping[str, str], entry: str) -> str:
    """One script, to be loaded as a module from the folder in which `entry` lies. sources: by path below that folder,
    as core/ids.js. Modules that `entry` doesn't lead to are left out. Raises LinkError."""
    modules: dict[str, _Module] = {}  # in the order in which they run
    _visit(entry, sources, modules, [])
    numbers = {name: number for number, name in enumerate(modules)}
    return "".join(_function(name, module, numbers) for name, module in modules.items())


def _function(name: str, module: _Module, numbers: Mapping[str, int]) -> str:
    given = ", ".join(each.names for each in module.imports)
    used = ", ".join(f"m{numbers[each.of]}" for each in module.imports)
    end = f"return {{ {', '.join(module.exports)} }};"
    return f"// {name}\nconst m{numbers[name]} = (({given}) => {{\n{module.body}\n{end}\n}})({used});\n"


def _visit(name: str, sources: Mapping[str, str], modules: dict[str, _Module], path: list[str]) -> list[str]:
    """Adds the module behind all that it imports. Returns its exports."""
    if name in modules:
        return modules[name].exports
    source = sources[name]
    imports = []
    for statement in _imports(name, source):
        of = posixpath.normpath(posixpath.join(posixpath.dirname(name), statement[2]))
        line = _line(source, statement.start())
        if of not in sources:
            raise LinkError(name, line, f"there is no {of}")
        if of in (*path, name):
            raise LinkError(name, line, f"imports lead in a circle: {' -> '.join([*path, name, of])}")
        exports = _visit(of, sources, modules, [*path, name])
        imports.append(_Import(of, _pattern(name, line, statement[1], of, exports)))
    modules[name] = module = _Module(imports, *_body(name, source))
    return module.exports


def _imports(name: str, source: str) -> Iterator[re.Match[str]]:
    for begin in _STATEMENT.finditer(source):
        if begin[1] == "import":
            statement = _IMPORT.match(source, begin.start())
            if statement is None:
                raise LinkError(
                    name, _line(source, begin.start()), 'write an import as import { name } from "./file.js";'
                )
            yield statement


def _pattern(name: str, line: int, names: str, of: str, exports: list[str]) -> str:
    pairs = []
    for word in filter(None, (part.strip() for part in names.split(","))):
        imported = _IMPORTED.fullmatch(word)
        if imported is None or imported[1] not in exports:
            raise LinkError(name, line, f"{of} exports no {word}")
        pairs.append(f"{imported[1]}: {imported[2]}" if imported[2] else imported[1])
    return f"{{ {', '.join(pairs)} }}"


def _body(name: str, source: str) -> tuple[list[str], str]:
    """What the module exports, and its text without `import` and `export`. Lines stay where they were."""
    text = _IMPORT_LINES.sub(lambda statement: "\n" * statement[0].count("\n"), source)
    for pattern, what in (
        (_WAITS, "a module can't wait before it has run"),
        (_UNKNOWN, "only import.meta.url is linked"),
    ):
        if found := pattern.search(text):
            raise LinkError(name, _line(text, found.start("what")), what)
    exports = []

    def without(begin: re.Match[str]) -> str:
        export = _EXPORT.match(text, begin.start())
        if export is None:
            line = _line(text, begin.start())
            raise LinkError(name, line, "export a function, a class or a const where it is declared")
        exports.append(export[2])
        return ""

    body = _EXPORT_WORD.sub(without, text)
    return exports, _OWN_URL.sub(f'new URL("./{name}", import.meta.url).href', body)


def _line(source: str, at: int) -> int:
    return source.count("\n", 0, at) + 1
