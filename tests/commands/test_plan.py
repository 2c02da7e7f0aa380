"""`yofo plan`: what it forecasts, from what little, and that a run then does just that."""

import json
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from huggingface_hub import constants

from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.planning import volume
from yofo_mlx.planning.headers import Tensor, model_tensors
from yofo_mlx.planning.planner import make_planner
from yofo_mlx.planning.probe import spread
from yofo_mlx.planning.volume import Draw
from yofo_mlx.runs import listing
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child

TINY = model_path("tiny")
WEIGHTS = TINY / "model.safetensors"
PARTS = "weights adapter optimizer gradients keys_values activations_kept activations_work".split()
RECIPE = """
model = "tiny"
lora.rank = 16
template = { style = "plain", input = "{input} ->", output = " {output}\\n" }
episodes.max_tokens = 512
train = { steps = 2, batch_size = 2 }
tasks = [{ source = "sums.jsonl" }, { source = "words.jsonl" }]
"""


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe with two small data sets into the current folder."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    monkeypatch.chdir(folder)
    sums = [{"input": f"{n} + {n % 7}", "output": str(n + n % 7)} for n in range(60)]
    words = [{"input": f"word {n}", "output": "even one" if n % 2 else "odd"} for n in range(90)]
    for name, rows in (("sums", sums), ("words", words)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("small.toml").write_text(RECIPE)
    return folder / "small.toml"


def changes(*keys: str) -> list[str]:
    return [word for key in keys for word in ("--set", key)]


@pytest.fixture
def forecast(yofo: Any) -> Any:
    """Return a function that plans the recipe with some keys changed."""

    def call(*keys: str) -> dict[str, Any]:
        code, out, err = yofo("plan", "small.toml", "--json", *changes(*keys))
        found = json.loads(out)
        assert code == (0 if found["fits"] else 4), err
        assert isinstance(found, dict)
        return found

    return call


def cut(data: bytes) -> bytes:
    """Return the header of a safetensors file without its weights."""
    (length,) = struct.unpack("<Q", data[:8])
    return data[: 8 + length]


def without_weights(folder: Path, **changes: Any) -> Path:
    """Make a directory like the embedded model's, but with headers only."""
    shutil.copytree(TINY, folder)
    (folder / "model.safetensors").write_bytes(cut(WEIGHTS.read_bytes()))
    config = json.loads((TINY / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def find_headers(name: str) -> tuple[Path, dict[str, Tensor]]:
    path = model_path(name, weights=False)
    return path, model_tensors(name, path)


def same_sizes(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return {**one, "model": ""} == {**other, "model": ""}


# ---------------------------------------------------------------------- figures


@pytest.mark.parametrize("keys", [(), ("memory.chunk=128",), ("memory.chunk=64", "memory.stash=2")])
def test_the_parts_add_up_to_the_peak(forecast: Any, keys: tuple[str, ...]) -> None:
    found = forecast(*keys)
    assert sum(found[f"{part}_gb"] for part in PARTS) == pytest.approx(found["peak_gb"], abs=1e-5)
    assert found["model_gb"] + found["step_gb"] == pytest.approx(found["peak_gb"], abs=1e-5)
    assert found["peak_gb"] < found["needed_gb"] < found["limit_gb"]
    assert found["method"] == ("chunked" if keys else "plain")


def test_what_is_counted_is_what_the_loaded_model_has(forecast: Any) -> None:
    found, base = forecast("memory.limit_gb=3.5"), load_base("tiny")
    layers = base.model.layers
    assert found["parameters"] == 1_168_768 and found["layers"] == len(layers) == 5
    assert found["weights_gb"] == pytest.approx(4 * found["parameters"] / 1e9, abs=1e-6)
    assert found["kv_cache_gb"] == pytest.approx(512 * 5 * 2 * 4 * 32 * 4 / 1e9, abs=1e-6)
    assert (found["architecture"], found["context"]) == ("llama", 1024)
    assert (found["limit_gb"], found["limit_source"]) == (3.5, "memory.limit_gb")


def test_keys_of_a_recipe_change_what_they_should(forecast: Any) -> None:
    plain = forecast()
    ranked = forecast("lora.rank=32")
    for part in ("trainable_parameters", "adapter_gb", "optimizer_gb", "gradients_gb"):
        assert ranked[part] == pytest.approx(2 * plain[part], abs=2e-6)
    assert ranked["weights_gb"] == plain["weights_gb"]
    longer = forecast("episodes.max_tokens=1024")
    assert longer["kv_cache_gb"] == pytest.approx(2 * plain["kv_cache_gb"], abs=2e-6)
    assert longer["peak_gb"] > plain["peak_gb"] and longer["max_tokens"] == 1024
    assert forecast("train.batch_size=1")["step_gb"] < plain["step_gb"]
    assert forecast("memory.chunk=96")["chunk"] == 96
    last = forecast('objective.targets="last"')
    assert last["tokens"] == plain["tokens"] and last["targets"] < plain["targets"]
    assert forecast("lora.num_layers=2")["trainable_parameters"] < plain["trainable_parameters"]


def test_the_longest_episode_named_fits_and_one_token_more_does_not(
    yofo: Any, forecast: Any
) -> None:
    limit = "memory.limit_gb=0.016"
    code, out, _ = yofo("plan", "small.toml", "--set", limit)
    longest = forecast(limit)["longest_max_tokens"]
    assert code == 4
    verdict = out.splitlines()[-1]
    assert verdict == f"does not fit; episodes.max_tokens = {longest} would fit"
    assert forecast(limit, f"episodes.max_tokens={longest}")["fits"]
    assert not forecast(limit, f"episodes.max_tokens={longest + 1}")["fits"]


def test_a_model_that_cannot_fit_at_all_is_said_to_be_too_large(yofo: Any) -> None:
    code, out, _ = yofo("plan", "small.toml", "--set", "memory.limit_gb=0.005")
    assert code == 4 and out.splitlines()[-1].startswith("does not fit; take a smaller model")


def test_episodes_beyond_the_models_context_are_warned_of(yofo: Any) -> None:
    code, _, err = yofo("plan", "small.toml", "--set", "episodes.max_tokens=2000")
    assert code == 0 and "the model was trained on at most 1024" in err


def test_layers_that_are_not_there_are_warned_of(yofo: Any) -> None:
    code, out, err = yofo("plan", "small.toml", "--json", "--set", 'lora.keys=["nonesuch"]')
    assert code == 0 and json.loads(out)["trainable_parameters"] == 0
    assert "check lora.keys" in err


# ---------------------------------------------------------------------- steps and tokens


@pytest.mark.parametrize(
    ("length", "size"),
    [
        pytest.param("train.steps=3", "train.grad_accumulation_steps=2", marks=pytest.mark.long),
        pytest.param(
            "train.tokens=1500", "train.grad_accumulation_steps=2", marks=pytest.mark.long
        ),
        ("train.tokens=1500", "train.batch_tokens=500"),
    ],
)
def test_a_run_processes_what_was_forecast(
    yofo: Any, forecast: Any, length: str, size: str
) -> None:
    keys = (length, size, "episodes.max_tokens=256")
    found = forecast(*keys)
    assert yofo("train", "small.toml", *changes(*keys))[0] == 0
    steps = [event for event in listing.find("last").events() if event["kind"] == "step"]
    assert found["counted"] == "drawn"
    assert found["steps"] == len(steps)
    assert found["tokens"] == sum(step["tokens"] for step in steps)
    assert found["targets"] == sum(step["targets"] for step in steps)
    assert found["max_tokens_per_step"] == max(step["tokens"] for step in steps)
    shots = [shots for step in steps for shots in step["shots"]]
    assert found["shots"] == pytest.approx(sum(shots) / len(shots), abs=0.051)


@pytest.mark.parametrize("length", ["train.steps=200", "train.tokens=100_000"])
def test_a_long_run_is_estimated_from_its_beginning(
    forecast: Any, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    whole = forecast(length)
    monkeypatch.setattr(volume, "MOST_EPISODES", 100)
    part = forecast(length)
    assert (whole["counted"], part["counted"]) == ("drawn", "sampled")
    for name in ("steps", "tokens", "targets"):
        assert part[name] == pytest.approx(whole[name], rel=0.2)


@pytest.mark.parametrize("size", ["batch_tokens=500", "batch_tokens=100", "batch_size=3"])
def test_no_update_is_larger_than_the_bounds(forecast: Any, size: str) -> None:
    keys = ("train.steps=40", "episodes.max_tokens=256", f"train.{size}")
    bounds = volume.volume_bounds(load_recipe(Path("small.toml"), keys))
    drawn = forecast(*keys)
    assert drawn["counted"] == "drawn" and bounds.counted == "bounds"
    expected = {"batch_tokens=500": 628, "batch_tokens=100": 256, "batch_size=3": 768}[size]
    assert drawn["max_tokens_per_step"] <= bounds.max_tokens_per_step == expected
    assert drawn["tokens"] <= bounds.tokens


def test_a_data_set_out_of_reach_leaves_bounds(yofo: Any, forecast: Any) -> None:
    drawn = forecast("train.steps=20")
    away = ("--set", 'tasks.0.source="owner/away"', "--set", "train.steps=20")
    code, out, err = yofo("plan", "small.toml", "--json", *away)
    found = json.loads(out)
    assert code == 0
    assert "owner/away: not on this machine, and HF_HUB_OFFLINE is set" in err
    assert (found["counted"], found["steps"], found["targets"]) == ("bounds", 20, None)
    assert drawn["tokens"] < found["tokens"] == 20 * 1024
    assert (found["peak_gb"], found["fits"]) == (drawn["peak_gb"], drawn["fits"])
    code, out, _ = yofo("plan", "small.toml", *away, "--set", "train.tokens=10000")
    assert code == 0 and "at least" in out
    code, out, err = yofo("plan", "small.toml", "--probe", *away)
    assert code == 1 and "owner/away" in err


def test_data_that_are_wrong_end_with_code_3_whatever_else_is_missing(
    yofo: Any, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"input": 1}\n')
    wrong = ("--set", f'tasks.0.source="{bad}"')
    code, out, err = yofo("plan", "small.toml", *wrong)
    assert (code, out) == (3, "") and "bad.jsonl" in err
    code, out, err = yofo("plan", "small.toml", *wrong, "--set", 'tasks.1.source="owner/away"')
    assert (code, out) == (3, "") and "bad.jsonl" in err


@pytest.mark.parametrize("change", ["lora.rnak=4", "episodes.max_tokens=0", "model=./nowhere"])
def test_a_wrong_recipe_ends_with_code_2(yofo: Any, change: str) -> None:
    code, out, err = yofo("plan", "small.toml", "--set", change)
    assert (code, out) == (2, "") and len(err.splitlines()) == 2


# ---------------------------------------------------------------------- without weights


def test_weights_are_not_read(forecast: Any, tmp_path: Path) -> None:
    folder = without_weights(tmp_path / "model")
    found = forecast(f'model="{folder}"')
    assert same_sizes(found, forecast())
    with pytest.raises(RecipeError):
        load_base(str(folder))


def test_without_a_tokenizer_there_are_bounds(yofo: Any, tmp_path: Path) -> None:
    folder = without_weights(tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    code, out, err = yofo("plan", "small.toml", "--json", "--set", f'model="{folder}"')
    assert code == 0 and json.loads(out)["counted"] == "bounds"
    assert "has no tokenizer" in err and "bounds" in err


def test_a_directory_without_any_weights_is_refused(yofo: Any, tmp_path: Path) -> None:
    folder = without_weights(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    code, out, err = yofo("plan", "small.toml", "--set", f'model="{folder}"')
    assert (code, out) == (2, "") and "memory cannot be forecast" in err


@pytest.mark.parametrize(
    "header", [b"", b"[]", b'{"a": {}}', b'{"a": {"dtype": "F32", "shape": ["x"]}}', b"[" * 100_000]
)
def test_headers_that_are_none_are_named(header: bytes, tmp_path: Path) -> None:
    folder = without_weights(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(RecipeError, match="is no safetensors file"):
        find_headers(str(folder))


def test_what_a_model_calls_itself_cannot_steer_the_terminal(yofo: Any, tmp_path: Path) -> None:
    folder = without_weights(tmp_path / "red\x1b[31m", model_type="ll\x1b]0;ama\x07")
    code, out, err = yofo("plan", "small.toml", "--set", f"model={folder}")
    assert code == 0 and "ll\\x1b]0;ama\\x07" in out and "red\\x1b[31m" in out
    assert "\x1b" not in out + err and "\x07" not in out + err


# ---------------------------------------------------------------------- from the hub


def sharded() -> dict[str, bytes]:
    """Return the embedded model's files with its weights in two files, one of a long header."""
    arrays = mx.load(str(WEIGHTS))
    assert isinstance(arrays, dict)
    names = sorted(arrays)
    files = {name: data for name, data in files_of(TINY).items() if name != WEIGHTS.name}
    for place in range(2):
        part = {name: arrays[name] for name in names[place::2]}
        file = Path(f"model-0000{place + 1}-of-00002.safetensors")
        files[file.name] = _safetensors(part, {"notes": "x" * 150_000 * place})
    files["notes/model.safetensors"] = b"not of the model"
    return files


def _safetensors(arrays: dict[str, mx.array], metadata: dict[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata}
    data = b""
    for name, array in arrays.items():
        content = bytes(memoryview(array.astype(mx.float32)))
        places = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": places}
        data += content
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


@pytest.mark.parametrize("files", [files_of(TINY), sharded()], ids=["one", "sharded"])
def test_of_a_model_on_the_hub_only_headers_are_fetched(
    hub: HubServer, forecast: Any, files: dict[str, bytes]
) -> None:
    hub.add("model", "owner/model", files)
    found = forecast('model="owner/model"')
    assert same_sizes(found, forecast())
    asked = [line for line in hub.log if ".safetensors" in line]
    assert asked and all(" bytes=" in line for line in asked)
    cached = Path(constants.HF_HUB_CACHE).rglob("*")
    assert not [path for path in cached if path.name.endswith(".safetensors")]


def test_of_a_model_that_was_downloaded_nothing_more_is_fetched(
    hub: HubServer, forecast: Any
) -> None:
    hub.add("model", "owner/model", files_of(TINY))
    before = forecast('model="owner/model"')
    model_path("owner/model")
    hub.log.clear()
    assert forecast('model="owner/model"') == before
    assert not [line for line in hub.log if "/resolve/" in line]
    hub.close()
    assert forecast('model="owner/model"') == before


def test_a_planner_asks_the_hub_for_no_weights(hub: HubServer) -> None:
    hub.add("model", "owner/model", files_of(TINY))
    planner = make_planner(load_recipe(Path("small.toml"), ["model=owner/model"]))
    assert planner.shape.parameters == 1_168_768
    whole = [line for line in hub.log if line.startswith("GET") and "bytes=" not in line]
    assert not [line for line in whole if ".safetensors" in line]


def test_small_files_alone_are_no_model_when_the_hub_is_gone(
    hub: HubServer, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.add("model", "owner/model", files_of(TINY))
    assert yofo("plan", "small.toml", "--set", 'model="owner/model"')[0] == 0
    hub.close()
    for verb in (lambda: find_headers("owner/model"), lambda: load_base("owner/model")):
        with pytest.raises(YofoError, match=r"not on this machine, and 127.0.0.1 refuses"):
            verb()


def test_a_list_of_files_that_an_older_client_did_not_keep_is_not_missed(hub: HubServer) -> None:
    hub.add("model", "owner/model", files_of(TINY))
    path, tensors = find_headers("owner/model")
    shutil.copy(WEIGHTS, path)
    shutil.rmtree(path.parents[1] / "trees")
    hub.close()
    assert find_headers("owner/model") == (path, tensors)


@pytest.mark.parametrize("ailment", ["500", "html", "cut"])
def test_a_hub_that_fails_is_told(
    hub: HubServer, yofo: Any, monkeypatch: pytest.MonkeyPatch, ailment: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.add("model", "owner/model", files_of(TINY))
    find_headers("owner/model")
    hub.ailment = ailment
    code, out, err = yofo("plan", "small.toml", "--set", 'model="owner/model"')
    assert out == "" and code in (1, 2)
    assert "owner/model" in err and "Traceback" not in err


def test_models_that_the_hub_will_not_give_are_told(hub: HubServer, yofo: Any) -> None:
    hub.add("model", "owner/gated", files_of(TINY), gated=True)
    hub.add("model", "owner/model", files_of(TINY))
    for name, key, words in (
        ("owner/gated", "seed=0", "terms must be accepted"),
        ("owner/nothing", "seed=0", "not on the hub"),
        ("owner/no thing", "seed=0", "no id of the hub"),
        ("owner/model", 'revision="v9"', "no revision 'v9'"),
    ):
        code, out, err = yofo("plan", "small.toml", "--set", f'model="{name}"', "--set", key)
        assert (code, out) == (2, "") and words in err


# ---------------------------------------------------------------------- the probe


def test_a_probe_measures_and_leaves_nothing_behind_but_what_it_measured(
    yofo: Any, yofo_home: Path
) -> None:
    # In a process of its own: what other tests left in memory would be measured too.
    options = ("plan", "small.toml", "--probe", "--json", "--set", "train.steps=12")
    command = child.command("yofo_mlx.cli", *options)
    done = subprocess.run(command, env=child.environment(), capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert [path.name for path in yofo_home.iterdir()] == ["speeds.jsonl"]
    assert found["seconds_per_step"] > 0
    total = found["seconds_per_step"] * found["steps"]
    assert found["seconds_total"] == pytest.approx(total, abs=0.06)
    measured = found["probe"]
    assert measured["batches"] == 3 and measured["tokens_per_s"] > 0
    assert measured["peak_gb"] == pytest.approx(measured["forecast_gb"], rel=0.2)
    code, out, _ = yofo("plan", "small.toml", "--probe", "--set", "memory.chunk=128")
    assert code == 0 and "tokens/s" in out and "its 2 batches" in out


def test_what_does_not_fit_is_not_probed(yofo: Any, tmp_path: Path) -> None:
    folder = without_weights(tmp_path / "model")  # which cannot be loaded
    keys = ("--set", f'model="{folder}"', "--set", "memory.limit_gb=0.005")
    code, out, err = yofo("plan", "small.toml", "--probe", "--json", *keys)
    found = json.loads(out)
    assert code == 4 and "not probed" in err
    assert found["seconds_per_step"] is found["seconds_total"] is found["probe"] is None


def test_batches_of_all_lengths_are_probed() -> None:
    draws = [Draw(0, place, tokens, 1, (0,), tokens) for place, tokens in enumerate((5, 1, 3))]
    assert [one.tokens for one in spread(draws, 3)] == [1, 3, 5]
    assert [one.tokens for one in spread(draws, 1)] == [3]
    assert [one.tokens for one in spread(draws[:2], 3)] == [1, 5]
