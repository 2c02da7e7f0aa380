"""Keep an adapter of a study in half precision, beside the study's results.

    python experiments/keep_adapter.py STUDY many-all-renamed-s0 docs/evidence/adapter

record.json then says which result it belongs to, and how it and the adapter that was measured are
told apart: by their sha256.
"""

import argparse
import json
import shutil
from pathlib import Path

import mlx.core as mx

from yofo_mlx.models.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from yofo_mlx.system.arrays import load_arrays, save_arrays
from yofo_mlx.system.files import digest, write_text

MODEL = "out/smollm2"  # as `make real-model` calls it, from the repository's root


def main() -> None:
    """Write weights in float16, their configuration and template, and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("name", help="of the adapter in the study, such as many-all-s0")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    adapter = options.study / "runs" / options.name / "adapter"
    weights = load_arrays(adapter / WEIGHTS_FILE)
    options.folder.mkdir(parents=True, exist_ok=True)
    halves = {name: array.astype(mx.float16) for name, array in weights.items()}
    save_arrays(options.folder / WEIGHTS_FILE, halves)
    shutil.copy(adapter / "yofo_template.json", options.folder)
    settings = json.loads((adapter / CONFIG_FILE).read_text("utf-8")) | {"model": MODEL}
    record = {
        "result": f"{options.name}.json",
        "measured_sha256": digest(adapter / WEIGHTS_FILE),
        "sha256": digest(options.folder / WEIGHTS_FILE),
    }
    for name, content in ((CONFIG_FILE, settings), ("record.json", record)):
        write_text(options.folder / name, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
