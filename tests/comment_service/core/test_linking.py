"""comment_service/core/linking.py: one script that does what the modules did"""

import subprocess

import pytest

from comment_service.core.linking import LinkError, link

IDS = """\
const name = "ids";
export const FIRST = 1;
export function next(id) {
  return `${name} ${id + FIRST}`;
}
"""
VIEW = """\
/** Shows ids. */
import {
  FIRST,
  next as following,
} from "../core/ids.js";

const name = "view";
export class View {
  show() {
    return [name, FIRST, following(1), import.meta.url].join(" ");
  }
}
export async function later() {
  return await Promise.resolve("later");
}
"""
APP = """\
import { FIRST } from "./core/ids.js";
import { View, later } from "./view/view.js";

const name = "app"; // no semicolon follows
later().then((word) => console.log(name, FIRST, new View().show(), word))
"""


def run(script: str) -> str:
    """What the script prints; as a module, from a folder of its own"""
    command = ["node", "--input-type=module", "--eval", script]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/tmp").stdout.strip()


def test_names_of_modules_never_collide() -> None:
    script = link({"app.js": APP, "view/view.js": VIEW, "core/ids.js": IDS, "unused.js": "import nonsense"}, "app.js")
    assert "nonsense" not in script
    words = run(script).split()
    assert words[:6] == ["app", "1", "view", "1", "ids", "2"]
    assert words[6].endswith("/view/view.js"), "import.meta.url is where the module would lie"
    assert words[7] == "later"


def test_modules_run_once_in_the_order_of_their_imports() -> None:
    sources = {
        "app.js": 'import { b } from "./b.js";\nimport { c } from "./c.js";\nconsole.log(b, c);\n',
        "b.js": 'import { c } from "./c.js";\nconsole.log("b runs");\nexport const b = c;\n',
        "c.js": 'console.log("c runs");\nexport const c = 3;\n',
    }
    assert run(link(sources, "app.js")).splitlines() == ["c runs", "b runs", "3 3"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('import it from "./ids.js";', "app.js:2: write an import as"),
        ('import * as it from "./ids.js";', "app.js:2: write an import as"),
        ('import "./ids.js";', "app.js:2: write an import as"),
        ('import { FIRST } from "lit";', "app.js:2: write an import as"),
        ('import { FIRST } from "./none.js";', "app.js:2: there is no none.js"),
        ('import { second } from "./ids.js";', "app.js:2: ids.js exports no second"),
        ('import { FIRST } from "./ids.js" with { type: "json" };', "app.js:2: write an import as"),
        ("export default 3;", "app.js:2: export a function, a class or a const"),
        ("export let count = 3;", "app.js:2: export a function, a class or a const"),
        ("export { count };", "app.js:2: export a function, a class or a const"),
        ('export * from "./ids.js";', "app.js:2: export a function, a class or a const"),
        ("export const { a, b } = both;", "app.js:2: export a function, a class or a const"),
        ("const it = await load();", "app.js:2: a module can't wait"),
        ("await load();", "app.js:2: a module can't wait"),
        ("for await (const each of all) {", "app.js:2: a module can't wait"),
        ('function load() { return import("./ids.js"); }', "app.js:2: only import.meta.url"),
        ("const name = import.meta.name;", "app.js:2: only import.meta.url"),
        ('import { app } from "./circle.js";', "circle.js:1: imports lead in a circle: app.js -> circle.js -> app.js"),
    ],
)
def test_what_cannot_be_linked_is_named_with_its_line(source: str, words: str) -> None:
    sources = {"app.js": f"// app\n{source}\n", "ids.js": IDS, "circle.js": 'import { x } from "./app.js";\n'}
    with pytest.raises(LinkError) as error:
        link(sources, "app.js")
    assert str(error.value).startswith(words)


def test_words_in_comments_and_inside_functions_are_no_statements() -> None:
    source = (
        "/**\n * import(this) or await it\n */\nasync function f() {\n  await 1;\n}\nconst g = async () => await f();\n"
    )
    assert "await f()" in link({"app.js": source}, "app.js")
