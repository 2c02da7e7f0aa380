"""What each objective does to a model that learns by it: the embedded one, a few updates."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.errors import YofoError
from yofo_mlx.gradients import loss_and_gradients
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.base import load_base
from yofo_mlx.models.logits import row_logits
from yofo_mlx.objectives.answers import means
from yofo_mlx.objectives.sums import slopes
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.training.loop import advance, draw
from yofo_mlx.training.setup import Setup, load
from yofo_mlx.training.trainer import Learner

LABELS = 'tasks=[{source="tiny:topic-01"}]'


def recipe(*changes: str) -> Recipe:
    few = ("episodes.max_tokens=96", "lora.rank=4", "train.steps=9", "train.batch_size=2")
    return load_recipe(find_recipe("tiny"), [*few, *changes])


def workload_of(settings: Recipe) -> Workload:
    entries = load_tasks(settings.tasks, settings.seed, Path.cwd())
    return make_workload(settings, entries, load_base("tiny").tokenizer)


def learner(settings: Recipe) -> Learner:
    made = Learner(settings, Setup(load_base("tiny"), workload_of(settings)))
    made.begin()
    return made


def gradient(of: Learner) -> dict[str, np.ndarray]:
    """Return the gradient of its next update, before it is clipped."""
    batches = draw(of)
    total: dict[str, Any] = {}
    for batch in batches:
        for name, array in tree_flatten(loss_and_gradients(of.model, batch)[1]):
            total[name] = np.array(array, dtype=np.float64) + total.get(name, 0.0)
    return {name: array / sum(b.denominator for b in batches) for name, array in total.items()}


def likelihoods(of: Learner, batch: Batch, kind: str) -> float:
    """Return the mean of log p over the last answers of the rows of a kind."""
    of.model.eval()
    logits = row_logits(of.model, mx.array(batch.tokens), mx.array(batch.rows))
    found = np.array(means(token_losses(logits, mx.array(batch.targets)), batch))
    last = {row: found[answer] for answer, row in enumerate(batch.rows_of_answers.tolist())}
    return -float(np.mean([last[row] for row, one in enumerate(batch.kinds) if one == kind]))


def after(settings: Recipe, steps: int) -> Learner:
    made = learner(settings)
    for _ in range(steps):
        advance(made)
    return made


def test_drical_without_its_share_and_with_a_flat_scale_is_plain() -> None:
    plain = gradient(learner(recipe(LABELS)))
    near = gradient(learner(recipe(LABELS, "objective.zero_shot=1e-7", "objective.reweight=1e9")))
    apart = gradient(learner(recipe(LABELS, "objective.zero_shot=0.4", "objective.reweight=1.0")))
    for name, array in plain.items():
        size = np.linalg.norm(array)
        assert np.linalg.norm(near[name] - array) <= 1e-5 * size, name
    assert any(np.linalg.norm(apart[n] - a) > 0.1 * np.linalg.norm(a) for n, a in plain.items())


def test_a_reweighted_answer_weighs_what_the_formula_says() -> None:
    (batch,) = draw(learner(recipe(LABELS, "objective.reweight=2.0", "episodes.draw=full")))
    losses = np.random.default_rng(0).random(len(batch.targets)).astype(np.float32)
    _, found = slopes(mx.array(losses), batch)
    answers = [losses[batch.answers == place] for place in range(len(batch.rows_of_answers))]
    assert len(answers) > 12  # more than a window
    rows = batch.rows_of_answers.tolist()
    for place, own in enumerate(answers):
        first = max(rows.index(rows[place]), place - 10)
        before = [float(one.mean()) for one in answers[first:place]]
        weight = np.exp((own.mean() - max(before)) / 2.0) if before else 1.0
        expected = np.full(len(own), weight / len(own))
        np.testing.assert_allclose(np.array(found)[batch.answers == place], expected, rtol=1e-5)


def test_zero_shot_twins_are_the_answers_alone_and_weigh_their_share() -> None:
    many, *alone = draw(learner(recipe(LABELS, "objective.zero_shot=0.4")))
    assert sum(many.shots) + len(many.shots) == sum(len(one.kinds) for one in alone)
    assert many.denominator / sum(one.denominator for one in alone) == pytest.approx(0.6 / 0.4)
    assert {kind for one in alone for kind in one.kinds} == {"zero_shot"}
    assert sum(one.shots for batch in alone for one in [batch] if one.shots) == 0


def test_what_is_read_beside_an_episode_changes_nothing_of_it_nor_after_a_resume() -> None:
    asked = (LABELS, "objective.zero_shot=0.4", "objective.choice=1.0", "objective.wrong_labels=2")
    one, other, plain = learner(recipe(*asked)), learner(recipe(*asked)), learner(recipe(LABELS))
    for made in (one, other, plain):
        made.state.step = 3
    again = [*zip(draw(one), draw(other), strict=True)]
    assert len(again) > 1 and all(np.array_equal(a.tokens, b.tokens) for a, b in again)
    (alone,), (first, _) = draw(plain), again[0]
    length = alone.tokens.shape[1]
    assert np.array_equal(first.tokens[:2, :length], alone.tokens)


def test_unlikelihood_and_choice_make_wrong_labels_less_likely_than_plain_training_does() -> None:
    asked = (
        LABELS,
        "objective.unlikelihood=1.0",
        "objective.choice=1.0",
        "objective.wrong_labels=2",
        "train.batch_size=1",
    )
    made = learner(recipe(*asked))
    (batch,) = draw(made)
    assert batch.kinds == ("own", "wrong", "wrong")
    before = likelihoods(made, batch, "wrong") - likelihoods(made, batch, "own")
    gaps = []
    for settings in (recipe(LABELS, "train.batch_size=1"), recipe(*asked)):
        trained = after(settings, 4)
        gaps.append(likelihoods(trained, batch, "wrong") - likelihoods(trained, batch, "own"))
    assert gaps[1] < gaps[0] and gaps[1] < before


def test_preferred_answers_become_likelier_and_rejected_ones_less(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"q{n}", "chosen": "yes", "rejected": "no"} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f'source="{path}",input="prompt",valid_share=0.0'
    worse = recipe(
        f'tasks=[{{{source},output="rejected"}}]', "episodes.max_shots=1", "train.steps=99"
    )
    pairs = f'tasks=[{{{source},output="chosen",rejected="rejected"}}]'
    asked = recipe(pairs, "episodes.max_shots=1", "objective.rejected=1.0", "train.steps=99")
    made = after(worse, 8)  # it says what it should not
    made.recipe, made.setup = asked, replace(made.setup, workload=workload_of(asked))
    (batch,) = draw(made)
    assert batch.kinds == ("own", "own", "rejected", "rejected")
    before = {kind: likelihoods(made, batch, kind) for kind in ("own", "rejected")}
    assert before["rejected"] > before["own"]
    for _ in range(8):
        advance(made)
    print(before, likelihoods(made, batch, "own"), likelihoods(made, batch, "rejected"))
    assert likelihoods(made, batch, "own") > before["own"]
    assert likelihoods(made, batch, "rejected") < before["rejected"]


def test_a_doubted_target_ends_less_sure_than_one_that_is_certain(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"input": f"q{n}", "output": "yes", "entropy": 2.0 * (n % 2)} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = f'tasks=[{{source="{path}",doubt="entropy",valid_share=0.0}}]'
    asked = (data, "objective.smoothing=0.2", "episodes.max_shots=3")
    made = learner(recipe(*asked))
    (batch,) = draw(made)
    assert batch.smoothing is not None and {f"{one:.1f}" for one in batch.smoothing} == {
        "0.0",
        "0.2",
    }
    plain = after(recipe(data, "episodes.max_shots=3"), 8)
    assert likelihoods(after(recipe(*asked), 8), batch, "own") < likelihoods(plain, batch, "own")


def test_a_pupil_moves_towards_its_teacher_without_demonstrations(
    tmp_path: Path, yofo: Callable[..., tuple[int, str, str]]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'include = "tiny"\n[episodes]\nmax_tokens = 96\n[[tasks]]\nsource = "tiny:topic-01"\n'
    )
    code, _, err = yofo(
        "rehearse", path, "--distill", 4, "--limit", 6, "--shots", 2, "--out", tmp_path / "own"
    )
    assert code == 0 and "plain tuning" not in err
    few = ("lora.rank=4", "train.batch_size=6", "train.steps=9")
    asked = load_recipe(tmp_path / "own/recipe.toml", few)
    assert asked.episodes.max_shots == 0
    made = learner(asked)
    (batch,) = draw(made)
    assert batch.kinds == ("own",) * 6 and set(batch.shots) == {0}
    # In each place the teacher's shares make one token of the answer; entropy is what is left.
    places = {row: batch.weights[batch.rows == row].sum() for row in set(batch.rows.tolist())}
    assert sum(places.values()) == pytest.approx(batch.denominator, rel=1e-4)

    def divergence(of: Learner) -> float:
        of.model.eval()
        logits = row_logits(of.model, mx.array(batch.tokens), mx.array(batch.rows))
        losses = np.array(token_losses(logits, mx.array(batch.targets)), dtype=np.float64)
        shares = batch.weights / np.array([places[row] for row in batch.rows.tolist()])
        return float((batch.weights * (losses + np.log(np.maximum(shares, 1e-12)))).sum())

    before = divergence(made)
    for _ in range(6):
        advance(made)
    assert 0 < divergence(made) < 0.7 * before


def test_what_a_teacher_says_is_a_number_of_tokens_that_the_model_has(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"

    def refused(teacher: list[Any]) -> str:
        rows.write_text(json.dumps({"input": "q", "output": "yes", "teacher": teacher}) + "\n")
        settings = recipe(f'tasks=[{{source="{rows}",teacher="teacher",valid_share=0.0}}]')
        with pytest.raises(YofoError) as error:
            load(settings)
        return error.value.message

    tokens = len(learner(recipe(LABELS)).setup.workload.pools[0].demonstrations[0].answer)
    assert "no lists of [token, share] pairs" in refused([[[1, 0.5]], [[1, 0.2], [2, 0.3]]])
    assert "are for an answer of" in refused([[[1, 0.5]]] * (tokens + 40))
    assert "token ids up to 999999" in refused([[[999_999, 1.0]]])
