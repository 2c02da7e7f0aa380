"""The report of a study as Markdown: tables with their intervals, pictures beside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from yofo_mlx.evaluation.metrics import TITLES
from yofo_mlx.evaluation.scores import margin
from yofo_mlx.study.arms import ARMS, DEDICATED_SHOTS, REFERENCE
from yofo_mlx.study.pictures import DRAWN
from yofo_mlx.study.sections import rows, tried
from yofo_mlx.study.tables import difference, percent, points, shots_table, table
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import printable

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

MOST_TABLES = 8  # tasks of the mean that have a table of their own

MOST_IN_COMMON = "Each at the most demonstrations that all arms were asked behind."

ABOUT = """\
Every figure is a mean over tasks, each of which weighs the same, in percent of its metric; ± is
half of a 95 % interval from {resamples:,} resamples of queries within their tasks and of seeds. An
arm with one seed has an interval of its queries alone: how much another training would differ is
not in it. Where every answer was wrong, or every one right, resampling shows no spread. A figure
over fewer tasks or queries than others of its column says so."""


def markdown(summary: Summary, pictures: Mapping[str, str]) -> str:
    """Return report.md; `pictures` are the files by what they show."""
    parts = [
        f"# Study: {printable(summary['name'])}",
        _headline(summary),
        ABOUT.format(resamples=summary["resamples"]),
        *_accuracy(summary, pictures),
        *_objectives(summary, pictures),
        *_gap(summary, pictures),
        *_forgetting(summary, pictures),
        *rows(summary),
        *_cost(summary, pictures),
        *_by_family(summary),
        *_beside(summary),
        *tried(summary),
        *_notes(summary),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _headline(summary: Summary) -> str:
    """Say in a sentence where the reference and the base stand at the most shots of both."""
    curves = summary["curves"]
    base = {row["shots"]: row for row in curves.get("base", ())}
    rows = [row for row in curves.get(REFERENCE, ()) if row["shots"] in base]
    if not rows:
        return ""
    furthest = max(rows, key=lambda row: (row["tasks"], row["shots"]))
    words = (
        f"With {plural(furthest['shots'], 'demonstration')} `{REFERENCE}` answers"
        f" {percent(furthest)} right, the base model {percent(base[furthest['shots']])}"
    )
    gain = next(
        (
            one
            for one in summary["differences"]
            if one["arm"] == "base" and one["shots"] == furthest["shots"]
        ),
        None,
    )
    more = f": {points(gain)} points more" if gain else ""
    return f"**{words}{more}.** ({plural(furthest['tasks'], 'task')} that no arm trained on.)"


def _accuracy(summary: Summary, pictures: Mapping[str, str]) -> Iterator[str]:
    yield "## Accuracy by shots (Figure 1 of the paper)"
    yield _picture(pictures, "accuracy", "Accuracy by number of demonstrations")
    if hidden := [
        f"`{name}`"
        for name in summary["curves"]
        if name not in DRAWN and not ARMS[name].is_dedicated
    ]:
        yield f"Only in the table: {', '.join(hidden)}."
    metrics = sorted({_title(task) for task in _tasks(summary)})
    yield f"{', '.join(metrics)}; mean of {plural(len(summary['mean']), 'held-out task')}."
    yield shots_table(summary["curves"], seeds=True)
    notes: dict[str, list[str]] = {}
    for name, one in summary["arms"].items():
        for note in one["notes"]:
            notes.setdefault(note, []).append(f"`{name}`")
    yield from (f"{', '.join(names)}: {printable(note)}." for note, names in notes.items())
    rows = summary["differences"]
    if rows:
        yield (
            f"`{REFERENCE}` minus each of the others, in points, on the same queries behind the"
            " same demonstrations, so of the seeds that both have; an interval that leaves out 0 is"
            " in bold."
        )
        by_arm = {name: [row for row in rows if row["arm"] == name] for name in _arms(rows)}
        yield shots_table(by_arm, seeds=True, cell=difference)


def _title(task: Row) -> str:
    return TITLES.get(task["metric"]) or str(task["metric"])


def _tasks(summary: Summary) -> list[Row]:
    return [summary["tasks"][name] for name in summary["mean"]]


def _arms(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["arm"] for row in rows))


def _objectives(summary: Summary, pictures: Mapping[str, str]) -> Iterator[str]:
    names = ("few-last", "few-all", "many-last", "many-all")
    curves = {name: summary["curves"][name] for name in names if name in summary["curves"]}
    if len(curves) < 2:
        return
    yield "## The last answer or all of them, few shots or many (Figure 4)"
    yield _picture(pictures, "objectives", "Last answer against all answers")
    yield shots_table(curves, seeds=True)


def _gap(summary: Summary, pictures: Mapping[str, str]) -> Iterator[str]:
    names = [name for name in summary["curves"] if ARMS[name].is_dedicated]
    if not names:
        return
    yield "## The gap to an adapter of its own for each task (Figure 5)"
    yield _picture(pictures, "gap", "Shared adapter against dedicated ones")
    yield (
        f"A dedicated adapter was trained on prompts of {DEDICATED_SHOTS} demonstrations, so its"
        " own column is the one with the number of shots nearest to that. The second table is"
        f" `{REFERENCE}` minus it, both with as many demonstrations as the column says, of the"
        " seeds that both have."
    )
    rows = [row for row in summary["differences"] if row["arm"] in names]
    yield shots_table(
        {n: summary["curves"][n] for n in (REFERENCE, *names) if n in summary["curves"]}, seeds=True
    )
    gaps = {n: [row for row in rows if row["arm"] == n] for n in names}
    yield shots_table(gaps, seeds=True, cell=difference)
    yield from filter(None, (_best_against(summary, name) for name in names))


def _best_against(summary: Summary, name: str) -> str:
    """Say how the best column of the reference stands to the best one of a dedicated arm."""
    ours, theirs = (summary["curves"].get(one) for one in (REFERENCE, name))
    if not ours or not theirs:
        return ""
    most = max(row["tasks"] for row in ours)
    one = max((r for r in ours if r["tasks"] == most), key=lambda r: r["mean"])
    two = max((r for r in theirs if r["tasks"] == most), key=lambda r: r["mean"], default=None)
    if two is None:
        return ""
    return (
        f"Best against best: `{REFERENCE}` {percent(one)} at {plural(one['shots'], 'shot')},"
        f" `{name}` {percent(two)} at {plural(two['shots'], 'shot')}:"
        f" a gap of {100 * (two['mean'] - one['mean']):.1f} points."
    )


def _forgetting(summary: Summary, pictures: Mapping[str, str]) -> Iterator[str]:
    arms = summary["arms"]
    known = {name: one for name, one in arms.items() if one["forgetting"] or one["choice"]}
    if not known:
        return
    yield "## Forgetting"
    yield _picture(pictures, "forgetting", "Loss on texts that no arm trained on")
    yield (
        "Loss on plain texts that no arm trained on, in nats a token, and how much more than the"
        " base model's. Without demonstrations: how often the likeliest of the given labels is"
        " right, on the tasks where the base model is above chance by its interval; and the share"
        " of free answers that are none of the labels, on all tasks that have some. ± is the"
        " standard deviation over seeds, where there are several."
    )
    able = _above_chance(summary)
    free = list(dict.fromkeys(task for one in known.values() for task in one["outside"]))
    base = fmean(arms["base"]["forgetting"]) if arms.get("base", {}).get("forgetting") else None
    rows = []
    for name, one in known.items():
        losses = one["forgetting"]
        loss = f"{fmean(losses):.4f}{_spread(losses)}" if losses else "–"
        more = f"{fmean(losses) - base:+.4f}" if losses and base is not None else "–"
        chosen = _share(one["choice"], able)
        rows.append(
            [
                f"`{name}`",
                loss,
                more,
                chosen,
                _share(one["outside"], free),
                str(len(losses) or one["seeds"]),
            ]
        )
    head = [
        "arm",
        "loss",
        "more than base",
        f"choice ({plural(len(able), 'task')})",
        "outside the labels",
        "seeds",
    ]
    yield table(head, rows)
    yield _ratio(summary, base)


def _ratio(summary: Summary, base: float | None) -> str:
    """Say how the reference's forgetting stands to that of zero-shot tuning."""
    arms = summary["arms"]
    pair = [arms.get(name, {}).get("forgetting") for name in (REFERENCE, "zero-shot")]
    if base is None or not all(pair):
        return ""
    ours, theirs = (fmean(one) - base for one in pair)
    if theirs <= 0:
        return "Zero-shot tuning forgot nothing of these texts: there is no ratio to tell."
    if ours <= 0:
        return (
            f"`{REFERENCE}` forgot nothing of these texts ({ours:+.4f} nats a token), zero-shot"
            f" tuning did ({theirs:+.4f})."
        )
    half = "at most half" if ours <= theirs / 2 else "more than half"
    return (
        f"`{REFERENCE}` lost {ours:+.4f} nats a token, zero-shot tuning {theirs:+.4f}:"
        f" {half} of it ({100 * ours / theirs:.0f} %)."
    )


