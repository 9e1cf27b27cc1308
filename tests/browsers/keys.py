"""Input as WebDriver and WebDriver BiDi take it: the same lists of actions for both (https://www.w3.org/TR/webdriver2/)."""

from typing import Any

KEYS = {
    "Enter": "\ue007",
    "Tab": "\ue004",
    "Escape": "\ue00c",
    "Backspace": "\ue003",
    "Delete": "\ue017",
    "Home": "\ue011",
    "End": "\ue010",
    "PageUp": "\ue00e",
    "PageDown": "\ue00f",
    "ArrowUp": "\ue013",
    "ArrowDown": "\ue015",
    "Shift": "\ue008",
    "Control": "\ue009",
}

Actions = dict[str, Any]
Point = tuple[float, float]

PRESS: Actions = {"type": "pointerDown", "button": 0}
RELEASE: Actions = {"type": "pointerUp", "button": 0}


def chord(keys: str) -> Actions:
    """`Shift+Enter`: pressed in this order, released in the other. Names are those of KEYS, or single characters."""
    return _keyboard(_strokes(keys.split("+")))


def typed(text: str) -> Actions:
    """One key after the other"""
    return _keyboard([stroke for letter in text for stroke in _strokes([letter])])


def mouse(*actions: Actions) -> Actions:
    """Made of `move`, PRESS and RELEASE"""
    return {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": list(actions)}


def move(to: Point) -> Actions:
    """To a position in the viewport, in pixels"""
    return {"type": "pointerMove", "duration": 0, "origin": "viewport", "x": round(to[0]), "y": round(to[1])}


def wheel(at: Point, down_px: int) -> Actions:
    scroll = {"type": "scroll", "duration": 0, "origin": "viewport", "deltaX": 0, "deltaY": down_px}
    return {"type": "wheel", "id": "wheel", "actions": [scroll | {"x": round(at[0]), "y": round(at[1])}]}


def _keyboard(strokes: list[Actions]) -> Actions:
    return {"type": "key", "id": "keyboard", "actions": strokes}


def _strokes(keys: list[str]) -> list[Actions]:
    values = [KEYS.get(key, key) for key in keys]
    down = [{"type": "keyDown", "value": value} for value in values]
    return down + [{"type": "keyUp", "value": value} for value in reversed(values)]
