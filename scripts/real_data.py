"""Bring together the public data sets that recipes/smollm2.toml trains and measures on.

    python scripts/real_data.py [FOLDER] [--copy DIR]    # out/data unless told

real_data.txt names each file, its sha256 and where its authors published it; what is read is that,
byte for byte. What is not in the folder, or there by halves, is copied from DIR (../shared/data
unless told) where it is there, and otherwise downloaded. Two sets are made of CLINC150 here: its
requests with their domains, and requests that are two or three in one text, whose answer is several
labels.
"""

import argparse
import hashlib
import http.client
import json
import random
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".txt")
COMMAND = f"python scripts/{Path(__file__).name}"
HOST = "https://raw.githubusercontent.com/"
REQUESTS, JOINED = "clinc150/requests.json", "clinc150/joined.json"
SPLITS = {"train": "train", "valid": "val", "test": "test"}
ROWS = {"train": 1500, "test": 200}  # of each group of domains
GROUPS = {  # as in recipes/smollm2.toml: what is measured, what settings are chosen on, the rest
    "measured": ("banking", "travel", "talk"),
    "trained": ("credit", "kitchen", "home", "auto", "meta"),
}


def main() -> None:
    """Bring what is not there, then make the joined requests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "out" / "data")
    parser.add_argument("--copy", type=Path, help="copy from here what is here")
    options = parser.parse_args()
    if options.copy and not options.copy.is_dir():
        raise SystemExit(f"there is no folder {options.copy}")
    try:
        names = bring(options.folder, options.copy or ROOT.parent / "shared" / "data")
        make(options.folder)
    except OSError as error:
        raise SystemExit(f"{options.folder} cannot be written: {error}") from error
    print(f"{options.folder}: {len(names)} files, and {REQUESTS} and {JOINED} of them")


def bring(folder: Path, copies: Path) -> list[str]:
    """Bring every file of the list that is not there as it was published; return their names."""
    lines = [line.split(" ") for line in LIST.read_text(encoding="utf-8").splitlines()]
    for number, (digest, name, origin) in enumerate(lines):
        if _is(folder / name, digest):
            continue
        if _is(copies / name, digest):
            content = (copies / name).read_bytes()
        else:
            if (copies / name).exists():
                told = f"{copies / name} is not the file that was measured (its sha256 differs)"
                print(told, file=sys.stderr)
            left = f"{len(lines) - number} of {len(lines)} files are still to come"
            content = _download(origin, digest, left)
        _write(folder / name, content)
    return [name for _, name, _ in lines]


def make(folder: Path) -> None:
    """Make the sets that no publisher has."""
    rows = json.loads((folder / "clinc150/data_full.json").read_text(encoding="utf-8"))
    domains = json.loads((folder / "clinc150/domains.json").read_text(encoding="utf-8"))
    domain_of = {label: name for name, labels in domains.items() for label in labels}
    requests = {
        split: [{"text": t, "intent": i, "domain": domain_of[i]} for t, i in rows[source]]
        for split, source in SPLITS.items()
    }
    joined = {
        f"{group}_{split}": join([r for r in requests[split] if r["domain"] in names], count)
        for group, names in GROUPS.items()
        for split, count in ROWS.items()
    }
    for name, made in ((REQUESTS, requests), (JOINED, joined)):
        _write(folder / name, json.dumps(made, indent=1).encode())


def join(requests: list[dict[str, str]], count: int) -> list[dict[str, Any]]:
    """Return texts of two or three requests each, with their labels; the same ones every time."""
    draw = random.Random(0)
    some = [draw.sample(requests, draw.choice((2, 3))) for _ in range(count)]
    return [
        {
            "text": "; ".join(one["text"] for one in group),
            "intents": sorted({one["intent"] for one in group}),
        }
        for group in some
    ]


def _is(place: Path, digest: str) -> bool:
    return place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == digest


def _download(origin: str, digest: str, left: str) -> bytes:
    print(f"reading {HOST}{origin}", file=sys.stderr)
    try:
        with urllib.request.urlopen(HOST + origin, timeout=60) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        wrong = f"{HOST}{origin} cannot be read: {error}; {left}"
        hint = f"the same command goes on; or, from a folder that has them: {COMMAND} --copy DIR"
        raise SystemExit(f"{wrong}\n  {hint}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise SystemExit(f"{HOST}{origin} is not the file that was measured (its sha256 differs)")
    return content


def _write(place: Path, content: bytes) -> None:
    """Write a file that is whole or not there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    try:
        part.write_bytes(content)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