def _above_chance(summary: Summary) -> list[str]:
    """Return the tasks where the base model's choice among labels is better than chance."""
    base = summary["arms"].get("base", {}).get("choice", {})
    tasks = summary["tasks"]
    return [
        name
        for name, one in base.items()
        if one["mean"] - margin([one["mean"]], [one["queries"]]) > 1 / max(1, tasks[name]["labels"])
    ]


def _cost(summary: Summary, pictures: Mapping[str, str]) -> Iterator[str]:
    trained = {name: one for name, one in summary["arms"].items() if one["adapters"]}
    if not trained:
        return
    yield "## What it cost"
    yield _picture(pictures, "cost", "Accuracy against minutes of training")
    yield (
        "Of one adapter, in the mean over those of an arm: tokens that were processed, tokens that"
        " were targets, updates, minutes of training and of measuring, on the device named."
    )
    rows = [
        [
            f"`{name}`",
            f"{one['tokens']:,.0f}",
            f"{one['targets']:,.0f}",
            f"{one['updates']:,.0f}",
            f"{one['minutes']:.1f}",
            f"{one['measured_minutes']:.1f}",
            f"{one['learning_rate']:g}",
            str(one["adapters"]),
            printable(one["device"] or ""),
        ]
        for name, one in trained.items()
    ]
    head = "arm tokens targets updates minutes measuring rate adapters device".split()
    yield table(head, rows)
    yield "What each arm is:"
    whats = [
        [f"`{name}`", one["title"], " ".join(f"`{key}`" for key in one["overrides"]), one["source"]]
        for name, one in summary["arms"].items()
    ]
    yield table(["arm", "what it is", "keys", "after"], whats)


