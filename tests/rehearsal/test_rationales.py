"""`yofo rationales`: which ways are kept, how they are told apart, what is written and drawn."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from tests.making import Call, refused, write_recipe
from yofo_mlx.rehearsal import asker as asker_module
from yofo_mlx.rehearsal.rationales import adds_up, different, distance, skeleton
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import load_tasks

words = st.lists(st.sampled_from("abc"), max_size=5)


@given(words, words)
@draws(100)
def test_a_distance_is_the_fewest_changes_of_words(first: list[str], second: list[str]) -> None:
    @lru_cache
    def naive(one: tuple[str, ...], two: tuple[str, ...]) -> int:
        if not one or not two:
            return len(one) + len(two)
        last = naive(one[:-1], two[:-1]) + (one[-1] != two[-1])
        return min(naive(one[:-1], two) + 1, naive(one, two[:-1]) + 1, last)

    assert distance(first, second) == naive(tuple(first), tuple(second))


@given(st.lists(st.integers(0, 99), min_size=2, max_size=4), st.data())
@draws(100)
def test_an_equation_is_right_where_arithmetic_says_so(
    numbers: list[int], data: st.DataObject
) -> None:
    signs = data.draw(st.lists(st.sampled_from("+-*"), min_size=3, max_size=3))
    space = data.draw(st.sampled_from(["", " "]))
    left = str(numbers[0])
    for sign, number in zip(signs, numbers[1:], strict=False):
        left += f"{space}{sign}{space}{number}"
    value = eval(left)
    assert adds_up(f"so <<{left}={value}>> it is")
    assert not adds_up(f"so {left} = {value + abs(value) // 50 + 1} it is")


def test_ways_are_told_apart_by_their_equations_or_else_by_their_words() -> None:
    one = "He has 3 + 4 = 7 apples. #### 7"
    same = "Three and four: <<3+4=7>>7. #### 7"
    other = "Since 4 + 3 = 7 it is seven. #### 7"
    assert skeleton(one) == skeleton(same) == ("3+4=7",) != skeleton(other)
    assert skeleton("It is 7.") == skeleton("it IS 7") == ("it", "is", "7")
    # Of one way that text is kept that differs most from all.
    assert different([one, same, other]) == [same, other]
    assert different([one, one]) == [one]
    assert adds_up("no equation") and adds_up("10 / 3 = 3.33") and not adds_up("1 / 0 = 0")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [(f"{n} and {n}", f"{n} + {n} = {2 * n} #### {2 * n}") for n in range(2, 8)]
    text = "".join(json.dumps({"input": one, "output": two}) + "\n" for one, two in rows)
    (tmp_path / "sums.jsonl").write_text(text)
    tasks = '[[tasks]]\nsource = "sums.jsonl"\nfamily = "math"\nanswer_after = "####"\n'
    return write_recipe(tmp_path, tasks + "valid_share = 0.2\n")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the model answer by turns right, right in another way, falsely reckoned, wrong, cut."""
    asked: list[int] = []

    def generate(
        context: Any, segmenter: Any, question: Sequence[int], **_: Any
    ) -> SimpleNamespace:
        asked.append(len(context.tokens))
        n = int(segmenter.text(list(question)).split()[0])
        turn = (len(asked) - 1) % 6
        ways = [f"{n} + {n} = {2 * n}", f"2 * {n} = {2 * n}", f"{n} + {n} = 99", "", "",
                f"so {n} + {n} = {2 * n}"]  # fmt: skip
        result = 2 * n if turn != 3 else 1
        return SimpleNamespace(
            text=f"{ways[turn]} #### {result}", finish="length" if turn == 4 else "end"
        )

    monkeypatch.setattr(asker_module, "generate", generate)
    return asked


def test_right_ways_are_kept_once_each_beside_the_expected_answers(
    yofo: Call, recipe: Path, said: list[int]
) -> None:
    asked = ("rationales", recipe, "--samples", 6, "--shots", 2)
    code, out, err = yofo(*asked)
    assert code == 0, err
    assert Path(out.splitlines()[-1]) == Path("mine-rationales/recipe.toml")
    about = json.loads(Path("mine-rationales/rationales.json").read_text())
    facts = about["by_task"]["sums"]
    inputs = facts["inputs"]
    assert about["finished"] and facts["judge"] == "number" and facts["shots"] == 2
    assert (facts["samples"], facts["right"], facts["kept"], facts["solved"]) == (
        6 * inputs, 4 * inputs, 2 * inputs, inputs,
    )  # fmt: skip
    assert len(said) == 6 * inputs and min(said) > 0  # behind demonstrations
    [made] = load_tasks(load_recipe(Path("mine-rationales/recipe.toml")).tasks, 0, Path())
    [before] = load_tasks(load_recipe(recipe).tasks, 0, Path())
    first = before.task.train[0]
    n = first.input.split()[0]
    mine = [one.output for one in made.task.train if one.input == first.input]
    assert set(mine) == {
        f"so {n} + {n} = {2 * int(n)} #### {2 * int(n)}",
        f"2 * {n} = {2 * int(n)} #### {2 * int(n)}",
        first.output,
    }
    assert made.task.valid == before.task.valid and made.answer_after == "####"
    code, out, _ = yofo(*asked, "--no-gold", "--json")  # nothing is drawn again
    assert code == 0 and len(said) == 6 * inputs
    [own] = load_tasks(load_recipe(Path("mine-rationales/recipe.toml")).tasks, 0, Path())
    assert len(own.task.train) == 2 * inputs
    code, _, err = yofo("demos", "add", "ways", "mine-rationales/data/000-sums")
    assert code == 0, err


def test_a_draw_is_the_same_again_and_another_one_another(tmp_path: Path) -> None:
    from yofo_mlx.models.base import load_base
    from yofo_mlx.recipe.schema import Template
    from yofo_mlx.rehearsal.asker import Asker
    from yofo_mlx.rehearsal.store import Store
    from yofo_mlx.tasks.task import Task

    base = load_base("tiny")
    found = []
    for name in ("a", "b"):
        with Store(tmp_path / name) as store:
            asker = Asker(base, Template(style="plain"), store, None)
            shown = asker.shown(Task("t", "other", ()), (), 64)
            found.append(asker.samples(shown, ["dog cat"], 4, 3, 1.0, "t"))
    assert found[0] == found[1]
    assert len({one.text for one in found[0][0]}) > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--judge", "model"], "no model judges rationales"),
        (["--out", "mine.toml"], "is no set of rationales"),
        (["--temperature", "0"], "--temperature"),
    ],
)
def test_what_cannot_be_is_refused_in_two_lines(
    yofo: Call, recipe: Path, options: list[str], words: str
) -> None:
    code, err = refused(yofo, "rationales", recipe, *options)
    assert code == 2 and words in err
