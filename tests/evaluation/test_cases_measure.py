"""Situations from the field in which a measurement lied."""

import json
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.evaluation.prompts import prompts_of
from yofo_mlx.models.base import load_base
from yofo_mlx.runs import listing
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import load_tasks

RECIPE = """
model = "tiny"
[episodes]
max_tokens = 4000
[train]
steps = 1
[evaluation]
shots = [0, 1]
queries = 2
[[tasks]]
source = "trained.jsonl"
[[tasks]]
source = "apples"
role = "held_out"
family = "math"
answer_after = "####"
"""


def worked(crates: int, first: int) -> dict[str, str]:
    total, lines = 0, []
    for crate in range(crates):
        total += first + crate
        lines.append(f"Crate {crate} holds {first + crate} apples, which makes {total} so far.")
    question = f"{crates} crates hold {first} apples and one more each time. How many apples?"
    return {"question": question, "answer": " ".join(lines) + f"\n#### {total}"}


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "apples").mkdir()
    for split, start in (("train", 0), ("test", 100)):
        rows = [worked(14, start + number) for number in range(6)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "apples" / f"{split}.jsonl").write_text(text)
    (tmp_path / "trained.jsonl").write_text('{"input": "fork", "output": "a"}\n' * 2)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recipe.toml"


@pytest.mark.long
def test_a_limit_that_cuts_expected_answers_is_told_by_show_train_and_eval(
    yofo: Any, case: Path
) -> None:
    """answers-longer-than-the-limit: a perfect model would score 0, so N of M are told as cut."""
    words = "cut by evaluation.max_answer_tokens = 128"
    _, _, err = yofo("show", case, "--set", "evaluation.max_answer_tokens=128")
    assert words in err and "(apples: 2 of 2)" in err
    limit, words = ("--set", "evaluation.max_answer_tokens=4"), words.replace("128", "4")
    code, _, err = yofo("train", case, *limit, "--set", "evaluation.valid_tasks=1")
    assert code == 0 and words in err
    run = listing.list_runs()[0]
    warnings = [event["message"] for event in run.events() if event["kind"] == "warning"]
    assert sum(words in message for message in warnings) == 1
    code, out, _ = yofo("eval", "last")
    assert code == 0 and words in out
    content = json.loads(next(run.evaluations_path.glob("*.json")).read_text())
    assert content["measured"]["adapter"]["apples"]["cut"] == 2
    assert any(words in note for note in content["notes"])


def test_without_a_limit_as_many_tokens_are_allowed_as_the_answers_need(
    yofo: Any, case: Path
) -> None:
    """answers-longer-than-the-limit: the default follows the data, also in every shipped recipe."""
    recipe = load_recipe(case)
    entry = load_tasks(recipe.tasks, recipe.seed, case.parent)[-1]
    assert entry.metric == "number"
    segmenter, prompts = prompts_of(recipe, entry, load_base("tiny").tokenizer)
    assert prompts.cut == 0 and prompts.answer_limit is not None
    for query in prompts.queries:
        answer = query.tokens.answer[: prompts.answer_limit]
        assert len(answer) > 128 and segmenter.text(answer).endswith(query.example.output[-8:])
    _, _, err = yofo("show", case)
    assert "cut by" not in err
