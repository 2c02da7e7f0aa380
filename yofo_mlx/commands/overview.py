"""`yofo runs RUN`: one run in full."""

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from yofo_mlx.commands.facts import Facts, overview
from yofo_mlx.commands.runs import SHOWN_WORDS, run_row
from yofo_mlx.errors import ExitCode, YofoError
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import ENDED, GOING_ON, RESUMABLE, Run
from yofo_mlx.system.quantities import age, duration, plural, size
from yofo_mlx.system.text import json_line, printable, shorten
from yofo_mlx.training import extension

MOST = 12  # keys, tasks or evaluations that are shown; --json has them all
NEXT = {
    "created": ("resume",),
    "running": ("watch", "stop"),
    "stopping": ("watch",),
} | dict.fromkeys(RESUMABLE, ("resume",))


def show(name: str, *, as_json: bool = False) -> ExitCode:
    """Show what a run is, what it learnt from, what it left, and what can be done next."""
    run = listing.find_any(name)
    facts = run_row(run) | overview(run)
    facts["next"] = list(_next(run, facts))
    if as_json:
        print(json_line(facts))
        return ExitCode.OK
    sections = {
        run.run_id: _head(facts),
        "recipe": _recipe(facts),
        "data": _data(facts),
        "model": _model(facts),
        "training": _training(facts),
        "evaluations": _evaluations(facts),
        "disk": _disk(facts),
        "notes": iter(facts["notes"]),
        "next": iter(facts["next"]),
    }
    for title, lines in sections.items():
        if shown := list(lines):
            print(printable(title))
            print("".join(f"  {printable(line)}\n" for line in shown), end="")
    return ExitCode.OK


def _head(facts: Facts) -> Iterator[str]:
    process = f", process {facts['process']}" if facts["process"] else ""
    yield f"{facts['status']}{process}{_why(facts)}"
    if facts.get("hint"):
        yield facts["hint"]
    if facts["status"] == "died":
        yield from (f"| {line}" for line in facts.get("last_words", ())[-SHOWN_WORDS:])
    yield f"begun {_moment(facts['created'])}, {age(time.time() - facts['created'])} ago"
    if facts["status"] in ENDED and facts["training"]["ended"]:
        yield f"ended {_moment(facts['training']['ended'])}"
    yield facts["path"]
    if facts["note"]:
        yield f"note: {facts['note']}"


def _why(facts: Facts) -> str:
    why = facts.get("message") or (facts["status"] == "stopped" and facts["training"]["reason"])
    return f": {why}" if why else ""


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # of a damaged file
        return "?"


def _recipe(facts: Facts) -> Iterator[str]:
    if facts["command"]:
        yield shlex.join(["yofo", *facts["command"]])
    keys = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in facts["recipe"].items()
    ]
    yield from _some([shorten(key, 200) for key in keys])
    yield f"all of it: yofo recipes check {shlex.quote(facts['recipe_path'])}"


def _data(facts: Facts) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Facts]] = {}
    for task in facts["tasks"]:
        groups.setdefault((task["role"] or "?", task["source"] or "?"), []).append(task)
    yield from _some([_group(role, source, tasks) for (role, source), tasks in groups.items()])


def _group(role: str, source: str, tasks: list[Facts]) -> str:
    name = shorten(tasks[0]["name"]) if len(tasks) == 1 else f"{len(tasks)} tasks"
    rows = [
        f"{sum(task[split] or 0 for task in tasks):,} {split}"
        for split in ("train", "valid", "test")
        if any(task[split] for task in tasks)
    ]
    by_state: dict[str, list[Facts]] = {}
    for task in tasks:
        by_state.setdefault(task["state"], []).append(task)
    states = [_state(state, found, len(tasks)) for state, found in by_state.items()]
    return f"{role}: {name} ({source}), {' + '.join(rows) or 'no'} examples, {', '.join(states)}"


def _state(state: str, tasks: list[Facts], of: int) -> str:
    words = {"missing": "missing now", "changed": "changed since"}.get(state, state)
    why = f" ({shorten(tasks[0]['why'], 200)})" if state == "unreadable" else ""
    which = f"{len(tasks)} " if len(tasks) < of else ""
    first = f" ({shorten(tasks[0]['name'])}{', ...' if len(tasks) > 1 else ''})" if which else ""
    return f"{which}{words}{why}{first}"


