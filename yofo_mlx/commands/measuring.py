"""What `yofo eval` does once it is clear what is asked: load, measure, keep, show."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx

from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.evaluation import archive, rows, shared
from yofo_mlx.evaluation.archive import Content, EvaluationFile
from yofo_mlx.evaluation.chosen import Chosen
from yofo_mlx.evaluation.comparison import differences
from yofo_mlx.evaluation.confusion import matrices
from yofo_mlx.evaluation.measure import Texts, evaluate_entry
from yofo_mlx.evaluation.prompts import prompts_of
from yofo_mlx.evaluation.scores import Results, TaskScores
from yofo_mlx.evaluation.shared import SharedResults
from yofo_mlx.evaluation.subjects import Subject
from yofo_mlx.models.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from yofo_mlx.models.adapters import load_adapter
from yofo_mlx.models.base import Base, base_of
from yofo_mlx.planning.evaluation import most_asked, plan_evaluation, refused
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.planning.planner import LEAST_CACHE
from yofo_mlx.prompting.fingerprint import changed_model, model_fingerprint
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.trained import Note
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.files import digest
from yofo_mlx.system.progress import Progress
from yofo_mlx.system.talk import say, say_again
from yofo_mlx.system.text import printable, reason, some_of
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

Queries = dict[str, list[Example]]
"""The queries that each task was asked, in their order."""

SAVE_EVERY_S = 5.0  # seconds between the times that half a task is kept


def measure(
    subject: Subject,
    recipe: Recipe,
    chosen: Chosen,
    warnings: Sequence[Note],
    *,
    full: bool,
    texts: Texts = "needed",
    fresh: bool = False,
) -> tuple[EvaluationFile, Queries]:
    """Measure tasks without and with the adapter; keep what they score, return what was asked.

    `fresh` measures the base model even if others did so before.
    """
    recipe, base = load_model(subject, recipe, warnings)
    _check_measurable(base, recipe, chosen)
    at_once = _copies(recipe, base, chosen.entries)
    with tempfile.TemporaryDirectory() as folder:
        adapter = _copy_adapter(subject.adapter, Path(folder))  # a trainer may replace it meanwhile
        kept = archive.begin(
            subject,
            _asked(subject, recipe, base, chosen, adapter) | _also(texts),
            full=full,
            models=archive.MODELS if adapter else archive.MODELS[:1],
            data=chosen.data,
            notes=chosen.notes,
        )
        _tell_of_other(subject, kept)
        measuring = Measuring(kept, recipe, base, at_once, texts, shares=not fresh)
        _measure(measuring, subject, chosen.entries, adapter)
    tells = texts != "needed" or recipe.evaluation.choice
    asked = chosen.entries if tells else []
    queries = {
        entry.task.name: [
            query.example for query in prompts_of(recipe, entry, base.tokenizer)[1].queries
        ]
        for entry in asked
    }
    kept.finish(
        outcomes=rows.outcomes(kept.content),
        confusion=matrices(kept.content, [entry.task for entry in asked], queries),
    )
    return kept, queries


def load_model(subject: Subject, recipe: Recipe, warnings: Sequence[Note]) -> tuple[Recipe, Base]:
    """Load the base model and say what is no longer as it was.

    What comes with no recipe is asked with prompts as long as its model knows at most.
    """
    base = base_of(recipe)
    longest = recipe.episodes.max_tokens
    if subject.run is None and base.context and base.context < longest:
        episodes = recipe.episodes.model_copy(update={"max_tokens": base.context})
        recipe = recipe.model_copy(update={"episodes": episodes})
    check_tables(recipe, base.tokenizer, base.config)
    changed = changed_model(subject.run, base) if subject.run else []
    for message, hint in [*warnings, *changed]:
        say(f"warning: {message}\n  {hint}")
    return recipe, base


@dataclass(frozen=True)
class Measuring:
    """An evaluation at work."""

    kept: EvaluationFile
    recipe: Recipe
    base: Base
    at_once: int | None
    texts: Texts
    shares: bool  # takes what the base model scored in other evaluations

    def each(self, entries: list[TaskEntry], model: str) -> None:
        """Measure task by task with the model as it is, and keep it."""
        is_base = model == archive.MODELS[0]
        taken = self._taken(entries) if is_base and self.shares else {}

        def done(name: str) -> dict[str, Results]:
            part = self.kept.part(model, name)
            if not part and name in taken:
                part |= taken[name].results
            return part

        for scores in measure_each(
            self.base,
            self.recipe,
            entries,
            model,
            self.at_once,
            texts=self.texts,
            done=done,
            check=lambda: self.kept.save(SAVE_EVERY_S),
        ):
            self.kept.add(model, scores)
            name = scores.task
            known = taken[name].results if name in taken else {}
            if is_base and scores.results != known:
                shared.keep(self._asked, name, SharedResults(self._origin, scores.results))

    def _taken(self, entries: list[TaskEntry]) -> dict[str, SharedResults]:
        """Return what is known of the base model by other evaluations, and say so."""
        names = [entry.task.name for entry in entries]
        found = {name: one for name in names if (one := shared.find(self._asked, name))}
        if found:
            origins = list(dict.fromkeys(one.origin for one in found.values()))
            tasks = "" if len(found) == len(names) else f"{len(found)} of {len(names)} tasks "
            whose = printable(some_of(origins, 1))
            say(f"base: {tasks}taken from {whose}; --fresh measures it again")
        return found

    @property
    def _asked(self) -> Content:
        return self.kept.content["asked"]  # type: ignore[no-any-return]

    @property
    def _origin(self) -> str:
        number = int(self.kept.path.name.split("-")[0])
        return f"{self.kept.content['run_id']}'s evaluation {number}"


def _measure(
    measuring: Measuring, subject: Subject, entries: list[TaskEntry], adapter: Path | None
) -> None:
    """Measure what is not kept yet, without and then with the adapter."""
    kept = measuring.kept
    try:
        for model in archive.models(kept.content):
            if model == "adapter" and adapter:
                _mount(measuring.base, subject, adapter)
            left = [entry for entry in entries if not kept.has(model, entry.task.name)]
            if len(left) < len(entries):
                say(f"{model}: {len(entries) - len(left)} of {len(entries)} tasks are kept already")
            measuring.each(left, model)
    except KeyboardInterrupt:
        kept.save()
        say("\nwhat was measured is kept" if kept.is_begun else "\nnothing was measured yet")
        say_again()
        raise


def _copies(recipe: Recipe, base: Base, entries: list[TaskEntry]) -> int | None:
    """Return how many queries there is memory for at once; refuse what has none for a single one.

    None where the model's sizes are not known.
    """
    if recipe.evaluation.choose in ("similar", "tail"):
        return 1  # queries are as long as prompts
    planner = find_planner(recipe, whole=True)
    asked = most_asked(recipe, entries, base.tokenizer)
    if planner is None or asked is None:
        return None
    plan = plan_evaluation(planner, asked)
    if refusal := refused(plan, planner.limit):
        raise refusal
    mx.set_cache_limit(max(plan.work, LEAST_CACHE))  # what one group frees, the next one takes
    return plan.copies


def measure_each(
    base: Base,
    recipe: Recipe,
    entries: list[TaskEntry],
    what: str,
    at_once: int | None = None,
    *,
    texts: Texts = "needed",
    done: Callable[[str], dict[str, Results]] = lambda _: {},
    check: Callable[[], None] = lambda: None,
) -> Iterator[TaskScores]:
    """Measure task by task with the model as it is, and tell how far it is.

    `done` gives what is known of a task already, and takes what is measured of it; `check` is
    called before each number of shots.
    """
    base.model.eval()
    points = len(recipe.evaluation.shots) * recipe.evaluation.draws
    for number, entry in enumerate(entries, 1):
        words = f"{what}: task {number} of {len(entries)}, numbers of shots"
        with Progress(words, points) as progress:

            def tick(progress: Progress = progress) -> None:
                progress.tick()
                check()

            yield evaluate_entry(
                base,
                recipe,
                entry,
                texts=texts,
                check=tick,
                at_once=at_once,
                done=done(entry.task.name),
            )


def _asked(
    subject: Subject, recipe: Recipe, base: Base, chosen: Chosen, adapter: Path | None
) -> Content:
    """Return all that the figures depend on."""
    evaluation = recipe.evaluation
    limit = recipe.longest_prompt
    if base.context and limit > max(base.context, recipe.episodes.max_tokens):
        say(f"warning: prompts may have {limit} tokens; the model knows at most {base.context}")
    step = {"step": subject.step()}
    unset = {name for name in ("choice", "choose") if not getattr(evaluation, name)}  # as ever
    return {
        "role": chosen.role,
        "versions": versions_and_machine()["versions"],
        "model": {
            "name": recipe.model,
            "revision": base.revision,
            "fingerprint": model_fingerprint(base.path),
        },
        "adapter": step | {"sha256": digest(adapter / WEIGHTS_FILE)} if adapter else None,
        "seed": recipe.seed,
        "template": recipe.template.model_dump(mode="json"),
        "evaluation": evaluation.model_dump(mode="json", exclude=unset) | {"max_tokens": limit},
        "tasks": {
            entry.task.name: {
                "fingerprint": entry.fingerprint,
                "metric": entry.metric,
                "answer_after": entry.answer_after,
                "separator": entry.separator,
            }
            | ({"queries": entry.queries} if entry.queries else {})
            for entry in chosen.entries
        },
    }


def _also(texts: Texts) -> Content:
    """Return what no figure depends on, but what there is to go on with."""
    return {} if texts == "needed" else {"texts": texts}


def _tell_of_other(subject: Subject, kept: EvaluationFile) -> None:
    """Say what is gone on with, or why one of the same tasks that was cut off is not."""
    if kept.is_begun:
        say(f"going on with {kept.path.name}")
        return
    other = archive.cut_off(subject, kept.content)
    if other is None:
        return
    asked, before = kept.content["asked"], other.content["asked"]
    changed = [one.setting for one in differences(before, asked)]
    tasks = asked["tasks"]
    changed += [f"the rows of {name}" for name in tasks if tasks[name] != before["tasks"][name]]
    say(
        f"{other.path.name} was cut off, but {', '.join(changed)} changed since:"
        " this is another evaluation"
    )


def _mount(base: Base, subject: Subject, adapter: Path) -> None:
    """Put the copied adapter on; what is wrong with it is told of the original."""
    try:
        load_adapter(base.model, adapter)
    except RunError as error:
        message = error.message.replace(str(adapter), str(subject.adapter))
        raise RunError(message, error.hint) from error


def _copy_adapter(adapter: Path | None, folder: Path) -> Path | None:
    if adapter is None:
        return None
    try:
        for name in (WEIGHTS_FILE, CONFIG_FILE):
            shutil.copyfile(adapter / name, folder / name)
    except OSError as error:
        hint = f"an adapter is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}"
        raise RunError(f"{adapter} cannot be read: {reason(error)}", hint) from error
    return folder


def _check_measurable(base: Base, recipe: Recipe, chosen: Chosen) -> None:
    reasons: list[str] = []
    for entry in chosen.entries:
        _, prompts = prompts_of(recipe, entry, base.tokenizer)
        if not prompts.reason:
            return
        reasons.append(f"{entry.task.name}: {prompts.reason}")
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    raise RecipeError(
        f"none of {archive.ROLES[chosen.role]} can be measured; {reasons[0]}{more}",
        f"longer prompts: --set evaluation.max_tokens={2 * recipe.longest_prompt}; or change"
        " evaluation.shots, or give the tasks other rows",
    )
