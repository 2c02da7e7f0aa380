"""What a run will need is what it then needs: sizes of mixed bits, data in memory, validations."""

import gc
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models import llama

from tests.architectures.parts import SHAPE
from tests.tiny_models import CONFIGS, tiny_model
from yofo_mlx.models.adapters import adapter_weights, add_adapter
from yofo_mlx.models.base import load_base, load_tokenizer, model_config, model_path
from yofo_mlx.planning.evaluation import most_asked
from yofo_mlx.planning.headers import Tensor
from yofo_mlx.planning.sizes import sizes_of, unpacked
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.kinds import Kind, ProgressEvent
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child, progress
from yofo_mlx.tasks.registry import load_tasks

TINY = model_path("tiny")
SIZES = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 1280,  # as many as the tokenizer has
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}
RECIPE = """
model = "{model}"
template = {{ style = "plain", input = "{{input}} ->", output = " {{output}}\\n" }}
episodes.max_tokens = {tokens}
train = {{ steps = 1 }}
evaluation = {{ shots = [0, 4, 16], queries = 8, valid_tasks = 2 }}
tasks = [
  {{ source = "one.jsonl" }},
  {{ source = "two.jsonl" }},
  {{ source = "three.jsonl", role = "held_out" }},
]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe with three small data sets into the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "three"):
        rows = [{"input": f"{name} {n}", "output": "even" if n % 2 else "odd"} for n in range(60)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_recipe()
    return tmp_path


def write_recipe(model: str = "tiny", tokens: int = 256) -> None:
    Path("small.toml").write_text(RECIPE.format(model=model, tokens=tokens))


def held_by_others() -> float:
    """Return the GB that tests before this one left behind in this process."""
    gc.collect()
    return mx.get_active_memory() / 1e9


def planned(yofo: Any, *keys: str) -> dict[str, Any]:
    changes = [word for key in keys for word in ("--set", key)]
    code, out, err = yofo("plan", "small.toml", "--json", *changes)
    assert code in (0, 4), err
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def events(kind: str) -> list[dict[str, Any]]:
    return [event for event in listing.find("last").events() if event["kind"] == kind]


# ---------------------------------------------------------------------- mixed bits


def write_mixed(folder: Path) -> int:
    """Write a model with a table of its own for some layers; return its parameters."""
    model = llama.Model(llama.ModelArgs.from_dict(SIZES))
    count = sum(array.size for _, array in tree_flatten(model.parameters()))
    table: dict[str, Any] = {"group_size": 64, "bits": 4}

    def choose(path: str, module: nn.Module) -> Any:
        if not hasattr(module, "to_quantized") or path.endswith("v_proj"):
            return False  # left as it is
        if "mlp" in path or "embed" in path:
            bits = 3 if path.endswith("down_proj") else 8
            table[path] = {"group_size": 32, "bits": bits}
            return table[path]
        return True

    nn.quantize(model, 64, 4, class_predicate=choose)
    folder.mkdir()
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(SIZES | {"quantization": table}))
    for file in TINY.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return count


def test_mixed_bits_are_counted_layer_by_layer_and_the_adapter_is_the_one_trained(
    yofo: Any, tmp_path: Path
) -> None:
    """mixed-bits: 8, 4 and 3 bits, other groups, and layers that were left as they are."""
    count = write_mixed(tmp_path / "mixed")
    write_recipe(str(tmp_path / "mixed"))
    found = planned(yofo)
    assert found["parameters"] == count
    assert yofo("train", "small.toml")[0] == 0
    [started] = events("started")
    assert started["trainable_parameters"] == found["trainable_parameters"]


def test_what_is_not_packed_keeps_its_shape() -> None:
    tensors = {
        "a.weight": Tensor("U32", (8, 12)),  # 6 bits: 12 words hold 64 numbers
        "a.scales": Tensor("BF16", (8, 1)),
        "a.bias": Tensor("BF16", (8,)),
        "b.weight": Tensor("U32", (4, 4)),
        "c.scales": Tensor("F32", (3,)),
    }
    sizes = unpacked(tensors, {"bits": 4, "group_size": 64, "a": {"bits": 6, "group_size": 64}})
    assert sizes == {"a.weight": (8, 64), "a.bias": (8,), "b.weight": (4, 4), "c.scales": (3,)}


@pytest.mark.parametrize("name", ["qwen3_next", "deepseek_v3", "mamba2", "lfm2", "llama"])
@pytest.mark.parametrize("lora", [Lora(rank=2), Lora(rank=3, num_layers=2)])
def test_the_adapter_is_counted_as_mlx_lm_makes_it(name: str, lora: Lora) -> None:
    model = tiny_model(name)
    config = SHAPE | {"model_type": name.split("+")[0]} | CONFIGS[name]
    shape = sizes_of(config, {"w": Tensor("F32", (1,))}, lora, item=4)
    add_adapter(model, lora)
    assert shape.adapter_parameters == sum(a.size for a in adapter_weights(model).values())


# ---------------------------------------------------------------------- data in memory

MEMORY = """
import resource, sys
from pathlib import Path
from yofo_mlx import cli
try:
    cli.main()
