"""Exports in the tools that they are for: PEFT and transformers, llama.cpp, mlx-lm's server.

The first three lie in an environment of their own (`make export-check`); YOFO_EXPORT_PYTHON names
another one.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.export.adapters import random_adapter
from tests.gguf_files import TEXT, File
from tests.places import ROOT
from yofo_mlx.models.adapter_files import folder_of
from yofo_mlx.models.adapters import mount
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.models.gguf.directory import import_gguf

SIDE = Path(__file__).parent
PYTHON = Path(os.environ.get("YOFO_EXPORT_PYTHON", ROOT / ".venv-export/bin/python"))
PROMPTS = [[5, 70, 99, 200, 3, 17], [1, *range(100, 160)]]
pytestmark = pytest.mark.long
needs_others = pytest.mark.skipif(not PYTHON.is_file(), reason="`make export-check` installs them")


def logits(base: str, adapter: Path | None, prompts: list[list[int]] = PROMPTS) -> list[Any]:
    loaded = load_base(base)
    if adapter:
        mount(loaded.model, adapter)
    return [np.array(loaded.model(mx.array([one]))[0].astype(mx.float32)) for one in prompts]


def in_torch(folder: Path, model: Path, adapter: str, *make: str) -> list[Any]:
    (folder / "prompts.json").write_text(json.dumps(PROMPTS))
    files = [str(model), adapter, str(folder / "prompts.json"), str(folder / "logits.npz")]
    subprocess.run([PYTHON, SIDE / "torch_side.py", *make, *files], check=True)
    found = np.load(folder / "logits.npz")
    return [found[name] for name in found.files]


@needs_others
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_peft_says_what_the_adapter_says(yofo: Any, tmp_path: Path, kind: str) -> None:
    keys = ("self_attn.v_proj", "mlp.up_proj") if kind == "dora" else None
    adapter = random_adapter(tmp_path / "own", fine_tune_type=kind, keys=keys)
    assert yofo("export", "--adapter", adapter, "--to=peft", "--out", tmp_path / "peft")[0] == 0
    found = in_torch(tmp_path, model_path("tiny"), str(tmp_path / "peft"))
    for ours, theirs in zip(logits("tiny", adapter), found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3)


@needs_others
@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 16, "target_modules": "all-linear"},
        {"r": 4, "target_modules": ["q_proj", "up_proj"], "use_rslora": True},
        {"r": 4, "target_modules": ["v_proj"], "use_dora": True},
        {
            "r": 4,
            "target_modules": ["q_proj", "v_proj"],
            "rank_pattern": {"v_proj": 2},
            "alpha_pattern": {"v_proj": 5},
            "layers_to_transform": [1, 3],
        },
    ],
)
def test_an_adapter_that_peft_made_says_the_same_here(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = tmp_path / "made"
    theirs = in_torch(tmp_path, model_path("tiny"), str(made), "make", json.dumps(settings))
    for ours, there in zip(logits("tiny", folder_of(str(made))), theirs, strict=True):
        np.testing.assert_allclose(ours, there, rtol=1e-3, atol=2e-3)


@needs_others
def test_transformers_loads_what_is_fused(yofo: Any, tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "own")
    assert yofo("export", "--adapter", adapter, "--out", tmp_path / "fused")[0] == 0
    found = in_torch(tmp_path, tmp_path / "fused", "-")
    for ours, theirs in zip(logits(str(tmp_path / "fused"), None), found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3)


def in_llama_cpp(
    model: Path, lora: Path | None, prompts: list[Any], letter: int
) -> list[dict[str, Any]]:
    asked = {"model": str(model), "lora": lora and str(lora), "prompts": prompts}
    asked |= {"sampled": letter}
    done = subprocess.run(
        [PYTHON, SIDE / "llama_cpp_side.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout.splitlines()[-1]))


@needs_others
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_llama_cpp_says_what_the_adapter_says(yofo: Any, tmp_path: Path, architecture: str) -> None:
    """Fused, and its own file beside the base; texts are read as the same number of tokens."""
    base = File(architecture).write(tmp_path / "base.gguf")
    import_gguf(base, tmp_path / "base")
    adapter = random_adapter(tmp_path / "own", str(tmp_path / "base"), scale=1.0)
    for form in ("gguf", "gguf-adapter"):
        call = ("export", "--adapter", adapter, "--to", form, "--out", tmp_path / form)
        code, _, err = yofo(*call)
        assert code == 0, err
    ours = logits(str(tmp_path / "base"), adapter)
    encode = load_base(str(tmp_path / "base")).tokenizer.encode
    for model, lora in (
        (tmp_path / "gguf/model.gguf", None),
        (base, tmp_path / "gguf-adapter/adapter.gguf"),
    ):
        found = in_llama_cpp(model, lora, [*PROMPTS, *TEXT], encode("a")[0])
        for mine, said in zip(ours, found, strict=False):
            mine = mine[-1] - np.logaddexp.reduce(mine[-1])
            for token, logprob in said["logprobs"].items():
                assert abs(mine[int(token)] - logprob) < 0.02
        assert [said["read"] for said in found[2:]] == [len(encode(text)) for text in TEXT]


def test_mlx_lm_s_server_answers_with_an_adapter_of_yofo_s(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "own")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = ["-m", "mlx_lm", "server", "--model", str(model_path("tiny")), "--port", str(port)]
    server = subprocess.Popen([sys.executable, *call, "--adapter-path", str(adapter)])
    try:
        body = {"prompt": "good", "max_tokens": 8, "temperature": 0}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        text = json.loads(_answer(request, server))["choices"][0]["text"]
    finally:
        server.kill()
        server.wait()
    base = load_base("tiny")
    mount(base.model, adapter)
    tokens = base.tokenizer.encode("good")
    for _ in range(8):
        tokens.append(int(base.model(mx.array([tokens]))[0, -1].argmax()))
    assert text and base.tokenizer.decode(tokens).endswith(text)


def _answer(request: urllib.request.Request, server: subprocess.Popen[bytes]) -> bytes:
    """Return a server's answer, once it listens."""
    until = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.URLError:
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.2)


def test_an_adapter_of_peft_s_form_is_prompted_and_classifies(yofo: Any, tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "own")
    assert yofo("export", "--adapter", adapter, "--to=peft", "--out", tmp_path / "peft")[0] == 0
    (tmp_path / "rows.csv").write_text("input,output\ngood,yes\nbad,no\nfine,yes\n")
    (tmp_path / "queries.csv").write_text("input\ngreat\nawful\n")
    asked = ("--model", "tiny", "--demos", tmp_path / "rows.csv")
    one, two = (
        yofo("chat", "--adapter", tmp_path / name, *asked, "--query", "great")[:2]
        for name in ("own", "peft")
    )
    assert one == two and one[0] == 0
    for number, name in enumerate(("own", "peft")):
        out = tmp_path / f"{number}.csv"
        call = (
            "classify",
            "--data",
            tmp_path / "queries.csv",
            "--adapter",
            tmp_path / name,
            *asked,
        )
        code, _, err = yofo(*call, "--out", out)
        assert code == 0, err
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
