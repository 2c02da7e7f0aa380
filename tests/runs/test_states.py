"""Which states of a run end it, are trouble or can be resumed is declared once."""

import ast
from typing import get_args

from tests.places import ROOT
from yofo_mlx.runs.events import FINAL_KINDS
from yofo_mlx.runs.folder import ENDED, GOING_ON, RESUMABLE, TROUBLE, Status

STATES = set(get_args(Status))


def test_a_run_was_created_or_goes_on_or_has_ended() -> None:
    assert {"created"} | GOING_ON | ENDED == STATES
    assert not GOING_ON & ENDED


def test_a_run_that_ended_says_so_unless_it_died() -> None:
    assert FINAL_KINDS | {"died"} == ENDED


def test_what_ended_can_be_resumed_but_for_what_is_finished() -> None:
    assert TROUBLE < RESUMABLE
    assert {"finished"} == ENDED - RESUMABLE


def test_nobody_else_lists_states() -> None:
    declared = {ROOT / "yofo_mlx" / "runs" / name for name in ("folder.py", "events.py")}
    listed = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("yofo_mlx", "tui")
        for path in (ROOT / folder).rglob("*.py")
        if path not in declared
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Set | ast.Tuple | ast.List) and _are_states(node.elts)
    ]
    assert listed == []


def _are_states(elements: list[ast.expr]) -> bool:
    values = [element.value for element in elements if isinstance(element, ast.Constant)]
    return len(elements) > 1 and len(values) == len(elements) and STATES.issuperset(values)
