"""What can be done with runs, by key: stopped, gone on with, named, measured, thrown away."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from textual import work
from textual.content import Content
from textual.message import Message
from textual.worker import get_current_worker

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.runs.folder import GOING_ON, RESUMABLE, Run
from yofo_mlx.system import paths
from yofo_mlx.system.quantities import plural

from ..shared.confirm import ConfirmScreen
from ..shared.copying import copy
from ..shared.recovery import Recovering
from ..shared.words import MUTED, safe
from .fixes import Fix, fix_of
from .starting import evaluate_detached, resume_detached, start_detached
from .view import RunView


class OpenInPrompt(Message):
    """The user wants to use this run's adapter."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


class RunActions(Recovering):
    """The acts of the place of runs; which run they are for, its list says."""

    def __init__(self) -> None:
        super().__init__()
        self.starter = start_detached
        self.resumer = resume_detached
        self.evaluator = evaluate_detached
        self._thrown: list[list[str]] = []  # to the trash together: undo brings back the last
        self._leaving: set[str] = set()  # ids that go by a key: that is no news
        self._wanted: str | None = None  # a run that is to be selected once it is listed

    @property
    def selected(self) -> RunView | None:
        """Return the run under the cursor."""
        raise NotImplementedError

    @property
    def chosen(self) -> list[RunView]:
        """Return the marked runs, or the one under the cursor."""
        raise NotImplementedError

    def look(self) -> None:
        """Look at the run folders soon."""
        raise NotImplementedError

    def may(self, action: str) -> bool:
        """Tell whether the selected run allows an act."""
        if action == "undo":  # also when the last run has gone
            return bool(self._thrown)
        view = self.selected
        if view is None:
            return False
        return {
            "stop": view.status == "running",
            "resume": view.status in RESUMABLE,
            "fix": view.status not in GOING_ON and fix_of(view) is not None,
            "evaluate": view.is_measurable,
        }.get(action, True)

    def action_prompt(self) -> None:
        """Open the selected run in Prompt."""
        view = self.selected
        if view is None:
            return
        if view.run.adapter_path.is_dir():
            self.post_message(OpenInPrompt(view.run))
        else:
            words = "It has no adapter yet: one is kept at the first validation and at the end."
            self.notify(words, severity="warning", markup=False)

    def action_copy(self) -> None:
        """Copy the path of the selected run."""
        if self.selected is not None:
            copy(self, str(self.selected.run.path), "path")

    def action_new(self) -> None:
        """Ask for a recipe and start it."""
        self._ask_for_a_run()

    def tell_start(self, words: str) -> None:
        """Say what has begun, until there are no words."""
        raise NotImplementedError

    def start_demo(self) -> None:
        """Train the embedded model: nothing is downloaded, and a minute is enough."""
        if not self.is_at_work("demo"):  # a second one would begin as well
            self.tell_start("Starting the demo …")
            self._start_demo()

    @work(thread=True, exit_on_error=False, group="demo")
    def _start_demo(self) -> None:
        recipe = paths.shipped_recipes() / "tiny.toml"
        run = self._try("no run was started", lambda: self.starter(recipe, [], ""))
        self.app.call_from_thread(self.tell_start, "")
        if run is not None:
            self.app.call_from_thread(self._started, run)

    def action_fix(self) -> None:
        """Offer what would have gone well in place of the selected run."""
        view = self.selected
        if view is not None and (fix := fix_of(view)) is not None:
            self._ask_for_a_run(view.run, fix)

    def _ask_for_a_run(self, again: Run | None = None, fix: Fix | None = None) -> None:
        from .new import NewRunScreen  # late: recipes' model is slow to import

        screen = NewRunScreen(
            again.recipe_path if again else None,
            fix.overrides if fix else None,
            starter=self.starter,
            why=fix.why if fix else "",
        )
        self.app.push_screen(screen, self._started)

    def train_on(self, sources: list[Any], recipe: Path | None = None) -> None:
        """Offer a new run of a recipe, or the first there is, with these data sets."""
        from .new import NewRunScreen

        page = NewRunScreen(recipe, sources=sources, starter=self.starter)
        self.app.push_screen(page, self._started)

    def _started(self, run: Run | None) -> None:
        if run is not None:
            self._wanted = run.run_id
            self.look()

    def action_resume(self) -> None:
        """Go on with the selected run from its last checkpoint; say so where there is none."""
        view = self.selected
        if view is None:
            return
        if view.has_checkpoint:
            self._resume(view.run)
        elif view.status == "failed":
            why = (
                f"{view.run.run_id} failed before its first checkpoint and would fail again in the "
                "same way. Change what has to be changed, and start it anew."
            )
            fix = fix_of(view)
            self._ask_for_a_run(view.run, Fix(why, fix.overrides if fix else {}))
        else:
            run_id = safe(view.run.run_id).stylize("bold")
            after = "It ended before its first checkpoint: it begins again at step 0."
            question = Content.assemble("Continue ", run_id, "?\n\n", (after, MUTED))
            self.ask(question, "Begin again", lambda: self._resume(view.run))

    def ask(self, question: Content, yes: str, act: Callable[[], object]) -> None:
        """Ask, and act if the user agrees."""

        def answered(agreed: bool | None) -> None:
            if agreed:
                act()

        self.app.push_screen(ConfirmScreen(question, yes), answered)

    @work(thread=True, exclusive=True, exit_on_error=False, group="resume")
    def _resume(self, run: Run) -> None:
        self._try("cannot go on with the run", lambda: self.resumer(run))

    def _try(self, what: str, act: Callable[[], Any]) -> Any:
        """Do something slow in a thread; say so if it is refused."""
        try:
            return act()
        except Cancelled:  # the app is being left
            return None
        except (OSError, YofoError) as error:
            hint = getattr(error, "hint", "")
            words = f"{what}: {error}" + (f"\n{hint}" if hint and hint not in str(error) else "")
            self.app.call_from_thread(self.notify, words, severity="error", markup=False)
            return None

    def action_stop(self) -> None:
        """Ask, then let the run finish its step, save and end."""
        view = self.selected
        if view is None:
            return
        after = "It finishes its step and saves a checkpoint; the key c goes on from there."
        run_id = safe(view.run.run_id).stylize("bold")
        question = Content.assemble("Stop ", run_id, "?\n\n", (after, MUTED))
        self.ask(question, "Stop it", lambda: self._stop(view.run))

    def _stop(self, run: Run) -> None:
        try:
            run.request_stop()
        except OSError as error:
            self.notify(f"cannot ask the run to stop: {error}", severity="error", markup=False)
        self.look()

    def action_evaluate(self) -> None:
        """Measure base and adapter on the held-out tasks, in the background."""
        view = self.selected
        if view is None:
            return
        if view.status in GOING_ON:
            run_id = safe(view.run.run_id).stylize("bold")
            after = "It is being trained: both take memory, and each slows the other down."
            question = Content.assemble("Evaluate ", run_id, " now?\n\n", (after, MUTED))
            self.ask(question, "Evaluate", lambda: self._evaluate(view.run))
        else:
            self._evaluate(view.run)

    def _evaluate(self, run: Run) -> None:
        self.notify(
            "Base and adapter are measured in the background, also when the app is closed; what "
            "is measured appears here as it comes.",
            title=safe(f"Evaluates {run.run_id}").plain,
            markup=False,
        )
        self._wait_for_evaluation(run)

    @work(thread=True, exit_on_error=False, group="evaluate")
    def _wait_for_evaluation(self, run: Run) -> None:
        worker = get_current_worker()
        said = self._try(
            "cannot evaluate", lambda: self.evaluator(run, lambda: worker.is_cancelled)
        )
        if said is not None:
            title = f"Evaluated {run.run_id}" if not said else f"Not evaluated: {run.run_id}"
            words = said or "The scores by shots are those of its held-out tasks now."
            severity = "error" if said else "information"
            self.app.call_from_thread(
                self.notify, words, title=safe(title).plain, severity=severity, markup=False
            )

    def action_rename(self) -> None:
        """Name the selected run, and keep a note with it."""
        from .rename import Naming, RenameScreen

        view = self.selected
        if view is None:
            return

        def named(naming: Naming | None) -> None:
            if naming is not None:
                self._rename(view.run, naming.name, naming.note)

        self.app.push_screen(RenameScreen(view), named)

    @work(thread=True, exclusive=True, exit_on_error=False, group="rename")
    def _rename(self, run: Run, name: str, note: str) -> None:
        from yofo_mlx.runs import trash  # late: recipes' model is slow to import

        def act() -> Run:
            if note != run.info().note:
                run.note(note=note)
            if name == run.run_id:
                return run
            self._leaving.add(run.run_id)
            return trash.rename(run, name)

        renamed = self._try("cannot name the run", act)
        if renamed is not None:
            self._wanted = renamed.run_id
        self.app.call_from_thread(self.look)

    def action_trash(self) -> None:
        """Move the marked runs, or the selected one, to the trash."""
        self._throw([view.run for view in self.chosen])

    @work(thread=True, exit_on_error=False, group="trash")
    def _throw(self, runs: list[Run]) -> None:
        from yofo_mlx.runs import trash

        gone = []
        for run in runs:
            self._leaving.add(run.run_id)
            if self._try("cannot go to the trash", partial(trash.remove, run)) is not None:
                gone.append(run.run_id)
        self.app.call_from_thread(self._thrown_away, gone)

    def _thrown_away(self, gone: list[str]) -> None:
        if gone:
            self._thrown.append(gone)
            what = gone[0] if len(gone) == 1 else plural(len(gone), "run")
            words = "The key u brings it back; `yofo rm --empty` deletes the trash for good."
            self.notify(words, title=f"{safe(what).plain}: in the trash", markup=False)
            self.refresh_bindings()
        self.look()

    def action_undo(self) -> None:
        """Bring back what went to the trash last."""
        if self._thrown:
            self._bring_back(self._thrown.pop())
            self.refresh_bindings()

    @work(thread=True, exit_on_error=False, group="trash")
    def _bring_back(self, names: list[str]) -> None:
        for name in names:
            back = self._try(
                "cannot be brought back",
                partial(_restore, name),
            )
            if back is not None:
                self._wanted = back.run_id
        self.app.call_from_thread(self.look)


def _restore(name: str) -> Run:
    from yofo_mlx.runs import trash

    return trash.restore(trash.find_removed(name))