finally:
    status = Path("/proc/self/status")  # what Linux gives as ru_maxrss includes the parent's
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    print(*found or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss], file=sys.stderr)
"""


def measured_plan(recipe: str) -> tuple[int, dict[str, Any]]:
    """Return the most memory, in bytes, that `yofo plan` was resident in, and what it says."""
    command = [sys.executable, "-c", MEMORY, "plan", recipe, "--json"]
    done = subprocess.run(command, env=child.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1]), json.loads(done.stdout)


def write_rows(name: str, count: int) -> int:
    """Write rows of long texts, of which the embedded model knows the letters only."""
    draw = random.Random(0)
    with Path(name).open("w") as file:
        for _ in range(count):
            text = "".join(draw.choices("abcdefghijklmnopqrst    ", k=3000))
            file.write(json.dumps({"text": text, "label": draw.choice("ab")}) + "\n")
    return Path(name).stat().st_size


@pytest.mark.long
def test_data_take_at_most_three_times_their_file() -> None:
    """large-data-forecast: resident memory, and the forecast that tells of it."""
    Path("large.toml").write_text(
        'model = "tiny"\nepisodes.max_tokens = 4000\ntrain.steps = 1\n'
        'evaluation = { shots = [0], queries = 1 }\ntasks = [{ source = "rows.jsonl" }]\n'
    )
    write_rows("rows.jsonl", 10)
    empty, _ = measured_plan("large.toml")
    size = write_rows("rows.jsonl", 400)
    large, found = measured_plan("large.toml")
    assert large - empty < 3 * size + 2_000_000
    assert found["data"]["examples"] == 400
    assert size < 1e9 * found["data"]["data_gb"] < 3 * size


def test_the_whole_process_is_forecast(yofo: Any) -> None:
    found = planned(yofo)
    parts = found["process_gb"] + found["data"]["data_gb"] + found["kept_gb"]
    most = max(found["peak_gb"], found["validation"]["peak_gb"])
    assert found["resident_gb"] == pytest.approx(parts + most, abs=1e-5)
    _, out, _ = yofo("plan", "small.toml")
    assert "180 examples" in out and "in all" in out


# ---------------------------------------------------------------------- how far reading is


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything told, without waiting for seconds to pass."""
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)


@pytest.mark.parametrize("verb", ["plan", "show", "train", "eval"])
def test_reading_and_tokenising_tell_how_far_they_are(yofo: Any, at_once: None, verb: str) -> None:
    """large-data-forecast: long reading is not silent."""
    if verb == "eval":
        assert yofo("train", "small.toml")[0] == 0
    code, _, err = yofo(verb, "last" if verb == "eval" else "small.toml")
    assert code == 0
    if verb == "eval":  # which reads nothing but what it measures
        assert "three.jsonl, rows: " in err and "one.jsonl" not in err
    else:
        assert "one.jsonl, rows: 60" in err
        assert "tokenising, examples: 108 of 108" in err