def _by_family(summary: Summary) -> Iterator[str]:
    families = summary["families"]
    if len(families) > 1:
        yield "## By family"
        yield MOST_IN_COMMON
        yield _compact("family", summary, families)
        for family, curves in families.items():
            names = ", ".join(map(printable, summary["family_tasks"][family][:MOST_TABLES]))
            more = " …" * (len(summary["family_tasks"][family]) > MOST_TABLES)
            yield f"### {family} ({names}{more})"
            yield shots_table(curves, seeds=True)
    if summary["apart"]:
        yield "## Tasks apart from the mean"
        yield from _task_tables(summary, summary["apart"])
    if len(summary["mean"]) > 1:
        yield "## By task"
        yield MOST_IN_COMMON
        by_task = {name: summary["by_task"][name] for name in summary["mean"]}
        yield _compact("task", summary, by_task)
    if 1 < len(summary["mean"]) <= MOST_TABLES:
        yield from _task_tables(summary, summary["mean"])


def _compact(what: str, summary: Summary, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a line for each group and a column for each arm, at the most shots all arms have."""
    arms, lines = list(summary["arms"]), []
    for name, curves in groups.items():
        reached = [{row["shots"] for row in rows} for rows in curves.values() if rows]
        shots = max(set.intersection(*reached), default=None) if reached else None
        last = [next((r for r in curves[arm] if r["shots"] == shots), None) for arm in arms]
        cells = [percent(row) if row else "–" for row in last]
        lines.append([printable(name), "–" if shots is None else str(shots), *cells])
    return table([what, "shots", *(f"`{arm}`" for arm in arms)], lines)


def _task_tables(summary: Summary, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        task = summary["tasks"][name]
        yield f"### {printable(name)} ({task['family']}, {_title(task)})"
        yield shots_table(summary["by_task"][name]) or f"Nothing was measured: {task['reason']}."


def _beside(summary: Summary) -> Iterator[str]:
    """Yield what is told beside the metrics, at the most shots that most arms were asked."""
    last: dict[tuple[str, str], Row] = {}
    for row in summary.get("beside", ()):
        key = (row["task"], row["figure"])
        known = last.get(key)
        rank = (len(row["arms"]), row["shots"])
        if known is None or rank > (len(known["arms"]), known["shots"]):
            last[key] = row
    if last:
        yield "## Beside the metrics"
        yield "Means over seeds, over the queries that were asked last. See `docs/data.md`."
        arms = [arm for arm in summary["arms"] if any(arm in row["arms"] for row in last.values())]
        lines = [
            [printable(task), figure, str(row["shots"])]
            + [f"{100 * row['arms'][arm]:.1f}" if arm in row["arms"] else "–" for arm in arms]
            for (task, figure), row in last.items()
        ]
        yield table(["task", "figure", "shots", *(f"`{arm}`" for arm in arms)], lines)


def _notes(summary: Summary) -> Iterator[str]:
    notes = [*summary["remarks"], *summary.get("notes", [])]
    if notes:
        yield "## What has to be known, and what is missing"
        yield "\n".join(f"- {printable(note)}" for note in notes)


def _share(figures: Mapping[str, Row], names: Sequence[str]) -> str:
    """Return the mean over tasks in percent, and over how many where that is not all of them."""
    known = [figures[name]["mean"] for name in names if name in figures]
    if not known:
        return "–"
    fewer = f" ({plural(len(known), 'task')})" if len(known) < len(names) else ""
    return f"{100 * fmean(known):.1f}{fewer}"


def _spread(values: Sequence[float]) -> str:
    return f" ±{stdev(values):.4f}" if len(values) > 1 else ""


def _picture(pictures: Mapping[str, str], name: str, words: str) -> str:
    return f"![{words}]({pictures[name]})" if name in pictures else ""
