"""The training loop on the embedded model: it learns, stops, resumes exactly, keeps the best."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.evaluation.measure import evaluate_entry, measure
from yofo_mlx.evaluation.prompts import draw_prompts
from yofo_mlx.models.adapters import adapter_weights, load_adapter, mount
from yofo_mlx.models.base import Base, load_base
from yofo_mlx.planning.planner import make_planner
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.recipe.file import find_recipe, to_toml
from yofo_mlx.recipe.schema import Evaluation, Optimizer, Recipe
from yofo_mlx.runs import launch
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.loop import advance, train
from yofo_mlx.training.schedule import learning_rate
from yofo_mlx.training.setup import Setup
from yofo_mlx.training.trainer import Learner

SMALL = (
    "train.steps=6",
    "train.eval_every=3",
    "train.checkpoint_every=2",
    "episodes.max_tokens=96",
    "lora.rank=4",
    "lora.dropout=0.1",
    "evaluation.valid_tasks=2",
    "evaluation.queries=2",
    "evaluation.shots=[0,2]",
)


@pytest.fixture(scope="module")
def entries() -> list[TaskEntry]:
    recipe = small_recipe()
    return load_tasks(recipe.tasks, recipe.seed, Path.cwd())[:4]


def small_recipe(*overrides: str) -> Recipe:
    return load_recipe(find_recipe("tiny"), [*SMALL, *overrides])


def run_it(
    recipe: Recipe,
    entries: list[TaskEntry],
    *,
    run: Run | None = None,
    stop_after: int | None = None,
    base: Base | None = None,
    interrupt: Callable[[Event], bool] = lambda event: False,
) -> tuple[Run, list[Event]]:
    """Train on a fresh base model; return the run and the events of this stretch."""
    run = run or launch.create_run(recipe, "test")
    base = base or load_base("tiny")
    events: list[Event] = []

    def should_stop() -> bool:
        return stop_after is not None and any(e.get("step") == stop_after for e in events)

    hurries = False

    def listen(event: Event) -> None:
        nonlocal hurries
        events.append(event)
        hurries = hurries or interrupt(event)

    workload = make_workload(recipe, entries, base.tokenizer)
    planner = make_planner(recipe, base.path)
    train(
        run,
        recipe,
        Setup(base, workload, planner),
        should_stop=should_stop,
        should_leave=lambda: hurries,
        on_event=listen,
    )
    return run, events


def figures(events: Iterable[Event]) -> Iterator[tuple[Any, ...]]:
    """Yield what must be the same in two runs: everything but clocks and memory."""
    for event in events:
        if event["kind"] in ("step", "eval"):
            yield tuple(
                event.get(k) for k in ("kind", "step", "loss", "lr", "shots", "best", "by_shots")
            )


def kinds(run: Run) -> list[str]:
    return [event["kind"] for event in run.events() if event["kind"] != "progress"]


def adapter_bytes(run: Run) -> bytes:
    return (run.adapter_path / "adapters.safetensors").read_bytes()


@pytest.fixture(scope="module")
def trained(
    entries: list[TaskEntry], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, list[Event]]:
    """Return a short run that learned something, for all tests that only look at one."""
    recipe = small_recipe("train.steps=25", "train.eval_every=25", "lora.dropout=0.0")
    run = Run(tmp_path_factory.mktemp("trained"))
    run.recipe_path.write_text(to_toml(recipe))
    return run_it(recipe, entries, run=run)


def test_training_lowers_the_loss_and_leaves_a_whole_run_folder(
    trained: tuple[Run, list[Event]],
) -> None:
    run, events = trained
    losses = [event["loss"] for event in events if event["kind"] == "step"]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert [event["kind"] for event in events][-1] == "finished"
    assert {path.name for path in run.path.iterdir()} == {
        "recipe.toml",
        "events.jsonl",
        "checkpoints",
        "adapter",
    }
    assert {path.name for path in run.adapter_path.iterdir()} == {
        "adapters.safetensors",
        "adapter_config.json",
        "yofo_template.json",
    }


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    entries: list[TaskEntry],
) -> None:
    one, two, other = (run_it(small_recipe(f"seed={seed}"), entries) for seed in (1, 1, 2))
    assert list(figures(one[1])) == list(figures(two[1]))
    assert adapter_bytes(one[0]) == adapter_bytes(two[0]) != adapter_bytes(other[0])


BY_TOKENS = (
    "train.batch_tokens=200",
    "episodes.fixed_shots=2",
    'objective.targets="last"',
    "train.steps=4",
)
BY_LABELS = ("episodes.label_subset=[2,3]", "episodes.rename_labels=0.5", "train.steps=4")
PATIENT = ("train.steps=50", "train.eval_every=1", "train.patience=2", "optimizer.learning_rate=1")


@pytest.mark.parametrize(
    ("stop_after", "settings"),
    [
        *(pytest.param(step, (), marks=pytest.mark.long) for step in (1, 3, 4, 6)),
        pytest.param(2, PATIENT, marks=pytest.mark.long),
        (3, BY_TOKENS),
        pytest.param(3, ("train.batch_tokens=200", *BY_LABELS), marks=pytest.mark.long),
        (3, ("train.grad_accumulation_steps=3", "train.batch_size=2", *BY_LABELS)),
    ],
)
def test_a_stopped_and_resumed_run_is_the_run_that_was_not_stopped(
    entries: list[TaskEntry], stop_after: int, settings: tuple[str, ...]
) -> None:
    recipe = small_recipe(*settings)
    whole, events = run_it(recipe, entries)
    run, before = run_it(recipe, entries, stop_after=stop_after)
    assert before[-1]["kind"] == "stopped"
    run_it(recipe, entries, run=run)
    assert list(figures(run.events())) == list(figures(events))
    assert kinds(run) == kinds(whole)
    assert adapter_bytes(run) == adapter_bytes(whole)


def test_a_packed_run_that_was_stopped_ends_as_one_that_was_not(
    entries: list[TaskEntry],
) -> None:
    packed = ("train.batch_tokens=300", "train.packed=true")
    recipe = small_recipe(*packed, "train.steps=3", "evaluation.valid_tasks=0")
    base = load_base("tiny")
    whole, events = run_it(recipe, entries)
    half, before = run_it(recipe, entries, stop_after=1)
    _, after = run_it(recipe, entries, run=half)
    steps = [event for event in events if event["kind"] == "step"]
    assert max(len(event["shots"]) for event in steps) > 1  # rows of several episodes
    assert [*figures(before), *figures(after)] == [*figures(events)]
    assert adapter_bytes(half) == adapter_bytes(whole)
    # An architecture that would not keep episodes apart: the run says so, and goes on.
    other = {**base.config, "model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 2}
    other |= {"n_ctx": 128, "n_positions": 128, "num_key_value_heads": 4}
    other |= {"layer_norm_epsilon": 1e-5}
    learner = Learner(recipe, Setup(replace(base, config=other), None))  # type: ignore[arg-type]
    assert not learner.recipe.train.packed and "gpt2" in learner.notes[0][0]


def test_old_checkpoints_are_removed(entries: list[TaskEntry]) -> None:
    run, _ = run_it(small_recipe(), entries)
    assert [path.name for path in list_checkpoints(run)] == ["0000006", "0000004"]


def test_the_run_ends_early_when_validation_no_longer_improves(entries: list[TaskEntry]) -> None:
    recipe = small_recipe(
        "train.steps=50", "train.eval_every=1", "train.patience=2", "optimizer.learning_rate=1.0"
    )
    _, events = run_it(recipe, entries)
    last = events[-1]
    evals = [event for event in events if event["kind"] == "eval"]
    assert last["kind"] == "finished" and last["step"] == last["best_step"] + 2 < 50
    assert [event["best"] for event in evals][-2:] == [False, False]


def test_accumulated_episodes_give_the_update_of_one_large_batch(entries: list[TaskEntry]) -> None:
    class OneByOne:
        """Hands the episodes of one draw out in passes."""

        def __init__(self, sampler: Any) -> None:
            self.sampler = sampler

        def draw(self, step: int, micro_step: int, count: int) -> Any:
            return self.sampler.draw(step, 0, 4)[micro_step * count :][:count]

    adapters = []
    for size, passes in ((4, 1), (1, 4)):
        recipe = small_recipe(
            f"train.batch_size={size}",
            f"train.grad_accumulation_steps={passes}",
            "train.steps=1",
            "lora.dropout=0.0",
            "optimizer.warmup=0.0",
        )
        base = load_base("tiny")
        workload = make_workload(recipe, entries, base.tokenizer)
        object.__setattr__(workload, "sampler", OneByOne(workload.sampler))
        run = launch.create_run(recipe, "test")
        train(run, recipe, Setup(base, workload), should_stop=lambda: False)
        arrays = mx.load(str(run.checkpoints_path / "0000001" / "optimizer_state.safetensors"))
        adapters.append({name: np.array(a) for name, a in arrays.items() if name.endswith(".m")})
    for name, array in adapters[0].items():
        np.testing.assert_allclose(adapters[1][name], array, atol=2e-6)


def test_a_loss_that_is_not_finite_ends_the_run_and_names_what_it_was_about(
    entries: list[TaskEntry],
) -> None:
    base = load_base("tiny")
    base.model.model.norm.weight = base.model.model.norm.weight * float("nan")
    with pytest.raises(
        RunError, match="step 1: loss nan, gradient norm nan, in an episode of"
    ) as caught:
        run_it(small_recipe("train.eval_every=100"), entries, base=base)
    assert "checkpoint" in caught.value.hint


def test_layers_that_the_model_lacks_are_named(entries: list[TaskEntry]) -> None:
    with pytest.raises(RecipeError, match=r"no self_attn\.qq_proj"):
        run_it(small_recipe('lora.keys=["self_attn.qq_proj"]'), entries)


def test_without_validation_the_latest_adapter_is_kept_also_after_a_stop() -> None:
    recipe = small_recipe()
    blind = [
        replace(entry, task=replace(entry.task, test=()))
        for entry in load_tasks(recipe.tasks, 0, Path.cwd())[:2]
    ]
    run, events = run_it(recipe, blind, stop_after=2)
    assert "no training task has queries" in next(
        event["message"] for event in events if event["kind"] == "warning"
    )
    run_it(recipe, blind, run=run)
    newest = list_checkpoints(run)[0] / "adapters.safetensors"
    assert adapter_bytes(run) == newest.read_bytes()


def test_a_stop_in_the_last_step_still_leaves_the_last_validation_to_do(
    entries: list[TaskEntry],
) -> None:
    run, before = run_it(small_recipe(), entries, stop_after=6)
    assert before[-1]["kind"] == "stopped"
    _, after = run_it(small_recipe(), entries, run=run)
    assert [event["kind"] for event in after][-1] == "finished"
    assert [event["step"] for event in after if event["kind"] == "eval"] == [6]


def test_validation_asks_the_valid_split_and_leaves_the_test_split_alone(
    entries: list[TaskEntry],
) -> None:
    base, recipe = load_base("tiny"), small_recipe("evaluation.queries=50")
    task = entries[0].task
    entry = replace(entries[0], task=replace(task, valid=task.train[:3], test=task.test[:5]))
    asked = {
        valid: evaluate_entry(base, recipe, entry, valid=valid).queries for valid in (True, False)
    }
    assert asked == {True: 3, False: 5}


def test_an_update_that_breaks_the_adapter_is_not_saved(entries: list[TaskEntry]) -> None:
    recipe = small_recipe("optimizer.learning_rate=1e38", "optimizer.warmup=0.0")
    run = launch.create_run(recipe, "test")
    with pytest.raises(RunError, match="not finite"):
        run_it(recipe, entries, run=run)
    assert not list_checkpoints(run)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lora.fine_tune_type=dora", "rows of zeros"),
        ("lora.fine_tune_type=bitfit", "llama has no biases in its layers"),
        ("lora.num_layers=99", "has 5 layers"),
    ],
)
def test_adapters_that_the_model_cannot_carry_are_refused(
    entries: list[TaskEntry], override: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        run_it(small_recipe(override), entries)


def test_a_checkpoint_with_something_else_than_numbers_is_named(
    entries: list[TaskEntry],
) -> None:
    run, _ = run_it(small_recipe(), entries, stop_after=2)
    state = list_checkpoints(run)[0] / "trainer_state.json"
    state.write_text(state.read_text().replace('"step": 2', '"step": "x"'))
    with pytest.raises(RunError, match=r"checkpoint .* cannot be read"):
        run_it(small_recipe(), entries, run=run)


def test_a_dora_run_trains(entries: list[TaskEntry]) -> None:
    # DoRA divides by the norm of rows, and most layers of the embedded model have rows of zeros.
    keys = 'lora.keys=["self_attn.v_proj"]'
    recipe = small_recipe("lora.fine_tune_type=dora", keys, "train.steps=2")
    run, events = run_it(recipe, entries)
    assert events[-1]["kind"] == "finished"
    load_adapter(load_base("tiny").model, run.adapter_path)


def kind_of(kind: str, *overrides: str) -> Recipe:
    fixed = ("lora.dropout=0.0", "memory.method=chunked", "memory.chunk=32")
    return small_recipe(f"lora.fine_tune_type={kind}", *fixed, *overrides)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ia3", "bottleneck"])
def test_other_kinds_lower_the_loss_on_validation_rows_in_20_steps(
    entries: list[TaskEntry], kind: str
) -> None:
    recipe = kind_of(
        kind, "train.steps=20", "train.eval_every=20", "optimizer.learning_rate=0.02",
        "evaluation.queries=8",
    )  # fmt: skip
    run, _ = run_it(recipe, entries)
    base = load_base("tiny")
    before = evaluate_entry(base, recipe, entries[0], valid=True).points
    mount(base.model, run.adapter_path)
    after = evaluate_entry(base, recipe, entries[0], valid=True).points
    assert all(one.loss < two.loss for one, two in zip(after, before, strict=True))


@pytest.mark.parametrize("kind", ["ia3", "bottleneck"])
def test_other_kinds_go_on_to_the_bit(entries: list[TaskEntry], kind: str) -> None:
    recipe = kind_of(kind, "train.steps=2", "train.eval_every=9", "evaluation.valid_tasks=0")
    whole, events = run_it(recipe, entries[:1])
    assert all(size > 0 for size in (e["grad_norm"] for e in events if e["kind"] == "step"))
    run, _ = run_it(recipe, entries[:1], stop_after=1)
    run_it(recipe, entries[:1], run=run)
    assert adapter_bytes(run) == adapter_bytes(whole)


def test_mlx_lm_itself_generates_the_same_text_from_an_adapter(
    entries: list[TaskEntry], trained: tuple[Run, list[Event]]
) -> None:
    run, _ = trained
    base = load_base("tiny")
    load_adapter(base.model, run.adapter_path)
    base.model.eval()
    segmenter = Segmenter(base.tokenizer, small_recipe().template)
    shots = entries[0].task.train[:3]
    tokens = list(segmenter.opening)
    for index, shot in enumerate(shots[:2]):
        tokens += segmenter.question(shot.input, first=index == 0) + segmenter.answer(shot.output)
    question = segmenter.question(shots[2].input)
    ours = generate(Context(base.model), segmenter, tokens + question, max_tokens=8).text
    prompt = base.tokenizer.decode(tokens + question).removeprefix(base.tokenizer.bos_token)
    theirs = subprocess.run(
        [
            sys.executable,
            "-m",
            "mlx_lm",
            "generate",
            "--model",
            str(base.path),
            "--adapter-path",
            str(run.adapter_path),
            "--prompt",
            base.tokenizer.bos_token + prompt,
            "--ignore-chat-template",
            "--max-tokens",
            "8",
            "--temp",
            "0",
            "--verbose",
            "False",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert theirs.strip().splitlines()[0].strip() == ours


def test_evaluation_by_shots_equals_scoring_every_prompt_from_scratch(
    entries: list[TaskEntry],
) -> None:
    base = load_base("tiny")
    recipe = small_recipe()
    segmenter = Segmenter(base.tokenizer, recipe.template)
    settings = Evaluation(shots=(0, 1, 5), queries=3)
    prompt = draw_prompts(segmenter, entries[0], settings, max_tokens=256, seed=3)
    found = {point.shots: point for point in measure(base.model, segmenter, entries[0], prompt)}
    assert tuple(found) == settings.shots
    for shots in settings.shots:
        shown = prompt.draws[0]
        tokens = shown.tokens[: shown.answers[shots - 1][1]] if shots else list(prompt.opening)
        losses, right = [], []
        for query in prompt.queries:
            question = query.tokens.later if shots else query.tokens.first
            sequence = tokens + question + query.tokens.answer
            logits = base.model(mx.array(sequence)[None])[0].astype(mx.float32)
            rows = logits[-len(query.tokens.answer) - 1 : -1]
            logs = np.array(rows - mx.logsumexp(rows, axis=-1, keepdims=True))
            picked = logs[np.arange(len(logs)), query.tokens.answer]
            losses.append(-picked.mean())
            right.append((logs.argmax(axis=-1) == query.tokens.answer).all())
        assert found[shots].loss == pytest.approx(np.mean(losses), rel=1e-4)
        assert found[shots].score == np.mean(right)


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.1), ("linear", 0.1), ("constant", 1.0)])
def test_the_learning_rate_rises_then_falls_to_its_end(schedule: Any, end: float) -> None:
    settings = Optimizer(learning_rate=2.0, schedule=schedule, warmup=0.2, final=0.1)
    rates = [learning_rate(settings, share) for share in np.linspace(0, 1, 101)]
    assert rates[10] == pytest.approx(1.0) and max(rates) == rates[20] == pytest.approx(2.0)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(2.0 * end)


def test_events_of_a_step_hold_what_viewers_need(entries: list[TaskEntry]) -> None:
    run, events = run_it(small_recipe("train.steps=1"), entries)
    (step,) = [event for event in events if event["kind"] == "step"]
    assert {
        "step",
        "loss",
        "lr",
        "tokens",
        "targets",
        "shots",
        "tokens_per_s",
        "targets_per_s",
    } <= (step.keys())
    assert {"peak_gb", "memory_gb", "share", "seconds_left", "v", "t"} <= step.keys()
    assert math.isfinite(step["loss"]) and step["share"] == 1.0
    written = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    assert written == events


CHUNKED = ('memory.method="chunked"', "memory.chunk=32", "memory.stash=2")


def test_a_run_in_chunks_learns_what_a_plain_one_learns(entries: list[TaskEntry]) -> None:
    plain = small_recipe("lora.dropout=0.0", "train.steps=3")
    chunked = small_recipe("lora.dropout=0.0", "train.steps=3", *CHUNKED)
    losses = [
        [event["loss"] for event in run_it(recipe, entries)[1] if event["kind"] == "step"]
        for recipe in (plain, chunked)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_a_step_that_is_left_between_pieces_leaves_no_trace(
    entries: list[TaskEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yofo_mlx.training.trainer.PROGRESS_EVERY_S", 0.0)
    recipe = small_recipe(*CHUNKED)
    whole, events = run_it(recipe, entries)
    told = [event for event in events if event["kind"] == "progress" and event["step"] == 4]
    pieces = [event for event in told if event["phase"] in ("forward", "backward")]
    assert [event["done"] for event in pieces] == list(range(1, pieces[0]["total"] + 1))

    def interrupt(event: Event) -> bool:
        return event["kind"] == "progress" and event["step"] == 4 and event["phase"] == "backward"

    run, first = run_it(recipe, entries, interrupt=interrupt)
    assert (first[-1]["kind"], first[-1]["step"]) == ("stopped", 3)
    assert list_checkpoints(run)[0].name == "0000003"
    run, second = run_it(recipe, entries, run=run)
    assert [*figures(first), *figures(second)] == list(figures(events))
    assert adapter_bytes(run) == adapter_bytes(whole)


def test_memory_that_was_freed_is_bounded_and_the_bound_goes_with_the_run(
    entries: list[TaskEntry],
) -> None:
    recipe, limits = small_recipe("train.steps=3"), []

    def note(event: Event) -> bool:
        if event["kind"] == "step":
            limits.append(mx.set_cache_limit(0))
            mx.set_cache_limit(limits[-1])
        return False

    before = mx.set_cache_limit(12345678)
    try:
        _, events = run_it(recipe, entries, interrupt=note)
        assert mx.set_cache_limit(before) == 12345678
    finally:
        mx.set_cache_limit(before)
    planner = make_planner(recipe)
    assert limits == 3 * [planner.cache_bytes(planner.longest_step(recipe))]
    assert max(event["memory_gb"] for event in events if event["kind"] == "step") < 0.5


def test_the_plan_is_told_and_episodes_past_the_trained_context_are_warned_of(
    entries: list[TaskEntry],
) -> None:
    base = load_base("tiny")
    base = replace(base, config=base.config | {"max_position_embeddings": 64})
    _, events = run_it(small_recipe("train.steps=1", *CHUNKED), entries, base=base)
    plan = next(event for event in events if event["kind"] == "plan")
    assert (plan["chunk"], plan["stash"]) == (32, 2)
    assert 0 < plan["step_gb"] < plan["limit_gb"]
    warning = next(event for event in events if "trained on at most" in event.get("message", ""))
    assert "96 tokens" in warning["message"] and "at most 64" in warning["message"]


def test_gradients_that_differ_between_the_ways_stop_the_run_before_its_first_step(
    entries: list[TaskEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yofo_mlx.gradients.tiles.LOG2_E", 1.5)
    with pytest.raises(RunError, match="llama: in chunks its gradients differ"):
        run_it(small_recipe(*CHUNKED), entries)


@pytest.mark.parametrize("memory", ["plain", pytest.param("chunked", marks=pytest.mark.long)])
def test_what_learns_without_a_run_folder_learns_the_same(
    entries: list[TaskEntry], memory: str
) -> None:
    recipe = small_recipe(f"memory.method={memory}", "train.grad_accumulation_steps=2")
    base = load_base("tiny")
    workload = make_workload(recipe, entries, base.tokenizer)
    learner = Learner(recipe, Setup(base, workload, make_planner(recipe, base.path)))
    learner.begin()
    steps = []
    while learner.share < 1.0:
        steps.append(advance(learner))
    run, events = run_it(recipe, entries)
    told = [(e["loss"], e["lr"], e["grad_norm"]) for e in events if e["kind"] == "step"]
    assert [(step.loss, step.rate, step.norm) for step in steps] == told and len(told) == 6
    saved = mx.load(str(list_checkpoints(run)[0] / "adapters.safetensors"))
    here = adapter_weights(learner.model)
    assert saved.keys() == here.keys()
    assert all(mx.array_equal(saved[name], here[name]) for name in here)