def test_a_run_that_loads_tells_it_in_its_events(
    yofo: Any, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launch.create_run(load_recipe(Path("small.toml")), "one")
    written, write = [], EventWriter.write

    def note(self: EventWriter, told: Kind) -> Any:
        written.append(told)
        return write(self, told)

    monkeypatch.setattr(EventWriter, "write", note)
    assert yofo("resume", run.run_id)[0] == 0
    assert ProgressEvent(step=0, done=108, total=108, phase="tokenising, examples") in written


def test_on_a_terminal_it_is_one_line_that_goes_away(
    at_once: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.on_stderr():
        assert list(progress.counted(range(3), "reading\x1b[31m")) == [0, 1, 2]
    err = capsys.readouterr().err
    assert "\n" not in err and "\x1b" not in err and "3" in err
    assert err.endswith("\r" + " " * 60 + "\r")


def test_nobody_is_told_who_does_not_listen(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.counted(range(3), "reading")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------------- validation


@pytest.mark.parametrize("queries", [1, 8])
def test_a_runs_validation_takes_what_was_forecast(yofo: Any, queries: int) -> None:
    write_recipe(tokens=1000)
    rows = [{"input": f"a b c d {n} " * 6, "output": str(n % 7)} for n in range(200)]
    Path("one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = (f"evaluation.queries={queries}", "evaluation.shots=[0,8,32]")
    found = planned(yofo, *keys)["validation"]
    others = held_by_others()
    assert yofo("train", "small.toml", *[w for k in keys for w in ("--set", k)])[0] == 0
    [plan], [measured] = events("plan"), events("eval")
    assert found["at_once"] == plan["validation_at_once"] == queries
    assert plan["validation_gb"] + plan["model_gb"] == pytest.approx(found["peak_gb"], abs=1e-5)
    assert found["peak_gb"] == pytest.approx(measured["peak_gb"] - others, rel=0.15)


def test_fewer_queries_are_asked_at_once_under_a_lower_limit_with_the_same_result(
    yofo: Any,
) -> None:
    results = []
    rows = [{"input": f"a b c d {n} " * 6, "output": str(n % 7)} for n in range(100)]
    Path("one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = planned(yofo)["validation"]["peak_gb"]
    for limit in ("memory.limit_gb=1", f"memory.limit_gb={0.9 * own}"):
        assert yofo("train", "small.toml", "--set", limit)[0] == 0
        [plan], [measured] = events("plan"), events("eval")
        results.append((plan["validation_at_once"], measured["loss"]))
    (many, loss), (few, other) = results
    assert many > few >= 1
    assert other == pytest.approx(loss, rel=1e-5)


def test_prompts_that_do_not_fit_beside_training_are_shortened_and_that_is_told(yofo: Any) -> None:
    write_recipe(tokens=120)
    limit = ("evaluation.max_tokens=900", "memory.limit_gb=0.013", "memory.chunk=16")
    rows = [{"input": "a b c d " * 12 + str(n), "output": str(n % 7)} for n in range(200)]
    Path("one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = yofo("plan", "small.toml", *[w for k in limit for w in ("--set", k)])
    assert code == 0 and "validation prompts are at most" in err and "asked for" in out
    others = held_by_others()
    assert yofo("train", "small.toml", *[w for k in limit for w in ("--set", k)])[0] == 0
    [plan], [measured] = events("plan"), events("eval")
    assert plan["validation_tokens"] < 900 and plan["validation_at_once"] == 1
    assert measured["peak_gb"] - others < 0.013
    assert any("validation prompts" in event["message"] for event in events("warning"))


def test_an_evaluation_that_does_not_fit_is_refused_with_the_prompt_that_does(yofo: Any) -> None:
    write_recipe(tokens=120)
    rows = [{"input": "a b c d " * 12 + str(n), "output": str(n % 7)} for n in range(200)]
    Path("three.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert yofo("train", "small.toml")[0] == 0
    tight = ("--set", "evaluation.max_tokens=900", "--set", "memory.limit_gb=0.0105")
    code, out, err = yofo("eval", "last", *tight)
    assert (code, out) == (4, "") and "of memory" in err
    recipe = load_recipe(Path("small.toml"), ["evaluation.max_tokens=900"])
    entries = load_tasks(recipe.tasks, 0, Path.cwd())[2:]
    asked = most_asked(recipe, entries, load_tokenizer(TINY, model_config(TINY)))
    assert asked and f"prompts of {asked.prompt + asked.query} tokens" in err
    longest = err.split("evaluation.max_tokens = ")[1].split()[0]
    tight = ("--set", f"evaluation.max_tokens={longest}", *tight[2:])
    assert yofo("eval", "last", *tight)[0] == 0


def test_what_is_planned_to_be_asked_is_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from yofo_mlx.evaluation.measure import evaluate_entry
    from yofo_mlx.prompting import scoring

    recipe = load_recipe(Path("small.toml"))
    base = load_base("tiny")
    entries = load_tasks(recipe.tasks, 0, Path.cwd())
    asked = most_asked(recipe, entries[2:], base.tokenizer)
    assert asked is not None
    seen: list[tuple[int, int, int]] = []
    whole = scoring._pieces

    def watch(context: Any, group: Any) -> Any:
        widths = [len(question) + len(answer) for question, answer in group]
        seen.append((context.layers[0].offset, len(group), max(widths)))
        return whole(context, group)

    monkeypatch.setattr(scoring, "_pieces", watch)
    evaluate_entry(base, recipe, entries[2], at_once=3)
    prompts, groups, widths = zip(*seen, strict=True)
    assert (max(prompts), max(groups), max(widths)) == (asked.prompt, 3, asked.query)


@pytest.mark.parametrize("what", ["validation", "evaluation"])
def test_the_parts_of_a_measurement_add_up(yofo: Any, what: str) -> None:
    found = planned(yofo)[what]
    parts = [found[f"{part}_gb"] for part in ("model", "cache", "work", "copies")]
    assert found["at_once"] > 1 and all(0 < part < 1 for part in parts[:3])
    assert 0 <= parts[3] < 1  # none where reading the prompt takes more
    assert sum(parts) == pytest.approx(found["peak_gb"], abs=1e-5)


def test_a_validation_is_planned_for_its_own_queries() -> None:
    Path("one").mkdir()
    for split, length in (("train", 1), ("valid", 40), ("test", 5)):
        rows = [{"input": f"{n} " + "a " * length, "output": "odd"} for n in range(20)]
        Path(f"one/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("small.toml").write_text(Path("small.toml").read_text().replace("one.jsonl", "one"))
    recipe, base = load_recipe(Path("small.toml")), load_base("tiny")
    entries = load_tasks(recipe.tasks, 0, Path.cwd())[:1]
    valid = most_asked(recipe, entries, base.tokenizer, valid=True)
    test = most_asked(recipe, entries, base.tokenizer)
    assert valid is not None and test is not None
    assert valid.query > 40 > test.query


# ---------------------------------------------------------------------- huge steps


@pytest.mark.parametrize("key", ["batch_size", "grad_accumulation_steps"])
def test_of_a_huge_step_a_part_is_drawn(yofo: Any, key: str, monkeypatch: Any) -> None:
    from yofo_mlx.episodes.sampler import Sampler

    drawn = []
    whole = Sampler.draw

    def count(self: Sampler, step: int, micro_step: int, count: int) -> Any:
        drawn.append(count)
        return whole(self, step, micro_step, count)

    monkeypatch.setattr(Sampler, "draw", count)
    keys = ("train.steps=20", "memory.limit_gb=100000")
    small = planned(yofo, *keys)
    drawn.clear()
    found = planned(yofo, *keys, f"train.{key}=100000")
    assert sum(drawn) <= 2000 and found["counted"] == "sampled"
    assert found["tokens"] == pytest.approx(100_000 * small["tokens"], rel=0.5)


def test_a_task_with_fewer_fixed_shots_than_asked_for_is_told_with_the_reason() -> None:
    rows = [{"input": "long " * 12 + str(n), "output": "even"} for n in range(20)]
    Path("one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("two.jsonl").write_text('{"input": "a", "output": "b"}\n{"input": "c", "output": "d"}\n')
    sets = [
        "episodes.max_tokens=130",
        "episodes.fixed_shots=3",
        'objective.targets="last"',
        "tasks.1.valid_share=0",
    ]
    recipe = load_recipe(Path("small.toml"), sets)
    tokenizer = load_tokenizer(TINY, model_config(TINY))
    workload = make_workload(recipe, load_tasks(recipe.tasks, 0, Path.cwd()), tokenizer)
    told = [message for message, _ in workload.warnings(recipe)]
    assert "task one has room for 1 fixed shot only" in told
    assert "task two has examples for 1 shot only" in told
    shots = {(e.task, e.shots) for step in range(20) for e in workload.sampler.draw(step, 0, 2)}
    assert shots == {("one", 1), ("two", 1)}


@pytest.mark.parametrize("keys", [("train.batch_tokens=400",), ("train.batch_size=3",)])
def test_show_tells_the_size_of_an_update_that_is_given_in_tokens(yofo: Any, keys: Any) -> None:
    sets = [word for key in keys for word in ("--set", key)]
    code, out, _ = yofo("show", "small.toml", *sets)
    assert code == 0 and ("% more as padding" in out) == ("batch_tokens" in keys[0])
    mean = json.loads(yofo("show", "small.toml", "--json", *sets)[1])["mean"]
    per_update = mean["episodes_per_update"] * mean["tokens"]
    assert mean["updates"] == 50 and mean["padding"] >= 0
    expected = 400 if "batch_tokens" in keys[0] else 3 * mean["tokens"]
    assert per_update == pytest.approx(expected, rel=0.1)


def test_leaks_between_training_and_held_out_tasks_are_told() -> None:
    Path("three.jsonl").write_text(Path("one.jsonl").read_text())
    recipe = load_recipe(Path("small.toml"))
    tokenizer = load_tokenizer(TINY, model_config(TINY))
    workload = make_workload(recipe, load_tasks(recipe.tasks, 0, Path.cwd()), tokenizer)
    told = [message for message, _ in workload.warnings(recipe)]
    assert any("queries of held-out task three are trained on" in message for message in told)


def test_a_single_query_that_is_trained_on_is_told() -> None:
    """A measure is not only wrong where most of its answers are known by heart."""
    rows = [json.loads(line) for line in Path("three.jsonl").read_text().splitlines()]
    Path("three").mkdir()
    Path("three/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:9]))
    Path("three/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[9:]))
    with Path("one.jsonl").open("a") as file:
        file.write(json.dumps(rows[0]) + "\n")
    Path("small.toml").write_text(
        Path("small.toml")
        .read_text()
        .replace('"one.jsonl"', '"one.jsonl", valid_share = 0')
        .replace("three.jsonl", "three")
    )
    recipe = load_recipe(Path("small.toml"))
    tokenizer = load_tokenizer(TINY, model_config(TINY))
    workload = make_workload(recipe, load_tasks(recipe.tasks, 0, Path.cwd()), tokenizer)
    told = [message for message, _ in workload.warnings(recipe)]
    assert "1 of 9 queries of held-out task three are trained on" in told