def _model(facts: Facts) -> Iterator[str]:
    base = facts["base"]
    if base["name"]:
        yield base["name"] + ("" if base["there"] is not False else ", which is not there now")
    if base["revision"]:
        yield f"revision {base['revision']}"


def _training(facts: Facts) -> Iterator[str]:
    training = facts["training"]
    planned, tokens = training["planned_steps"], training["planned_tokens"]
    steps = f" of {planned:.0f}" if planned else ""
    share = f" of {tokens:,.0f}" if tokens else ""
    yield f"{training['steps']:.0f}{steps} steps, {training['tokens']:,.0f}{share} tokens"
    yield f"trained for {duration(training['seconds'])}, pauses left out"
    if training["loss"] is not None:
        yield f"loss {training['loss']:.4g}"
    if training["peak_gb"] is not None:
        process = training["footprint_gb"]
        whole = "" if process is None else f", the process {size(1e9 * process)}"
        yield f"memory {size(1e9 * training['peak_gb'])} in its last step{whole}"
    if training["best_loss"] is not None:
        yield f"best validation {training['best_loss']:.4g}, at step {training['best_step']:.0f}"
    if facts["adapter"]:
        step = training["adapter_step"]
        of = f" of step {step:.0f}" if step is not None else ""
        yield f"adapter{of}, {size(facts['disk']['adapter'])}: {facts['adapter']}"
    if training["warnings"]:
        yield f"warnings: {training['warnings']}, all of them: yofo watch {_word(facts)}"


def _evaluations(facts: Facts) -> Iterator[str]:
    lines = []
    for one in facts["evaluations"]:
        what = "all held-out tasks" if one["full"] else ", ".join(one["tasks"])
        state = (
            "" if one["complete"] else f", unfinished: {one['done']} of {len(one['tasks'])} tasks"
        )
        step = f", adapter of step {one['step']}" if one["step"] is not None else ""
        scores = "".join(f", {_score(score)}" for score in one["scores"])
        date = one["date"][:16].replace("T", " ")
        lines.append(f"{one['number']}  {date}  {shorten(what)}{scores}{step}{state}")
    yield from _some(lines)
    if facts["adapter"]:
        yield f"on data of your own: yofo eval {_word(facts)} --data NEW.csv"


def _score(score: Facts) -> str:
    figures = [
        f"{name} {100 * score[name]:.0f}%"
        for name in ("base", "adapter")
        if score[name] is not None
    ]
    return f"{score['metric']} at {plural(score['shots'], 'shot')}: {', '.join(figures)}"


def _disk(facts: Facts) -> Iterator[str]:
    disk = facts["disk"]
    parts = ("checkpoints", "adapter", "evaluations", "other")
    shown = ", ".join(f"{part} {size(disk[part])}" for part in parts if disk[part])
    yield f"{size(disk['total'])}: {shown}"
    if caches := disk["prompt_caches"]:
        where = Path(next(iter(caches))).parent
        yield f"prompt caches: {len(caches)}, {size(sum(caches.values()))}, in {where}"


def _next(run: Run, facts: Facts) -> Iterator[str]:
    """Yield commands that work when pasted; where its model is gone none that needs it."""
    if facts["base"]["there"] is False and facts["status"] not in GOING_ON:
        return
    for verb in NEXT.get(facts["status"], ()):
        yield f"yofo {verb} {listing.word(run)}"
    if facts["adapter"]:
        yield f"yofo chat {listing.word(run)}"
        if any(task["test"] or task["valid"] for task in facts["tasks"]):
            yield f"yofo eval {listing.word(run)}"
    if facts["status"] == "finished" and not facts["diverged"]:
        with suppress(YofoError):  # of a damaged recipe
            yield extension.more(run, at_end=facts["share"] >= 1.0)


def _word(facts: Facts) -> str:
    return listing.word(Run(Path(facts["path"])))


def _some(lines: list[str]) -> Iterator[str]:
    yield from lines[:MOST]
    if len(lines) > MOST:
        yield f"and {len(lines) - MOST} more, with --json"
