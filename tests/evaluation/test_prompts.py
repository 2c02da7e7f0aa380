"""What an evaluation asks: the same queries at every number of shots, and what it passes over."""

from dataclasses import replace

import pytest

from tests.fakes import ByteTokenizer, letters_task
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation.limits import notes
from yofo_mlx.evaluation.prompts import Prompts, asked_of, draw_prompts, prompts_of
from yofo_mlx.recipe.schema import Evaluation, Recipe, Template
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task

SEGMENTER = Segmenter(
    ByteTokenizer(), Template(style="plain", input="{input}=", output="{output}\n")
)


def entry_of(task: Task, metric: str = "exact") -> TaskEntry:
    return TaskEntry(task, "held_out", metric, None, 1.0, "")


def draw(
    task: Task, max_tokens: int, metric: str = "exact", seed: int = 0, **settings: object
) -> Prompts:
    shots = settings.pop("shots", (0, 2, 8))
    evaluation = Evaluation.model_validate({"shots": shots, "queries": 4, **settings})
    return draw_prompts(
        SEGMENTER, entry_of(task, metric), evaluation, max_tokens=max_tokens, seed=seed
    )


def with_queries(*queries: Example) -> Task:
    return replace(letters_task(), test=queries)


LONG = Example("x" * 500, "xx")


@pytest.mark.parametrize("seed", range(5))
def test_every_query_fits_at_every_number_of_shots_whatever_is_drawn(seed: int) -> None:
    odd = [Example(f"{'q' * (5 * n)}{n}", "a" * (1 + n % 3)) for n in range(12)]
    prompts = draw(with_queries(*odd), 90, seed=seed, draws=3)
    assert prompts.shots and prompts.queries
    for number in range(3):
        _, lengths = prompts.prefix(number)
        for shots, length in zip(prompts.shots, lengths, strict=True):
            assert all(length + query.length(shots) <= 90 for query in prompts.queries)


def test_a_query_that_is_too_long_is_passed_over_and_another_one_asked() -> None:
    task = letters_task()
    prompts = draw(replace(task, test=(*task.test[:4], LONG)), 200, queries=5)
    assert (len(prompts.queries), prompts.passed_over, prompts.reason) == (4, 1, "")
    assert prompts.shots == (0, 2, 8)
    told = list(notes([asked_of_it(prompts)], "held-out tasks"))
    assert [message for message, _ in told] == [
        "held-out tasks: queries that do not fit are passed over (letters: 1 of 5)"
    ]


def asked_of_it(prompts: Prompts) -> object:
    from yofo_mlx.recipe.schema import Recipe

    recipe = Recipe.model_validate(
        {"model": "tiny", "train": {"steps": 1}, "tasks": [{"source": "x"}]}, strict=False
    )
    return asked_of(recipe, entry_of(letters_task()), prompts)


def test_a_query_that_fits_only_few_shots_is_asked_nowhere() -> None:
    short = [Example(f"s{n}", "a") for n in range(3)]
    medium = Example("m" * 150, "a")
    prompts = draw(with_queries(*short, medium), 200)
    assert prompts.shots == (0, 2, 8)
    assert {query.example for query in prompts.queries} == set(short)
    assert prompts.passed_over == 1


def test_the_shots_end_where_most_queries_no_longer_fit() -> None:
    short, medium = Example("s", "a"), [Example(f"{n}" + "m" * 150, "a") for n in range(3)]
    prompts = draw(with_queries(short, *medium), 200)
    assert prompts.shots == (0, 2)
    assert (len(prompts.queries), prompts.passed_over) == (4, 0)


