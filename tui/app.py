"""The app's shell: three places, the keys that lead there, help, and the command palette."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on, work
from textual._context import active_message_pump
from textual.actions import SkipAction
from textual.app import App, ModeError, ScreenError, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import ModalScreen, Screen
from textual.theme import BUILTIN_THEMES, ThemeProvider
from textual.widget import Widget

from yofo_mlx.runs.folder import ENDED, GOING_ON, Run
from yofo_mlx.system.quantities import plural

from .crash import ended_by
from .mends import mend_textual
from .runs.screen import OpenInPrompt, RunsScreen
from .runs.standing import standing
from .runs.view import RunView
from .shared import pace
from .shared.confirm import ConfirmScreen
from .shared.dropped import path_in
from .shared.help import HelpScreen, about, key_table
from .shared.keys import binding_ids, teach_vi
from .shared.messages import OpenPath, PromptModel, PromptWith, TakesData, TrainOn
from .shared.palette import Palette, Thing, Things
from .shared.remembering import Remembering
from .shared.state_line import State, StateLine
from .shared.words import MUTED, one_line, safe
from .start.screen import FirstStart

# What 256 colours hold of the default theme; the nearest of its own greys are navy and teal there.
FEW_COLOURS = {
    "panel": "#303030",
    "panel-lighten-1": "#3a3a3a",
    "panel-lighten-2": "#4e4e4e",
    "primary-muted": "#005f87",
    "block-cursor-blurred-background": "#005f87",
}


def _data_screen() -> Screen[Any]:
    from .data.screen import DataScreen  # late, as below: the first frame is of the runs

    return DataScreen()


def _prompt_screen() -> Screen[Any]:
    from .prompt.screen import PromptScreen

    return PromptScreen()


class YofoApp(Remembering):
    """Three places; closing the app never ends a run."""

    TITLE = "yofo"
    CSS = "ToastRack { dock: top; align: right top; margin-top: 1; }"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "data": _data_screen,
        "runs": RunsScreen,
        "prompt": _prompt_screen,
    }
    DEFAULT_MODE = "runs"
    COMMANDS: ClassVar[Any] = App.COMMANDS | {Things}
    BINDINGS: ClassVar[list[BindingType]] = [
        # Priority: the app obeys them before it hands on the next key, which is the new place's.
        Binding("f2", "place('data')", "Data", id="place.data", show=False, priority=True),
        Binding("f3", "place('runs')", "Runs", id="place.runs", show=False, priority=True),
        Binding("f4", "place('prompt')", "Prompt", id="place.prompt", show=False, priority=True),
        Binding("1", "number('data')", "Data", id="number.data", show=False, priority=True),
        Binding("2", "number('runs')", "Runs", id="number.runs", show=False, priority=True),
        Binding("3", "number('prompt')", "Prompt", id="number.prompt", show=False, priority=True),
        Binding("d", "place('data')", "Data", id="letter.data", show=False),
        Binding("r", "place('runs')", "Runs", id="letter.runs", show=False),
        Binding("p", "place('prompt')", "Prompt", id="letter.prompt", show=False),
        Binding("f1,question_mark", "help", "Help", id="app.help", key_display="?"),
        Binding(
            "ctrl+p", "command_palette", "Commands", id="app.palette", priority=True, show=False
        ),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="A run goes on without the app"),
    ]

    def __init__(self) -> None:
        mend_textual()
        teach_vi()
        super().__init__()
        self.state: State | None = None
        self._views: Sequence[RunView] = ()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
        if self.console.color_system in ("256", "standard"):
            default = BUILTIN_THEMES["textual-dark"]
            panel, plain = FEW_COLOURS["panel"], default.variables | FEW_COLOURS
            self.register_theme(replace(default, panel=panel, variables=plain))
        self.wear()

    def action_place(self, name: str) -> None:
        """Go to a place, unless a dialog is open; one that is there already may use the key."""
        if name == self.current_mode:
            raise SkipAction
        if self._has_dialog:
            return
        if self._is_typing():
            self.screen.set_focus(None)  # on the way back, digits are no text
        self.switch_mode(name)

    @property
    def _has_dialog(self) -> bool:
        """Tell whether a question is open; a page over a place stays there when one leaves it."""
        return any(isinstance(screen, ModalScreen) for screen in self.screen_stack)

    def action_number(self, name: str) -> None:
        """Go to a place by its number."""
        self.action_place(name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave digits to a field in which one writes."""
        return not (action == "number" and self._is_typing())

    def _is_typing(self) -> bool:
        return self.focused is not None and self.focused.check_consume_key("1", "1")

    def action_help(self) -> None:
        """Show the keys that apply here."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(key_table(self.screen), about(self.focused)))

    def on_mount(self) -> None:
        """Leave the terminal as it was when the system asks the app to end."""
        if not self.is_headless:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
            self.call_after_refresh(pace.settle)
            self.set_timer(pace.READ_BY_S, pace.settle)
        if (place := self.choices.get("look", "place", "")) in self.MODES:
            self.call_after_refresh(self.action_place, place)

    def ids(self) -> set[str]:
        """Return the names that keys can be given to."""
        from .data import screen as _data
        from .prompt import screen as _prompt
        from .runs import new as _new

        del _data, _prompt, _new  # what they declare counts
        return binding_ids()

    async def action_quit(self) -> None:
        """Quit; ask first where something would be lost."""
        lost = [said for screen in self._all_screens() if (said := _unsaved(screen))]
        if not lost:
            self._leave()
        elif not any(isinstance(screen, _QuitScreen) for screen in self.screen_stack):
            self.push_screen(_QuitScreen(lost, self._going_on()), self._leave_if)

    def _leave_if(self, yes: bool | None) -> None:
        if yes:
            self._leave()

    def _leave(self) -> None:
        """Quit, remember where, and say on the terminal what goes on."""
        with suppress(OSError, ValueError):
            if self.current_mode != self.choices.get("look", "place", self.DEFAULT_MODE):
                self.choices.keep("look", "place", self.current_mode)
        self.exit(message=self._going_on() or None)

    def _going_on(self) -> str:
        """Say which runs go on without the app."""
        screens = self._all_screens()
        names = [name for one in screens if isinstance(one, RunsScreen) for name in one.going_on()]
        if not names:
            return ""
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        verb = "goes" if len(names) == 1 else "go"
        return f"{plural(len(names), 'run')} {verb} on: {safe(shown).plain}"

    def _all_screens(self) -> list[Screen[Any]]:
        return [screen for stack in self._screen_stacks.values() for screen in stack]

    async def on_event(self, event: events.Event) -> None:
        """Let keys wait for a screen that is still being laid out: they are meant for it."""
        if isinstance(event, events.InputEvent) and not event.is_forwarded and self.screen_stack:
            await self.screen._mounted_event.wait()
            if self._exit:  # what is typed behind `q` is for nobody
                return
        await super().on_event(event)

    async def _check_bindings(self, key: str, priority: bool = False) -> bool:
        """Obey a key that is no text before the next one is handed on: what it opens takes that."""
        if await super()._check_bindings(key, priority):
            return True
        return priority and not self._is_typing() and await super()._check_bindings(key)

    def _handle_exception(self, error: Exception) -> None:
        """Take no notice of what finds nothing because it, or the app, is on its way out."""
        if not isinstance(error, (ModeError, NoMatches, ScreenError)) or not self._is_leaving():
            super()._handle_exception(error)

    def _is_leaving(self) -> bool:
        """Tell whether the app, or the widget now at work, is being taken away."""
        at_work = active_message_pump.get(self)
        return self._exit or not self._running or (isinstance(at_work, Widget) and at_work._pruning)

    def _fatal_error(self) -> None:
        """End without Textual's page of values: `main` says where the report lies."""
        self.bell()
        self.panic()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every key's action in the command palette, and the themes."""
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        for row in key_table(screen):
            if row.node is screen or row.node is self:
                run = self._runner(row.action, row.node)
                yield SystemCommand(row.words, row.tooltip or f"Key: {row.keys}", run)

    def show_state(self, views: Sequence[RunView]) -> None:
        """Tell in every place what the newest run that goes on is at."""
        self.state = standing(views)
        for screen in self._all_screens():
            for line in screen.query(StateLine):
                line.show(self.state)

    @on(RunsScreen.Polled)
    def _polled(self, message: RunsScreen.Polled) -> None:
        before = {view.run.path: view.status for view in self._views}
        self._views = message.views
        self.show_state(message.views)
        if not self.app_focus:
            for view in message.views:
                if before.get(view.run.path) in GOING_ON and view.status in ENDED:
                    self._call_back(view.run)

    @work(thread=True, exit_on_error=False, group="call back")
    def _call_back(self, run: Run) -> None:
        """Tell one who is in another window, as terminals and macOS do."""
        from yofo_mlx.runs import notify  # late: recipes' model is slow to import

        if notify.is_wanted():
            words = notify.words(notify.facts(run))
            self.call_from_thread(self._write, notify.on_window(words))
            notify.on_mac(words)

    def _write(self, sequence: str) -> None:
        if self._driver is not None:
            self._driver.write(sequence)
            self._driver.flush()

    def on_paste(self, event: events.Paste) -> None:
        """Open the file that was dropped on the terminal outside a field."""
        if self._has_dialog or self.current_mode == "prompt" or self._is_typing():
            return
        path = path_in(event.text)
        if path is not None:
            self.post_message(OpenPath(str(path)))
        elif event.text.strip():
            words = "It is no path of a file. Demonstrations are pasted in Prompt: press 3 first."
            self.notify(words, title="Nothing was pasted", markup=False)

    @on(OpenPath)
    async def _open_path(self, message: OpenPath) -> None:
        if self._has_dialog:  # it was faster
            return
        await self.switch_mode("data")
        from .data.screen import DataScreen

        if isinstance(self.screen, DataScreen):
            self.screen.open_path(message.text)

    @on(TrainOn)
    async def _train_on(self, message: TrainOn) -> None:
        if self._has_dialog:
            return
        await self.switch_mode("runs")
        if isinstance(self.screen, TakesData):
            self.screen.train_on(message.sources, message.recipe)

    @on(PromptWith)
    async def _prompt_with(self, message: PromptWith) -> None:
        if len(self.screen_stack) > 1:
            return
        await self.switch_mode("prompt")
        self.screen.set_focus(None)
        self.post_message(events.Paste(message.text))  # the way of what a terminal sends: once

    @on(FirstStart.Chosen)
    async def _begin(self, message: FirstStart.Chosen) -> None:
        if message.what in ("data", "prompt"):
            await self.switch_mode(message.what)
        if isinstance(self.screen, RunsScreen) and message.what == "new":
            self.screen.action_new()
        if isinstance(self.screen, RunsScreen) and message.what == "demo":
            self.screen.start_demo()
        if message.what == "data":
            await self.run_action("add", self.screen)

    def things(self) -> Iterator[Thing]:
        """Yield what the palette finds by name: runs, recipes, files that were opened."""
        for view in self._views:
            yield Thing(
                view.run.run_id, f"Run, {view.status}", partial(self._go_to_run, view.run.run_id)
            )
        from .shared.recipes import about_recipe, find_recipes

        for recipe in find_recipes():
            name = one_line(recipe.stem, 60).plain
            yield Thing(name, f"New run: {about_recipe(recipe)}", partial(self._train, recipe))
        for kept in self.choices.get("data", "opened", []):
            source = kept.get("source") if isinstance(kept, dict) else kept  # with columns, or not
            if isinstance(source, str):
                go = partial(self._go_to, source)
                yield Thing(one_line(source, 100).plain, "Data set", go)

    def _train(self, recipe: Path) -> None:
        self.post_message(TrainOn([], recipe))

    def _go_to(self, path: str) -> None:
        self.post_message(OpenPath(path))

    async def _go_to_run(self, run_id: str) -> None:
        if len(self.screen_stack) == 1:
            await self.switch_mode("runs")
            if isinstance(self.screen, RunsScreen):
                self.screen.go_to(run_id)

    @on(OpenInPrompt)
    async def _open_in_prompt(self, message: OpenInPrompt) -> None:
        if self._has_dialog:  # it was faster, and belongs to its place
            return
        await self.switch_mode("prompt")
        from .prompt.screen import PromptScreen

        if isinstance(self.screen, PromptScreen):
            self.screen.choose(message.run)

    @on(PromptModel)
    async def _prompt_model(self, message: PromptModel) -> None:
        if self._has_dialog:
            return
        await self.switch_mode("prompt")
        from .prompt.screen import PromptScreen

        if isinstance(self.screen, PromptScreen):
            self.screen.choose_model(message.name)

    def action_command_palette(self) -> None:
        """Open the command palette."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette())  # no id: the one before may still be closing

    def search_themes(self) -> None:
        """Open the palette over the themes."""
        self.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))

    def _runner(self, action: str, node: object) -> Callable[[], object]:
        namespace = self if node is self else self.screen
        return lambda: self.call_later(self.run_action, action, namespace)


class _QuitScreen(ConfirmScreen):
    """Asks before work is lost by quitting."""

    def __init__(self, lost: list[str], going_on: str) -> None:
        said = "\n".join(["Quit? This is lost:\n", *(f"  {safe(what).plain}" for what in lost)])
        more = f"\n\n{going_on}" if going_on else ""
        super().__init__(Content.assemble(said, (more, MUTED)), "Quit")


def _unsaved(screen: Screen[Any]) -> str | None:
    """Return what a screen would lose, which it tells by a method `unsaved`."""
    ask = getattr(screen, "unsaved", None)
    try:
        return ask() if ask is not None else None
    except NoMatches:  # it is still being laid out behind another: nothing is in it
        return None


def main() -> None:
    """Run the app until the user quits; raise RunError if it ends by a defect."""
    pace.begin()
    app = YofoApp()
    try:
        app.run()
        error = app._exception
    except Exception as wrong:  # past Textual's own handler, such as a terminal it cannot open
        error = wrong
    if error is not None:
        raise ended_by(error, f"place {app.current_mode}, {app.size}") from error
