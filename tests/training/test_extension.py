"""A run that is done goes on: its length may change, and nothing else."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.processes import endless, start, trained_in, training_run, wait_for  # noqa: F401
from tui.runs.follow import Follower
from yofo_mlx.commands import background
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.runs.trained import is_edited, trained
from yofo_mlx.system import paths
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.extension import as_event

ROWS = "".join(f'{{"input": "question {i}", "output": "{i % 3}"}}\n' for i in range(20))
RECIPE = """
model = "tiny"
lora = {{ rank = 2 }}
episodes = {{ max_tokens = 96 }}
evaluation = {{ valid_tasks = 1, queries = 1, shots = [0] }}
optimizer = {{ schedule = "constant", warmup = 0.0, learning_rate = 1e-3 }}
train = {{ steps = 4, eval_every = 2, checkpoint_every = 2, keep_checkpoints = 9 }}
[[tasks]]
source = "{}"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows.jsonl").write_text(ROWS)
    path = folder / "own.toml"
    path.write_text(RECIPE.format(folder / "rows.jsonl"))
    return path


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run that is done, for copies of it to be extended."""
    return trained_in(tmp_path_factory.mktemp("finished"), recipe)


@pytest.fixture
def run(finished: Run) -> Run:
    """Return a run that is done, after four steps."""
    copy = Run(paths.runs() / finished.run_id)
    shutil.copytree(finished.path, copy.path)
    return copy


def of_kind(run: Run, kind: str, *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(map(event.get, fields)) for event in run.events() if event["kind"] == kind]


def same_training(one: Run, other: Run) -> bool:
    """Tell whether two runs made the same steps and came to the same weights."""
    figures = [
        [of_kind(run, "step", "step", "loss", "lr", "grad_norm", "total_tokens") for run in pair]
        + [of_kind(run, "eval", "step", "loss", "best") for run in pair]
        for pair in ([one], [other])
    ]
    names = ["adapter/adapters.safetensors"]
    names += [str(p.relative_to(one.path)) for p in one.checkpoints_path.rglob("*.safetensors")]
    files = [(one.path / name).read_bytes() == (other.path / name).read_bytes() for name in names]
    return figures[0] == figures[1] and all(files) and len(names) > 2


def test_a_run_that_was_extended_twice_is_the_run_that_had_that_length_from_the_start(
    yofo: Any, run: Run, recipe: Path
) -> None:
    assert yofo("resume", "last", "--set", "train.steps=6")[0] == 0
    assert yofo("resume", "last", "--set", "train.steps=10")[0] == 0
    assert yofo("train", recipe, "--set", "train.steps=10", "--name", "whole")[0] == 0
    assert same_training(run, listing.list_runs()[0])
    assert run.status() == "finished"


@pytest.mark.parametrize("lost", [1, 2])  # checkpoints: then it is where it was extended
def test_a_run_that_dies_after_it_was_extended_goes_on_as_if_it_had_not(
    yofo: Any, run: Run, lost: int
) -> None:
    assert yofo("resume", "last", "--set", "train.steps=8")[0] == 0
    whole = Run(run.path.with_name("whole"))
    shutil.copytree(run.path, whole.path)
    for path in list_checkpoints(run)[:lost]:
        shutil.rmtree(path)
    run.events_path.write_text("".join(run.events_path.read_text().splitlines(keepends=True)[:-1]))
    assert run.status() == "died" and yofo("resume", run.path)[0] == 0
    assert same_training(run, whole)
    assert of_kind(run, "extended", "step", "steps") == [(4, 8)]


def test_a_new_length_is_told_everywhere(yofo: Any, run: Run) -> None:
    assert yofo("resume", "last", "--set", "train.steps=6")[0] == 0
    change = run.info().extended[0]
    assert (change.step, change.unit, change.before, change.after) == (4, "steps", 4, 6)
    assert change.date.startswith("20")
    assert trained(run).recipe.train.steps == 6
    assert load_recipe(run.recipe_path).train.steps == 6 and not is_edited(run, run.info())
    assert of_kind(run, "extended", "step", "steps", "before") == [(4, 6, 4)]
    assert of_kind(run, "finished", "step") == [(6,)]


def test_a_decay_that_was_at_its_end_goes_up_again_and_both_rates_are_told(
    yofo: Any, recipe: Path
) -> None:
    decay = ("--set", "optimizer.schedule=linear", "--set", "optimizer.final=0.25")
    assert yofo("train", recipe, *decay)[0] == 0
    code, _, err = yofo("resume", "last", "--set", "train.steps=8")
    assert code == 0 and "the learning rate goes from 0.00025 to 0.000531" in err
    rates = [rate for (rate,) in of_kind(listing.list_runs()[0], "step", "lr")]
    assert rates[3:5] == pytest.approx([0.00025, 0.00053125])
    _, _, err = yofo("resume", "last", "--set", "train.steps=16", "--detach")
    assert "its length is now 16 steps, it was 8; the learning rate goes from 0.00025 to" in err


def test_every_other_key_is_refused_with_a_command_that_works(yofo: Any, run: Run) -> None:
    before = (run.path / "run.json").read_bytes(), run.recipe_path.read_bytes()
    for keys in (
        ["seed=3"],
        ["train.steps=9", "optimizer.learning_rate=1e-5"],
        ["train.patience=1"],
    ):
        code, _, err = yofo("resume", "last", *(w for key in keys for w in ("--set", key)))
        key = keys[-1].partition("=")[0]
        assert code == 2 and f"error: {key} cannot change in run" in err
        assert (
            len(err.splitlines()) == 2
            and f"--set init_adapter={run.run_id} --set {keys[-1]}" in err
        )
    _, _, err = yofo("resume", "last", "--set", "lora.rank=3")
    assert "init_adapter" not in err and "--set lora.rank=3" in err
    assert before == ((run.path / "run.json").read_bytes(), run.recipe_path.read_bytes())
    assert run.status() == "finished"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("train.steps=4", "has done 4 steps already"),
        ("train.steps=1", "has done 4 steps already"),
        ("train.tokens=1000000", "is counted in steps, not in tokens"),
        ("train.stepz=9", "unknown key `train.stepz`, did you mean `steps`?"),
        ("train.steps=many", "`train.steps`: "),
        ("train.steps=-1", "`train.steps`: "),
    ],
)
def test_a_length_that_is_none_is_refused(yofo: Any, run: Run, given: str, words: str) -> None:
    before = run.events_path.read_bytes()
    code, _, err = yofo("resume", "last", "--set", given)
    assert code == 2 and words in err and len(err.splitlines()) == 2
    assert run.events_path.read_bytes() == before and not run.info().extended


def test_a_finished_run_says_how_to_go_on_and_that_works(yofo: Any, run: Run) -> None:
    _, _, err = yofo("resume", "last")
    command = err.split("next: yofo ")[1].split()
    assert command == ["resume", run.run_id, "--set", "train.steps=8"]
    assert yofo(*command)[0] == 0 and of_kind(run, "finished", "step") == [(8,)]


@pytest.mark.long
def test_a_run_that_its_patience_ended_early_gets_new_patience(yofo: Any, recipe: Path) -> None:
    wild = ("optimizer.learning_rate=10.0", "train.patience=1", "train.steps=60")
    assert yofo("train", recipe, *(word for key in wild for word in ("--set", key)))[0] == 0
    run = listing.list_runs()[0]
    ((early,),) = of_kind(run, "finished", "step")
    assert early < 60
    _, _, err = yofo("resume", "last")
    assert "its validations got no better" in err and "--set train.steps=60" in err
    assert yofo("resume", "last", "--set", "train.steps=60")[0] == 0
    assert of_kind(run, "finished", "step")[0][0] > early


@pytest.mark.long
def test_a_run_of_tokens_is_given_more_tokens(yofo: Any, recipe: Path) -> None:
    assert yofo("train", recipe, "--set", "train.tokens=200")[0] == 0
    run = listing.list_runs()[0]
    steps = len(of_kind(run, "step"))
    assert "--set train.tokens=400" in yofo("resume", "last")[2]
    code, _, err = yofo("resume", "last", "--set", "train.tokens=100")
    assert code == 2 and "tokens already" in err
    assert yofo("resume", "last", "--set", "train.tokens=600")[0] == 0
    assert len(of_kind(run, "step")) > steps and of_kind(run, "extended", "tokens") == [(600,)]


@pytest.mark.parametrize("checkpoint_every", [3, 4])
def test_the_best_adapter_of_the_shorter_run_stays_the_best_until_a_better_one_comes(
    yofo: Any, recipe: Path, checkpoint_every: int
) -> None:
    own = (f"train.checkpoint_every={checkpoint_every}", "train.eval_every=100")
    assert yofo("train", recipe, *(word for key in own for word in ("--set", key)))[0] == 0
    run = listing.list_runs()[0]
    best = (run.adapter_path / "adapters.safetensors").read_bytes()
    run.note(recipe=worse(run))
    assert yofo("resume", "last", "--set", "train.steps=6")[0] == 0
    assert of_kind(run, "eval", "step", "best") == [(4, True), (6, False)]
    assert (run.adapter_path / "adapters.safetensors").read_bytes() == best


def worse(run: Run) -> dict[str, Any]:
    """Return a run's recipe with a learning rate that spoils what it has learnt."""
    recipe: Any = run.info().recipe
    return recipe | {"optimizer": recipe["optimizer"] | {"learning_rate": 10.0}}


