"""The figures of a study, from its result files alone: what report.json holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np

from yofo_mlx.study.arms import ARMS, REFERENCE, Arm
from yofo_mlx.study.results import Result, Scores, Values
from yofo_mlx.study.search import best, judged, of_arm, pairs_of, points, settings_of
from yofo_mlx.study.statistics import Bootstrap, Table
from yofo_mlx.system.quantities import plural

MOST_NAMED = 20  # tasks
Row = dict[str, Any]
Runs = list[Result]  # of one arm, by seed; of a dedicated one by seed and task


def summarize(
    results: Mapping[str, Result], study: Mapping[str, Any], resamples: int | None = None
) -> dict[str, Any]:
    """Return everything that the report shows.

    `study` is what study.json says of it: names of the tasks of the mean, and of those apart.
    """
    bootstrap = Bootstrap(resamples) if resamples else Bootstrap()
    arms = by_arm(results, study)
    tasks = _tasks(arms)
    mean = [name for name in study["mean"] if name in tasks]
    apart = [name for name in study["apart"] if name in tasks]
    families = {
        one: _of_family(one, mean, tasks) or _of_family(one, apart, tasks)
        for one in dict.fromkeys(tasks[name]["family"] for name in (*mean, *apart))
    }

    def curves(names: Sequence[str]) -> dict[str, list[Row]]:
        return {arm: curve(runs, names, bootstrap) for arm, runs in arms.items()}

    return {
        "name": study.get("name", ""),
        "resamples": bootstrap.resamples,
        "arms": {name: _arm(ARMS[name], runs, mean, bootstrap) for name, runs in arms.items()},
        "tasks": {name: tasks[name] for name in (*mean, *apart)},
        "mean": mean,
        "apart": apart,
        "curves": curves(mean),
        "families": {one: curves(names) for one, names in families.items()},
        "family_tasks": families,
        "by_task": {name: curves([name]) for name in (*mean, *apart)},
        "beside": beside(arms, [*mean, *apart]),
        "differences": differences(arms, mean, bootstrap),
        "rows": _rows(results, study, mean, bootstrap),
        "tried": _tried(results, study),
        "by_loss": not study["choose_on"],
        "remarks": [*_remarks(arms, tasks, study)],
    }


def _remarks(
    arms: Mapping[str, Runs], tasks: Mapping[str, Row], study: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what was asked for and is in no table."""
    for what, more in (("mean", " of the mean"), ("apart", " set apart, which `--apart` measures")):
        if unknown := [name for name in study[what] if name not in tasks]:
            some = ", ".join(unknown[:MOST_NAMED]) + " …" * (len(unknown) > MOST_NAMED)
            yield f"not measured yet: {plural(len(unknown), 'task')}{more} ({some})"
    every = [run for runs in arms.values() for run in runs]
    asked = {
        n
        for run in every
        for name in study["mean"]
        if name in run.tasks
        for n in run.tasks[name].asked
    }
    if never := sorted(asked - {*_shots(every, study["mean"])}):
        yield (
            f"no task reached {', '.join(map(str, never))} shots: it has fewer rows, or its prompts"
            " no room (evaluation.max_tokens)"
        )
    judges, settings = _judges(study), settings_of(study)
    trained = [one for name, runs in arms.items() if ARMS[name].is_main for one in runs]
    searched = [one for one in trained if len(points(settings, ARMS[one.arm])) > 1]
    if searched and not any(pairs_of(one, judges) for one in searched):
        said = ", ".join(f"{key} = {value}" for key, value in searched[0].values)
        yield (
            f"nothing could be asked of {', '.join(judges)}: {said} is the first of those to try,"
            " not the best"
        )


def by_arm(results: Mapping[str, Result], study: Mapping[str, Any]) -> dict[str, Runs]:
    """Return the results of each arm on all rows, of a search those of the chosen values."""
    found: dict[str, Runs] = {}
    for name in ARMS:
        every = [one for one in results.values() if one.arm == name and _is_asked(one, study)]
        runs = [one for one in every if one.rows is None]
        tried = [one for one in runs if one.seed == 0]
        if len({one.values for one in tried}) > 1:
            values = _best(name, tried, found, study)
            runs = [one for one in runs if one.values == values]
        if runs:
            found[name] = sorted(runs, key=lambda one: (one.seed, one.task or ""))
    return found


