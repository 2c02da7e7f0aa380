"""The page about the app and the keys that the app obeys: each names what the other has."""

import re
from importlib import import_module

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

from tests.places import ROOT
from tui.shared.keys import _kinds_of

PAGE = (ROOT / "docs" / "terminal-app.md").read_text("utf-8")
SECTIONS = {  # of the page: where the names of their keys begin, and the modules that have them
    "First start": ("start", "start.screen"),
    "Data": ("data", "data.screen"),
    "Runs": ("runs console", "runs.screen runs.console"),
    "Compare, Queue, Disk, Models": (
        "compare queue disk models page",
        "runs.compare.screen runs.queue runs.disk runs.models runs.list_page",
    ),
    "New run": ("new_run", "runs.new runs.new_form"),
    "Prompt": ("prompt rows query transcript", "prompt.screen"),
}
NAMES = {
    "slash": "/", "asterisk": "*", "left_square_bracket": "[", "right_square_bracket": "]",
    "equals_sign": "=", "plus": "+", "minus": "-", "pageup": "page up", "pagedown": "page down",
    "f1": "F1", "f4": "F4", "f5": "F5",
}  # fmt: skip
MOVES = {"up", "down", "home", "end", "g", "G", "j", "k", "page up", "page down", "left", "right"}
ALSO = {"delete", "shift+down", "shift+up", "ctrl+f", "ctrl+d", "ctrl+u"}  # other keys for the same


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_names_every_key(section: str) -> None:
    parts, modules = SECTIONS[section]
    for module in modules.split():
        import_module(f"tui.{module}")
    said = set(re.findall(r"`([^`]+)`", _text(section)))
    kinds = _kinds_of(DOMNode)
    keys = {
        NAMES.get(key, key): one.id
        for kind in kinds
        for one in kind.__dict__.get("BINDINGS", ())
        if isinstance(one, Binding) and (one.id or "").split(".")[0] in parts.split()
        for key in one.key.split(",")
    }
    assert len(keys) > 2
    assert not {key: id for key, id in keys.items() if key not in said | MOVES | ALSO}
    rows = re.findall(r"^\| (`.+?) \|", _text(section), re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    assert not named - {*keys} - MOVES - {"ctrl+n", "tab", "enter"}


def _text(section: str) -> str:
    found = PAGE.partition(f"\n## {section}\n")[2]
    assert found, f"no section {section}"
    return found.partition("\n## ")[0]


@pytest.mark.parametrize("page", ["README.md", "docs/terminal-app.md"])
def test_its_pictures_are_there_and_small(page: str) -> None:
    path = ROOT / page
    named = re.findall(r"\]\(([\w/.-]*pictures/[\w.-]+)\)", path.read_text("utf-8"))
    assert len(named) > 3
    assert not [one for one in named if not 0 < (path.parent / one).stat().st_size < 500_000]
