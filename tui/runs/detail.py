"""One run in full: a line about it, and a tab for each thing there is to see of it."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from yofo_mlx.runs.events import figure
from yofo_mlx.runs.folder import ENDED
from yofo_mlx.runs.listing import word
from yofo_mlx.system.quantities import duration

from ..shared.words import MUTED, muted, safe, status_mark
from .tabs import NAMES, TabLine
from .view import RunView

PATIENCE_S: Final = 20.0  # from the making of a run to its trainer

if TYPE_CHECKING:
    from .loss import LossChart


def _tab(name: str) -> Widget:
    """Make a tab that is opened for the first time; the app's first frame waits for none."""
    if name == "overview":
        from .overview import Overview

        return Overview()
    from .console import ConsoleTab
    from .kept import FilesTab, RecipeTab
    from .measured import EpisodesTab, SamplesTab, ShotsTab, ValidationsTab

    kinds: dict[str, type[Any]] = {
        "shots": ShotsTab,
        "validations": ValidationsTab,
        "samples": SamplesTab,
        "episodes": EpisodesTab,
        "console": ConsoleTab,
        "recipe": RecipeTab,
        "files": FilesTab,
    }
    made: Widget = kinds[name]()
    return made


class RunDetail(Vertical):
    """Follows the selected run, in the tab that is open."""

    DEFAULT_CSS = """
    RunDetail {
        #head { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #loading { height: auto; padding: 0 1; }
        ContentSwitcher { height: 1fr; }
        ContentSwitcher > * { height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view: RunView | None = None
        self.tab = "overview"

    def compose(self) -> ComposeResult:
        """Lay out a line about the run, the tabs' names, and the open tab."""
        yield Static(id="head")
        yield TabLine()
        yield Static(id="loading")
        yield ContentSwitcher()

    @property
    def current(self) -> Widget | None:
        """Return the widget of the open tab; there is none before the app's first frame."""
        return self.query_one(ContentSwitcher).visible_content

    def show(self, view: RunView) -> None:
        """Draw a run as it stands; while nothing has happened, only the clock goes on."""
        if view is self._view and view.status in ENDED:
            return
        self.query_one("#head", Static).update(_head(view), layout=False)
        waits = view.step is None and view.status not in ENDED
        loading = self.query_one("#loading", Static)
        loading.display = waits
        if waits:
            loading.update(muted(_before_first_step(view)))
        if view is not self._view or view.progress is not None:
            self._view = view
            self._draw()

    def on_mount(self) -> None:
        """Name the tabs, and open the first one when there is time."""
        self.query_one(TabLine).show(self.tab, self.app.size.width)
        self.call_after_refresh(self.open, self.tab)

    def on_resize(self) -> None:
        """Draw for the room there is."""
        self.query_one(TabLine).show(self.tab, self.app.size.width)
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._view is not None and self.is_attached and self.current is not None:
            self.current.follow(self._view)  # type: ignore[attr-defined]

    async def open(self, name: str) -> None:
        """Open a tab."""
        switcher = self.query_one(ContentSwitcher)
        place = "overview" if name == "overview" else f"{name}-tab"
        if not switcher.query(f"#{place}"):
            await switcher.mount(_tab(name))
        self.tab = name
        switcher.current = place
        self.query_one(TabLine).show(name, self.app.size.width)
        self.call_after_refresh(self._draw)

    async def turn(self, by: int) -> None:
        """Open the next tab, or the one before."""
        names = list(NAMES)
        await self.open(names[(names.index(self.tab) + by) % len(names)])

    def focus_tab(self) -> None:
        """Let keys be for what the open tab shows; a picture takes none."""
        tab = self.current
        inside = [] if tab is None else [tab, *tab.walk_children(Widget)]
        self.screen.set_focus(next((one for one in inside if one.focusable), None))

    @on(TabLine.Chosen)
    async def _chosen(self, message: TabLine.Chosen) -> None:
        message.stop()
        await self.open(message.name)

    @property
    def charts(self) -> Iterable["LossChart"]:
        """Return the curve that keys change, as soon as there is one."""
        return self.query("#loss").results()  # type: ignore[return-value]

    def turn_strip(self) -> None:
        """Show the scores by task instead of by shots, or back."""
        for strip in self.query("HeatStrip"):
            strip.turn()  # type: ignore[attr-defined]


def _head(view: RunView) -> Content:
    """Return the run's name, its model, for how long it is at it, and what its user noted."""
    return Content.assemble(
        Content.styled(*status_mark(view.status, view.is_diverged)),
        "  ",
        safe(view.run.run_id).stylize("bold"),
        "  ",
        (_model(view.model), MUTED),
        ("" if view.since is None else f"  for {duration(time.time() - view.since)}"),
        ("  ", MUTED),
        safe(view.made.note, 200).stylize("italic"),
    )


def _model(name: str) -> str:
    return safe(Path(name).name if Path(name).is_absolute() else name, 60).plain


def _before_first_step(view: RunView) -> str:
    """Say what the trainer is at, and for how long, from its start to its first step."""
    event = view.heard
    if event is None and view.status == "created" and time.time() - view.started > PATIENCE_S:
        return f"not begun: it waits in the queue (Q), or for `yofo resume {word(view.run)}`"
    if event is None:
        return "starting …"
    kind, phase = event["kind"], safe(event.get("phase", ""), 80).plain
    done, total = figure(event, "done"), figure(event, "total")
    if kind == "progress" and done is not None:
        what = f"{phase} {done:,.0f}" + (f" of {total:,.0f}" if total else "")
    else:
        what = {"loading": "loading data and model"}.get(kind, "at the first step")
    began = figure(event, "t")
    return what + (" …" if began is None else f" … {duration(time.time() - began)}")
