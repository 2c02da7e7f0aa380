"""`yofo export`: what is fused says what the adapter says, and nothing is left half-written."""

import errno
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.export.adapters import random_adapter
from tests.gguf_files import File
from yofo_mlx.evaluation.subjects import elsewhere
from yofo_mlx.export import fused as fusing
from yofo_mlx.export.agreement import compare
from yofo_mlx.models.adapters import mount
from yofo_mlx.models.base import load_base
from yofo_mlx.models.gguf.directory import import_gguf
from yofo_mlx.prompting.loading import find_source
from yofo_mlx.recipe.schema import Template
from yofo_mlx.recipe.template import write_template
from yofo_mlx.system.files import PART

ROWS = "".join(f'{{"input": "question {i}", "output": "{i % 3}"}}\n' for i in range(60))
RECIPE = """
model = "tiny"
template = { input = "{input} ->", output = " {output}\\n" }
episodes = { max_tokens = 96 }
evaluation = { valid_tasks = 1, queries = 1, shots = [0] }
optimizer = { warmup = 0.0, learning_rate = 1e-2 }
train = { steps = 2 }
[[tasks]]
source = "rows.jsonl"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left(folder: Path) -> list[str]:
    """Return what is in a folder under a temporary name."""
    return [one.name for one in folder.iterdir() if one.name.startswith(PART)]


def test_agreement_is_the_kl_of_next_tokens() -> None:
    draw = np.random.default_rng(0)
    logits = [mx.array(draw.normal(size=(7, 11)).astype(np.float32)) for _ in range(3)]
    ours, base, theirs = (one - mx.logsumexp(one, axis=-1, keepdims=True) for one in logits)
    found = compare([ours], [base], [theirs])
    p, q, b = (np.exp(np.array(one)) for one in (ours, theirs, base))
    np.testing.assert_allclose(found.kl, (p * np.log(p / q)).sum() / 7, rtol=1e-4)
    np.testing.assert_allclose(found.base_kl, (p * np.log(p / b)).sum() / 7, rtol=1e-4)
    assert found.tokens == 7 and found.same == (p.argmax(-1) == q.argmax(-1)).mean()
    assert compare([ours], [base], [ours]).kept == 1 and compare([ours], [base], [base]).kept == 0


def test_a_run_is_fused_with_its_card_and_mlx_lm_has_its_logits(yofo: Any, here: Path) -> None:
    """By mlx-lm's own loader, by its own fuse, and as yofo itself prompts a model directory."""
    import mlx_lm
    from mlx_lm import fuse

    (here / "rows.jsonl").write_text(ROWS)
    (here / "mine.toml").write_text(RECIPE)
    assert yofo("train", "mine.toml", "--name", "mine")[0] == 0
    code, out, err = yofo("export", "last", "--out", "fused")
    assert code == 0 and out == f"{here / 'fused'}\n" and "validation episodes of the run" in err
    assert float(re.search(r"KL (\S+) nats", err)[1]) < 1e-4 and "next: yofo chat" in err
    index = json.loads((here / "fused/model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {"model.safetensors"}
    card = (here / "fused/README.md").read_text()
    assert "KL " in card and '"data_fingerprints": {\n    "rows"' in card
    assert '"learning_rate": 0.01' in card and str(here) not in card
    run = next(Path(os.environ["YOFO_HOME"]).glob("runs/*mine"))
    base = load_base("tiny")
    mount(base.model, run / "adapter")
    tokens = mx.array([base.tokenizer.encode("question 7")])
    expected = base.model(tokens)
    model, tokenizer = mlx_lm.load(str(here / "fused"))
    assert yofo("export", "last", "--to", "peft", "--out", "peft")[0] == 0
    for model_and_adapter in (("fused", None), ("tiny", "peft")):
        for recipe in (
            find_source(None, *model_and_adapter),
            elsewhere(*model_and_adapter).recipe()[0],
        ):
            assert recipe.template.input == "{input} ->"
    model.set_dtype(mx.float32)
    assert mx.allclose(model(tokens), expected, rtol=1e-3, atol=2e-2)
    assert tokenizer.encode("question 7") == tokens[0].tolist()
    argv = ["fuse", f"--model={base.path}", f"--adapter-path={run / 'adapter'}", "--save-path=own"]
    sys.argv, before = argv, sys.argv
    try:
        fuse.main()
    finally:
        sys.argv = before
    own: Any = mx.load("own/model.safetensors")
    ours: Any = mx.load("fused/model.safetensors")
    assert own.keys() == ours.keys() and all(mx.array_equal(own[key], ours[key]) for key in own)


def test_an_adapter_from_elsewhere_goes_into_every_form(yofo: Any, here: Path) -> None:
    adapter = random_adapter(here / "own")
    (adapter / "yofo_template.json").unlink(missing_ok=True)
    call = ("export", "--adapter", "own")
    code, out, err = yofo(*call, "--to", "peft")
    assert code == 0 and out == f"{here / 'own-peft'}\n", err
    code, out, _ = yofo(*call, "--to", "gguf-adapter")
    assert code == 0 and (here / "own-gguf-adapter/adapter.gguf").is_file()
    code, out, err = yofo(*call, "--to", "fused", "--bits", "8")
    assert code == 0 and "kept" in err and "random tokens" in err
    assert out == f"{here / 'own-fused'}\n"
    config = json.loads((here / "own-fused/config.json").read_text())
    assert config["quantization"]["bits"] == 8
    # PEFT's form goes in again.
    code, out, _ = yofo("export", "--adapter", "own-peft", "--model", "tiny", "--to", "peft")
    assert code == 0 and out == f"{here / 'own-peft-peft'}\n"
    assert (here / "own-peft-peft/adapter_model.safetensors").read_bytes() == (
        here / "own-peft/adapter_model.safetensors"
    ).read_bytes()
    assert not left(here)


@pytest.mark.long
def test_a_quantizer_that_eats_the_adapter_is_refused_with_ways_out(
    yofo: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlx_lm.utils import load_model, quantize_model, save_model

    tiny = load_base("tiny").path
    (here / "q").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (here / "q" / name).write_bytes((tiny / name).read_bytes())
    model, config = quantize_model(*load_model(tiny), 64, 4)
    save_model(here / "q", model)
    (here / "q/config.json").write_text(json.dumps(config))
    adapter = random_adapter(here / "weak", "./q", scale=2.0)
    call = ("export", "--adapter", adapter, "--model", "./q")
    capsys.readouterr()  # what mlx-lm prints
    code, out, err = yofo(*call)
    assert code == 1 and "quantizing again loses the adapter" in err and out == ""
    assert all(word in err for word in ("--dequantize", "--bits 8", "--force"))
    assert not left(here) and not (here / "weak-fused").exists()
    code, _, err = yofo(*call, "--dequantize")
    assert code == 0 and re.search(r"(9[89]|100)\.\d% kept", err), err
    assert "quantization" not in json.loads((here / "weak-fused/config.json").read_text())
    assert yofo(*call, "--force", "--out", "forced")[0] == 0
    assert yofo(*call, "--bits", "8", "--out", "eight")[0] == 0


def test_a_gguf_file_and_a_modelfile(yofo: Any, here: Path) -> None:
    import_gguf(File("llama").write(here / "base.gguf"), here / "base")
    adapter = random_adapter(here / "own", "./base", scale=0.5)
    template = Template(input="Q: {input}\nA:", output=" {output}\n")
    write_template(adapter, template)
    code, _, err = yofo("export", "--adapter", adapter, "--to", "ollama", "--out", "o")
    assert code == 0 and "ollama create o" in err, err
    assert sorted(one.name for one in (here / "o").iterdir()) == [
        "Modelfile",
        "README.md",
        "model.gguf",
        "yofo_template.json",
    ]
    assert find_source(None, "o/model.gguf", None).template == template
    text = (here / "o/Modelfile").read_text()
    assert text.startswith("FROM ./model.gguf\nPARAMETER num_ctx 128\n")
    tokens = mx.array([[5, 70, 99, 200, 3]])
    base = load_base("./base")
    mount(base.model, adapter)
    again = load_base(str(here / "o/model.gguf")).model
    assert mx.allclose(again(tokens), base.model(tokens), rtol=1e-3, atol=1e-3)


def test_mistakes_are_told_in_two_lines_and_leave_nothing(
    yofo: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_adapter(here / "own")
    random_adapter(here / "dora", fine_tune_type="dora", keys=("mlp.up_proj",))
    for kind in ("ia3", "bottleneck"):
        random_adapter(here / kind, fine_tune_type=kind)
    (here / "there").mkdir()
    (here / "full").mkdir()
    for name in ("adapters.safetensors", "adapter_config.json"):
        (here / "full" / name).write_bytes((here / "own" / name).read_bytes())
    whole = {"fine_tune_type": "full", "model": "tiny"}
    (here / "full/adapter_config.json").write_text(json.dumps(whole))
    for arguments, code, words in (
        (["--adapter", "own", "--to", "onnx"], 2, "is not one of"),
        (["--adapter", "own", "--out", "there"], 2, "is there already"),
        (["--adapter", "own", "--bits", "4", "--dequantize"], 2, "give one of them"),
        (["--adapter", "own", "--to", "peft", "--bits", "4"], 2, "are of `--to fused`"),
        (["--adapter", "own", "--to", "hub"], 2, "--repo OWNER/NAME"),
        (["--adapter", "own", "--public"], 2, "is of an upload"),
        (["--model", "tiny"], 2, "a base model alone is not exported"),
        (["--adapter", "nowhere"], 2, "there is no adapter in"),
        (["nobody"], 2, "there is no run 'nobody'"),
        (["--adapter", "own", "--to", "gguf"], 1, "of the kind Unigram"),
        (["--adapter", "dora", "--to", "gguf-adapter"], 1, "not DoRA"),
        (["--adapter", "ia3", "--to", "gguf-adapter"], 1, "not (IA)3"),
        (["--adapter", "bottleneck"], 1, "no weight of the base can hold"),
        (["--adapter", "bottleneck", "--to", "peft"], 1, "no weight of the base can hold"),
        (["--adapter", "full", "--to", "peft"], 1, "trained as a whole"),
        (["--adapter", "own", "--out", "own/adapters.safetensors/x"], 1, "own/adapters"),
    ):
        found, out, err = yofo("export", *arguments)
        told = words in err and len(err.splitlines()) == 2  # before anything is fused
        assert (found, out) == (code, "") and told, (arguments, err)
    code, _, err = yofo("export", "--adapter", "ia3", "--out", "scaled")
    assert code == 0 and ": 100.0% kept" in err
    # A disk that is full: MLX only says that it could not write.
    monkeypatch.setattr(fusing, "save_model", lambda *_, **__: _raise(RuntimeError("no")))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")
    monkeypatch.setattr(fusing, "why_not_written", lambda *_: full)
    code, out, err = yofo("export", "--adapter", "own")
    assert (code, out) == (1, "") and "is full" in err and len(err.splitlines()) == 2
    assert not left(here) and {one.name for one in here.iterdir()} == {
        *("own", "dora", "ia3", "bottleneck", "scaled"),
        "there",
        "full",
    }


def _raise(error: Exception) -> None:
    raise error