def _best(
    name: str, tried: Runs, found: Mapping[str, Runs], study: Mapping[str, Any]
) -> Values | None:
    """Return the values that count of an arm: the best, or those of the arm it is compared with."""
    if not ARMS[name].is_main and REFERENCE in found:
        return of_arm(found[REFERENCE][0].values, ARMS[name])
    chosen = best(tried, _judges(study), by_loss=not study["choose_on"])
    return chosen or points(settings_of(study), ARMS[name])[0]


def _judges(study: Mapping[str, Any]) -> Sequence[str]:
    names: Sequence[str] = study.get("judges", study["choose_on"])
    return names


def _is_asked(result: Result, study: Mapping[str, Any]) -> bool:
    """Tell whether a result is of values that the study tries now."""
    arm = ARMS[result.arm]
    if not arm.is_main or "learning_rates" not in study:
        return True
    return result.values in points(settings_of(study), arm)


def _tasks(arms: Mapping[str, Runs]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for runs in arms.values():
        for run in runs:
            for name, task in run.tasks.items():
                known = {"family": task.family, "metric": task.metric, "labels": task.labels}
                found.setdefault(name, known | {"reason": task.reason})
    return found


def _of_family(family: str, names: Iterable[str], tasks: Mapping[str, Row]) -> list[str]:
    return [name for name in names if tasks[name]["family"] == family]


def curve(runs: Runs, names: Sequence[str], bootstrap: Bootstrap) -> list[Row]:
    """Return an arm's mean over tasks at each number of shots, with interval, spread and loss."""
    rows = []
    for shots in _shots(runs, names):
        tables = tables_of(runs, names, shots)
        if tables:
            losses = tables_of(runs, [*tables], shots, column=1)
            loss = fmean(float(table.mean()) for table in losses.values())
            rows.append({"shots": shots, **asdict(bootstrap.estimate(tables)), "loss": loss})
    return rows


def beside(arms: Mapping[str, Runs], names: Sequence[str]) -> list[Row]:
    """Return what is told beside the scores of tasks, such as macro F1: means over seeds."""
    found: dict[tuple[str, int, str], dict[str, list[float]]] = {}
    for name in names:
        for arm, runs in arms.items():
            for run in runs:
                for shots, figures in run.beside.get(name, {}).items():
                    for figure, value in figures.items():
                        of_arms = found.setdefault((name, shots, figure), {})
                        of_arms.setdefault(arm, []).append(value)
    return [
        {"task": name, "shots": shots, "figure": figure}
        | {"arms": {arm: fmean(values) for arm, values in of_arms.items()}}
        for (name, shots, figure), of_arms in found.items()
    ]


def _shots(runs: Runs, names: Sequence[str]) -> list[int]:
    return sorted({s for run in runs for name in names for s in run.cells.get(name, {})})


def tables_of(runs: Runs, names: Sequence[str], shots: int, column: int = 0) -> dict[str, Table]:
    """Return the scores (or losses) of each task (S, Q): of all queries that every seed has.

    All tasks have the same seeds: those that each of them was measured with.
    """
    cells = {name: _by_seed(runs, name, shots) for name in names}
    cells = {name: of_task for name, of_task in cells.items() if of_task}
    seeds = set.intersection(*(set(one) for one in cells.values())) if cells else set()
    found = {}
    for name, of_task in cells.items():
        scores = [of_task[seed] for seed in sorted(seeds)]
        rows = [{key: pair[column] for key, pair in one.items()} for one in scores]
        found[name] = _in_common(rows)
    return {name: table for name, table in found.items() if table.size}


def _in_common(rows: Sequence[Mapping[str, float]]) -> Table:
    """Return the figures (S, Q) of the queries that all S rows have."""
    keys = [key for key in rows[0] if all(key in row for row in rows)] if rows else []
    return np.array([[row[key] for key in keys] for row in rows])


def _by_seed(runs: Runs, name: str, shots: int) -> dict[int, Scores]:
    found = {run.seed: run.cells.get(name, {}).get(shots, {}) for run in runs if name in run.cells}
    return {seed: scores for seed, scores in found.items() if scores}


def differences(arms: Mapping[str, Runs], names: Sequence[str], bootstrap: Bootstrap) -> list[Row]:
    """Return the reference minus every other arm at each number of shots, paired by query."""
    if REFERENCE not in arms:
        return []
    rows = []
    for name, runs in arms.items():
        if name == REFERENCE:
            continue
        for shots in _shots(runs, names):
            tables = paired(arms[REFERENCE], runs, names, shots)
            if tables:
                rows.append({"arm": name, "shots": shots, **asdict(bootstrap.estimate(tables))})
    return rows


def paired(one: Runs, two: Runs, names: Sequence[str], shots: int) -> dict[str, Table]:
    """Return one arm's scores minus another's (S, Q), query by query and seed by seed.

    Seeds that one of them lacks are left out: their demonstrations are others.
    """
    both = {n: (_by_seed(one, n, shots), _by_seed(two, n, shots)) for n in names}
    both = {name: pair for name, pair in both.items() if all(pair)}
    of_tasks = [{*first} & {*second} for first, second in both.values()]
    seeds = sorted(set.intersection(*of_tasks)) if of_tasks else []
    found = {}
    for name, (first, second) in both.items():
        pairs = [(first[seed], second[seed]) for seed in seeds]
        rows = [{key: a[key][0] - b[key][0] for key in a if key in b} for a, b in pairs]
        found[name] = _in_common(rows)
    return {name: table for name, table in found.items() if table.size}


def _arm(arm: Arm, runs: Runs, mean: Sequence[str], bootstrap: Bootstrap) -> Row:
    costs = [run.training for run in runs if run.training]

    def mean_of(what: str) -> float:
        return fmean([getattr(one, what) for one in costs] or [0])

    return {
        "title": arm.title,
        "source": arm.source,
        "seeds": len({run.seed for run in runs}),
        "adapters": len(costs),
        "tokens": mean_of("tokens"),
        "targets": mean_of("targets"),
        "updates": mean_of("updates"),
        "minutes": mean_of("seconds") / 60,
        "measured_minutes": fmean(run.measured_seconds for run in runs) / 60,
        "learning_rate": costs[0].learning_rate if costs else None,
        "overrides": costs[0].overrides if costs else [],
        "device": ", ".join(dict.fromkeys(str(run.machine.get("device", "")) for run in runs)),
        "notes": sorted({run.note for run in runs if run.note}),
        "forgetting": [run.forgetting.loss for run in runs if run.forgetting],
        "choice": _labels(runs, mean, "choice", bootstrap),
        "outside": _labels(runs, mean, "outside", bootstrap),
    }


def _labels(runs: Runs, names: Sequence[str], what: str, bootstrap: Bootstrap) -> Row:
    """Return by task how often something was so without demonstrations, with intervals."""
    found = {}
    for name in names:
        table = _in_common([one for run in runs if (one := getattr(run, what).get(name))])
        if table.size:
            found[name] = asdict(bootstrap.estimate({name: table}))
    return found


def _rows(
    results: Mapping[str, Result], study: Mapping[str, Any], mean: Sequence[str], boot: Bootstrap
) -> list[Row]:
    """Return the reference's curve for each share of the training rows, all of them at last."""
    whole = by_arm(results, study).get(REFERENCE, [])
    parts: dict[float, Runs] = {}
    for one in results.values():
        if one.rows in study.get("rows", ()) and whole and one.values == whole[0].values:
            parts.setdefault(one.rows or 1.0, []).append(one)
    found = [
        {"share": share, "curve": curve(runs, mean, boot)} for share, runs in sorted(parts.items())
    ]
    return [*found, {"share": 1.0, "curve": curve(whole, mean, boot)}] if found else []


def _tried(results: Mapping[str, Result], study: Mapping[str, Any]) -> list[Row]:
    """Return what each combination of values scored on the tasks for choosing."""
    chosen = by_arm(results, study)
    rows = []
    for result in results.values():
        pairs = pairs_of(result, _judges(study))
        is_tried = result.values and result.seed == 0 and result.rows is None
        if pairs and is_tried and result.arm in chosen and _is_asked(result, study):
            row = {"arm": result.arm, "values": dict(result.values), **judged(pairs)}
            rows.append(row | {"chosen": result in chosen[result.arm]})
    return rows
