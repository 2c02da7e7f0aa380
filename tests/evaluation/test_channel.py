"""Channel models: the label first; the one that makes an input likeliest is the answer."""

from pathlib import Path

import numpy as np
import pytest

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.episodes.segments import Segmenter, check_direct
from yofo_mlx.errors import RecipeError
from yofo_mlx.evaluation.measure import evaluate_entry, growing_prefix
from yofo_mlx.evaluation.prompts import prompts_of
from yofo_mlx.models.base import load_base
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.task import Example


def test_every_query_gets_the_label_under_which_its_input_is_likeliest() -> None:
    few = ("evaluation.shots=[0,3]", "evaluation.queries=4", "episodes.max_tokens=96")
    source = 'tasks=[{source="tiny:new-topic-01"}]'
    recipe = load_recipe(find_recipe("tiny"), [*few, source, "template.channel=true"])
    (entry,), base = load_tasks(recipe.tasks, 0, Path.cwd()), load_base("tiny")
    done: dict[str, list] = {}
    found = evaluate_entry(base, recipe, entry, done=done, texts="all")
    segmenter, prompts = prompts_of(recipe, entry, base.tokenizer)
    labels = sorted({row.output for row in entry.task.train})
    for point, (shots, context) in zip(
        found.points, growing_prefix(base.model, prompts, 0), strict=True
    ):
        right = []
        for query, result in zip(prompts.queries, done[f"0/{shots}"], strict=True):
            said = segmenter.answer(query.example.input)
            losses = [
                float(
                    read_answers(context, [(segmenter.question(one, first=not shots), said)])[
                        0
                    ].losses.sum()
                )
                for one in labels
            ]
            best = labels[int(np.argmin(losses))]
            assert result.answer == result.choice == best
            right.append(best == query.example.output)
        assert point.score == np.mean(right)


def test_label_and_input_change_places_and_what_cannot_go_with_that_is_refused() -> None:
    recipe = load_recipe(find_recipe("tiny"), ["template.channel=true"])
    tokenizer = load_base("tiny").tokenizer
    one, other = Segmenter(tokenizer, recipe.template), Example("drum choir", "Emma")
    found = tokenize(one, other)
    assert (found.later, found.answer) == (one.question("Emma"), one.answer("drum choir"))
    with pytest.raises(RecipeError, match="says inputs, not answers"):
        check_direct(recipe.template)
    sums = load_recipe(
        find_recipe("tiny"), ["template.channel=true", 'tasks=[{source="tiny:sums-00"}]']
    )
    with pytest.raises(RecipeError, match="one label an answer, not for sums-00"):
        make_workload(sums, load_tasks(sums.tasks, 0, Path.cwd()), tokenizer)
    for key in ("episodes.rename_labels=0.5", "objective.choice=1.0", "evaluation.choose=similar"):
        with pytest.raises(RecipeError, match=r"`template\.channel` goes without"):
            load_recipe(find_recipe("tiny"), ["template.channel=true", key])
