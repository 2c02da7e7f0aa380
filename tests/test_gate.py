"""The gate itself: fixed inputs, and mutants that are what they say."""

import ast

import pytest
from hypothesis import settings
from mutations import mutants

from tests.draws import USUAL, draws

SOURCE = '''
"""Words."""
LIMIT: int | None = 3


def first(rows: list[int] | None, wide: bool = False) -> int:
    """Say 1 or 2."""
    if not rows:
        raise ValueError(f"need {LIMIT - 1} rows, have {len(rows or [])}")
    total = 0
    for row in sorted(rows):
        if row < LIMIT and isinstance(row, int | bool):
            total += row
        elif wide:
            break
    print(total, sep="")
    print(total, total)
    return min(total, -1)
'''


def test_the_inputs_of_property_tests_are_the_same_on_every_machine(
    pytestconfig: pytest.Config,
) -> None:
    asked = pytestconfig.getoption("--hypothesis-profile")
    assert settings.default is not None
    assert settings.default.derandomize == (asked != "random")


def test_the_gate_tries_a_part_of_the_inputs_that_a_search_tries(
    pytestconfig: pytest.Config,
) -> None:
    in_gate = not pytestconfig.getoption("--hypothesis-profile")
    assert draws(40).max_examples == (10 if in_gate else 40)
    assert settings.get_profile("random").max_examples == USUAL


def test_every_test_has_a_limit_of_time(pytestconfig: pytest.Config) -> None:
    assert 60 <= float(pytestconfig.getini("timeout")) <= 600


def test_mutants_are_drawn_by_the_seed_and_each_is_another_program() -> None:
    found = mutants(SOURCE, 1000, 0)
    assert len({m.source for m in found} | {ast.unparse(ast.parse(SOURCE))}) == len(found) + 1
    assert mutants(SOURCE, 5, 7) == mutants(SOURCE, 5, 7)
    assert mutants(SOURCE, 5, 7) != mutants(SOURCE, 5, 8)
    for mutant in found:
        compile(mutant.source, "mutant", "exec")


def test_mutants_change_what_matters_and_leave_words_and_types_alone() -> None:
    found = mutants(SOURCE, 1000, 0)
    changes = [mutant.what for mutant in found]
    for expected in (
        "not rows -> not not rows",
        "row < LIMIT -> row <= LIMIT",
        "total += row -> pass",
        "break -> pass",
        "print(total, sep='') -> pass",
        "print(total, sep='') -> print(total)",
        "min(total, -1) -> max(total, -1)",
        "sorted(rows) -> list(rows)",
        "1 -> 2",
        "3 -> 4",
        "False -> True",
    ):
        assert expected in changes
    assert all("int | None" in mutant.source for mutant in found)
    assert all("need {LIMIT - 1} rows" in mutant.source for mutant in found)
    assert all(mutant.source.count("isinstance(row, int | bool)") <= 1 for mutant in found)
