"""`yofo runs`: all runs and how they stand."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.ranking import newest, ranks
from yofo_mlx.runs import listing, lock, trash
from yofo_mlx.runs.diagnosis import explain
from yofo_mlx.runs.divergence import HINT, is_diverged
from yofo_mlx.runs.events import Event, figure, first_event
from yofo_mlx.runs.folder import GOING_ON, TROUBLE, Run
from yofo_mlx.runs.names import short
from yofo_mlx.system.files import size_of
from yofo_mlx.system.quantities import age, duration, size
from yofo_mlx.system.talk import say, say_next
from yofo_mlx.system.text import clip, json_line, printable, shorten

HEADS = {  # of the columns: what `run_row` calls them
    "run": "name",
    "status": "status",
    "process": "process",
    "step": "step",
    "done": "share",
    "loss": "loss",
    "tok/s": "tokens_per_s",
    "valid": "valid",
    "preq": "prequential",
    "acc": "accuracy",
    "gain": "gain",
    "left": "seconds_left",
    "mem": "peak_gb",
    "in all": "footprint_gb",
    "eval": "eval",
    "model": "model",
    "size": "bytes",
    "age": "created",
    "note": "note",
}
SORTS = {  # by what; whether the best has the most of it
    "valid": ("valid", False),
    "prequential": ("prequential", False),
    "accuracy": ("accuracy", True),
    "gain": ("gain", True),
    "left": ("seconds_left", False),
    "memory": ("peak_gb", False),
    "size": ("bytes", True),
    "loss": ("loss", False),
    "age": ("created", True),
}
NUMBERS = (
    "in all",
    *"process step done loss tok/s valid preq acc gain left mem size age".split(),
)
# In a narrow terminal.
SPARED = (
    "in all",
    *"preq tok/s model loss mem step eval note process done left acc gain valid".split(),
)
DIVERGED = "its loss ends far above where it began: it has diverged"
LONGEST_MODEL = 24
EXPLAINED = 3  # runs, the newest
SHOWN_WORDS = 3  # lines


def show(*, sort: str | None = None, sizes: bool = False, as_json: bool = False) -> ExitCode:
    """List runs, newest or best first; with `sizes` also what each takes on the disk."""
    key, most_first = _order(sort)
    sizes = sizes or key == "bytes"
    found = listing.list_runs()
    rows = [run_row(run) for run in found]
    for row, name in zip(rows, short([run.run_id for run in found]), strict=True):
        row["name"] = name
        row |= {"bytes": size_of(Path(row["path"]).resolve())} if sizes else {}
    if sort:
        rows.sort(key=lambda row: _place(row[key], most_first=most_first))
    if as_json:
        print(json_line(rows))
        return ExitCode.OK
    if not rows:
        say("no runs yet")
        if trash.removed_runs():
            say("  `yofo restore` lists those in the trash")
        say_next("train tiny")
        return ExitCode.OK
    heads = [head for head, key in HEADS.items() if any(row.get(key) is not None for row in rows)]
    cells = [[_cell(row, HEADS[head]) for head in heads] for row in rows]
    show_table(heads, cells, numbers=NUMBERS, spared=SPARED)
    told = [row for row in rows if row["status"] in TROUBLE or row["diverged"]]
    for row in told[:EXPLAINED]:
        _explain(row)
    sys.stdout.flush()
    say_next(f"runs {listing.word(found[0])}")
    return ExitCode.OK


def _order(sort: str | None) -> tuple[str, bool]:
    """Return by what runs are ordered; a part of a word that only one has will do."""
    matches = [one for one in SORTS if sort and one.startswith(sort)]
    if sort is not None and len(matches) != 1:
        raise RecipeError(f"--sort {shorten(sort)}: runs are not ordered by that", ", ".join(SORTS))
    return SORTS[matches[0]] if matches else ("created", True)


def _place(value: float | None, *, most_first: bool) -> tuple[bool, float]:
    """Order by a value, those that have none last."""
    return value is None, 0.0 if value is None else -value if most_first else value


def run_row(run: Run) -> dict[str, Any]:
    """Return what a list of runs shows, from the start and the end of the event stream."""
    (step, best), evaluation = newest(run), archive.latest(run)
    started, status = first_event(run.events_path) or {}, run.status()
    row: dict[str, Any] = {
        "run_id": run.run_id,
        "status": status,
        "process": lock.holder(run.path),
        "path": str(run.path),
        "model": shorten(str(started.get("model", "")), 200),
        "step": int(figure(step, "step") or 0),
        "share": figure(step, "share") or 0.0,
        "loss": figure(step, "loss"),
        "tokens_per_s": figure(step, "tokens_per_s"),
        "footprint_gb": figure(step, "footprint_gb"),
        "best_loss": figure(best, "loss"),
        "created": listing.born(run),
        "adapter": str(run.adapter_path) if run.adapter_path.is_dir() else None,
        "eval": _evaluated(evaluation, best),
        "diverged": status not in TROUBLE and is_diverged(run, status in GOING_ON),
        "note": run.info().note or None,
    } | asdict(ranks(status, step, best, evaluation))
    if row["status"] in TROUBLE and (death := explain(run)):
        row |= asdict(death)
    if row["diverged"]:
        row |= {"message": DIVERGED, "hint": HINT}
    return row


def _evaluated(evaluation: archive.Content, best: Event | None) -> str | None:
    """Return the adapter's scores in the latest full evaluation, such as `exact 52% at 32`.

    `best`: the validation that its adapter is of now; of an earlier one the step is told.
    """
    words = []
    for metric in archive.objects(evaluation.get("metrics")):
        if points := archive.points(metric.get("by_shots"), "adapter"):
            shots, score = points[-1]
            words.append(f"{shorten(str(metric.get('metric')), 20)} {100 * score:.0f}% at {shots}")
    if words and (step := archive.outdated(evaluation, best)):
        words.append(f"of {step}")
    return ", ".join(words) or None


def _explain(row: dict[str, Any]) -> None:
    """Say below the table why a run ended; its last words only where it could not say so itself."""
    print(f"\n{printable(row['run_id'])}: {printable(row.get('message', ''))}")
    if row.get("hint"):
        print(f"  {printable(row['hint'])}")
    if row["status"] == "died":
        for line in row.get("last_words", ())[-SHOWN_WORDS:]:
            print(f"  | {line}")


def _cell(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None or value == "":
        return "-"
    if key == "status" and row["diverged"]:
        return f"{value}, diverged"
    if key == "created":
        return age(time.time() - value)
    if key == "share":
        return f"{100 * value:.0f}%"
    if key in ("accuracy", "gain"):
        return f"{100 * value:{'+' if key == 'gain' else ''}.0f}%"
    if key == "seconds_left":
        return duration(value)
    if key in ("peak_gb", "footprint_gb"):
        return size(1e9 * value)
    if key == "note":
        return shorten(str(value), LONGEST_MODEL)
    if key == "bytes":
        return size(value)
    if key == "model":
        return clip(str(value).rstrip("/").rpartition("/")[2], LONGEST_MODEL)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