@pytest.mark.long
def test_a_run_that_was_stopped_may_be_given_less_than_was_planned(
    yofo: Any,
    endless: Path,  # noqa: F811
) -> None:
    process = start("train", endless)
    run = wait_for(training_run)
    run.request_stop()
    assert process.wait() == 130
    done = of_kind(run, "stopped", "step")[0][0]
    assert yofo("resume", "last", "--set", f"train.steps={done + 2}")[0] == 0
    assert of_kind(run, "finished", "step") == [(done + 2,)]


def test_a_run_that_is_being_trained_is_left_as_it_is(yofo: Any, run: Run) -> None:
    with lock.locked(run.path):
        code, _, err = yofo("resume", "last", "--set", "train.steps=8")
    assert code == 1 and "is being trained by process" in err and not run.info().extended


def test_edits_of_the_recipe_of_a_run_that_is_extended_are_not_lost(yofo: Any, run: Run) -> None:
    edited = run.recipe_path.read_text().replace("rank = 2", "rank = 3")
    run.recipe_path.write_text(edited)
    assert yofo("resume", "last", "--set", "train.steps=5")[0] == 0
    assert run.recipe_path.read_text() == edited
    assert of_kind(run, "finished", "step") == [(5,)]


def test_who_looks_at_a_run_that_goes_on_sees_its_new_length_and_how_far_it_is(
    yofo: Any, run: Run
) -> None:
    follower = Follower(run)
    assert (follower.poll().planned, follower.poll().share) == ("4", 1.0)
    background.extend("last", ["train.steps=8"])
    writer = EventWriter(run.events_path)
    writer.roll_back(writer.position, 4)
    with lock.locked(run.path):
        EventWriter(run.events_path).write(as_event(run.info().extended[0], share=0.5))
        view = follower.poll()
        assert (view.planned, view.share, view.status) == ("8", 0.5, "running")
    assert yofo("resume", "last")[0] == 0
    view = follower.poll()
    assert (view.planned, view.share, view.status, view.steps_done) == ("8", 1.0, "finished", 8)


def test_a_log_shows_the_steps_of_a_run_that_goes_on(yofo: Any, run: Run) -> None:
    assert yofo("resume", "last", "--set", "train.steps=8")[0] == 0
    _, _, err = yofo("watch", "last")
    assert "step     5   62%" in err and "step     8  100%" in err


def test_a_new_length_that_could_not_be_begun_at_once_is_begun_later(
    yofo: Any, run: Run, recipe: Path
) -> None:
    rows = recipe.with_name("rows.jsonl")
    rows.rename(rows.with_suffix(".away"))
    assert yofo("resume", "last", "--set", "train.steps=6")[0] == 3
    rows.with_suffix(".away").rename(rows)
    assert yofo("resume", "last")[0] == 0
    assert of_kind(run, "finished", "step") == [(6,)] == of_kind(run, "extended", "steps")
    background.extend("last", ["train.steps=7"])
    assert yofo("resume", "last")[0] == 0
    assert of_kind(run, "finished", "step") == [(7,)]
