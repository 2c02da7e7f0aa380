"""Counts, ages and lengths of time are worded in one place, and are the same everywhere."""

import ast
import math
import re

from tests.places import ROOT
from yofo_mlx.system.quantities import age, duration, plural


def test_times_have_two_units_and_ages_one() -> None:
    assert duration(59.4) == "59 s"
    assert duration(125) == "2 min 5 s"
    assert duration(2 * 3600 + 60) == "2 h 1 min"
    assert duration(50 * 3600) == "2 d 2 h"
    assert duration(None) == duration(math.nan) == duration(-1) == "–"
    assert [age(5), age(70), age(7200), age(200_000)] == ["5s", "1m", "2h", "2d"]
    assert age(-3) == "0s"


def test_one_thing_is_no_plural() -> None:
    told = [plural(amount, "row") for amount in (0, 1, 2, 1234)]
    assert told == ["0 rows", "1 row", "2 rows", "1,234 rows"]


def test_nobody_else_adds_the_ending_of_a_plural() -> None:
    own = ROOT / "yofo_mlx" / "system" / "quantities.py"
    files = [*(ROOT / "yofo_mlx").rglob("*.py"), *(ROOT / "tui").rglob("*.py")]
    by_hand = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files
        if path != own and re.search("""["']s["']""", text := path.read_text("utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.IfExp | ast.BinOp) and _adds_an_s(node)
    ]
    assert by_hand == []


def _adds_an_s(node: ast.IfExp | ast.BinOp) -> bool:
    sides = (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node.left, node.right)
    return any(isinstance(side, ast.Constant) and side.value == "s" for side in sides)