@pytest.mark.parametrize(
    ("task", "settings", "words"),
    [
        (with_queries(LONG), {}, "none of its 1 queries fits 200 tokens"),
        (with_queries(LONG), {"shots": (2,)}, "none of its 1 queries fits 200 tokens behind 2"),
        (with_queries(), {}, "it has no query"),
        (letters_task(count=8), {"shots": (5, 9)}, "has 4 demonstrations, and evaluation.shots"),
        (letters_task(), {"shots": (20,), "queries": 1}, "not even 20 demonstrations fit"),
    ],
)
def test_a_task_that_cannot_be_measured_says_why(
    task: Task, settings: dict[str, object], words: str
) -> None:
    prompts = draw(task, 200 if "not even" not in words else 60, **settings)
    assert words in prompts.reason
    assert (prompts.queries, prompts.shots) == ([], ())


def test_a_demonstration_that_fits_no_prompt_is_not_shown_and_does_not_end_the_shots() -> None:
    task = letters_task()
    prompts = draw(replace(task, train=(*task.train[:8], LONG)), 200)
    assert prompts.shots == (0, 2, 8)
    assert prompts.too_long in (0, 1)  # as the draw has it: behind the eighth nobody looks
    assert all(end - start < 200 for start, end in prompts.draws[0].answers)
    alone = draw(replace(task, train=(LONG, *task.train[:7])), 200)
    assert (alone.shots, alone.too_long) == ((0, 2), 1)


def test_no_query_is_among_its_demonstrations() -> None:
    task = letters_task()
    leaky = replace(task, train=task.train[:4] + task.test[:4], test=task.test[:4])
    assert len(draw(leaky, 500, shots=(8,)).draws[0].answers) == 4


def test_the_limit_of_generated_tokens_follows_the_longest_expected_answer() -> None:
    task = with_queries(Example("a", "y" * 99), Example("b", "z"))
    assert draw(task, 500).answer_limit is None  # compared token by token
    prompts = draw(task, 500, metric="rouge")
    assert prompts.answer_limit is not None and prompts.answer_limit >= 150
    assert prompts.cut == 0


@pytest.mark.parametrize(("limit", "cut"), [(3, 2), (98, 1), (99, 0), (100, 0)])
def test_expected_answers_that_a_limit_cuts_are_counted(limit: int, cut: int) -> None:
    task = with_queries(Example("a", "y" * 99), Example("b", "zzzz"), Example("c", "x"))
    prompts = draw(task, 500, metric="rouge", max_answer_tokens=limit)
    assert (prompts.answer_limit, prompts.cut) == (limit, cut)


@pytest.mark.parametrize("seed", range(4))
def test_the_draw_with_fewest_demonstrations_decides_how_many_are_shown(seed: int) -> None:
    uneven = tuple(Example(f"{n}" + "x" * 15 * (n % 8), "a") for n in range(40))
    task = replace(letters_task(), train=uneven)
    prompts = draw(task, 300, seed=seed, draws=4, shots=tuple(range(20)), queries=2)
    counts = [len(one.answers) for one in prompts.draws]
    assert min(counts) < max(counts)
    assert prompts.shots and prompts.shots[-1] <= min(counts)


@pytest.mark.parametrize(("valid", "asked"), [(True, {"v0", "v1"}), (False, {"t0", "t1"})])
def test_a_validation_asks_its_own_queries_and_an_evaluation_those_of_test(
    valid: bool, asked: set[str]
) -> None:
    rows = {name: tuple(Example(f"{name[0]}{n}", "a") for n in range(2)) for name in ("v", "t")}
    task = replace(letters_task(), valid=rows["v"], test=rows["t"])
    entry = TaskEntry(task, "held_out", "exact", None, 1.0, "")
    keys = {"model": "tiny", "train": {"steps": 1}, "tasks": ({"source": "x"},)}
    recipe = Recipe.model_validate(keys | {"evaluation": {"shots": (0,)}})
    _, prompts = prompts_of(recipe, entry, ByteTokenizer(), valid=valid)
    assert {query.example.input for query in prompts.queries} == asked
    without = replace(entry, task=replace(task, valid=()))
    _, prompts = prompts_of(recipe, without, ByteTokenizer(), valid=True)
    assert {query.example.input for query in prompts.queries} == {"t0", "t1"}
