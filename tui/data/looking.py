"""The rows and tokens of the selected data set, asked for once the cursor rests on it."""

from dataclasses import dataclass
from typing import Any

from textual import on, work
from textual.message import Message
from textual.timer import Timer

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.recipe.names import EMBEDDED

from ..shared.recovery import Recovering
from .detail import DataDetail
from .episode import Passage, passage_from
from .examples import Rows, rows_from
from .measures import Measure
from .reading import facts_of
from .sets import Collection
from .table import SetRow

LOOK_AFTER = 0.1  # seconds on a row
KEPT = 64  # looks that are remembered


@dataclass(frozen=True)
class Look:
    """What of a data set is looked at, and how."""

    collection: str
    index: int  # of the source
    name: str  # of the set
    tab: str
    how: str  # words to find and seed of the order, or the model


class Looking(Recovering):
    """A screen with a row under its cursor, whose rows and tokens are shown below."""

    class Looked(Message):
        """What was asked for has come, or why not."""

        def __init__(self, look: Look, found: Rows | Passage | str) -> None:
            super().__init__()
            self.look, self.found = look, found

    def __init__(self) -> None:
        super().__init__()
        self._client = PreviewClient()
        self._looks: dict[Look, Rows | Passage | str] = {}
        self._awaited: Look | None = None
        self._look_due: Timer | None = None
        self.words_to_find, self.seed = "", None  # type: str, int | None

    @property
    def row(self) -> SetRow | None:
        """Return the row under the cursor."""
        raise NotImplementedError

    @property
    def chosen(self) -> Collection | None:
        """Return the collection under the cursor."""
        raise NotImplementedError

    def measured(self, row: SetRow) -> tuple[Measure | None, str]:
        """Return a row's measure, or why there is none."""
        raise NotImplementedError

    @property
    def model(self) -> str:
        """Return whose tokens are counted: the one that was picked, or else the recipe's."""
        picked = self.app.choices.get("data", "model", "")  # type: ignore[attr-defined]
        return str(picked or (self.chosen.model if self.chosen else "") or EMBEDDED)

    @property
    def _detail(self) -> DataDetail:
        return self.query_one(DataDetail)

    def look(self) -> None:
        """Show what is known of the selected row's open tab, and ask for the rest."""
        row, look = self.row, self._wanted()
        if row is None or row.data is None or look is None:
            return
        found = self._looks.get(look)
        measure, trouble = self.measured(row)
        if look.tab == "examples":
            first = tuple(("", text, answer) for text, answer in row.data.examples)
            rows = found if isinstance(found, Rows) else Rows(sum(row.data.counts), first)
            self._detail.show_rows(rows)
            self._detail.show_tokens(measure, None, trouble)
        else:
            trouble = found if isinstance(found, str) else trouble
            passage = found if isinstance(found, Passage) else None
            self._detail.show_tokens(measure, passage, trouble)
        if found is None and look != self._awaited:
            self._awaited = look
            if self._look_due is not None:
                self._look_due.stop()
            self._look_due = self.set_timer(LOOK_AFTER, self._ask)

    def _wanted(self) -> Look | None:
        row, tab = self.row, self._detail.tab
        if row is None or row.data is None or tab not in ("examples", "tokens"):
            return None
        how = self.model if tab == "tokens" else f"{self.seed} {self.words_to_find}"
        return Look(row.collection, row.index, row.data.name, tab, how)

    def _ask(self) -> None:
        row, look = self.row, self._wanted()
        if row is not None and look is not None and look == self._awaited:
            self._fetch(look, facts_of(row.source), self._client, self.words_to_find, self.seed)
        else:
            self._awaited = None

    @work(thread=True, exclusive=True, exit_on_error=False, group="look")
    def _fetch(
        self,
        look: Look,
        source: dict[str, Any],
        client: PreviewClient,
        find: str,
        seed: int | None,
    ) -> None:
        found: Rows | Passage | str
        try:
            if look.tab == "examples":
                more: dict[str, Any] = {"find": find, "seed": seed}
                found = rows_from(client.call("rows", source=source, name=look.name, **more))
            else:
                more = {"model": look.how}
                found = passage_from(
                    client.call("episode_of", source=source, name=look.name, **more)
                )
        except Cancelled:
            return
        except YofoError as error:
            found = f"{error.message}; {error.hint}".removesuffix("; ")
        self.post_message(self.Looked(look, found))

    @on(Looked)
    def _looked(self, message: Looked) -> None:
        if len(self._looks) >= KEPT:
            self._looks.clear()
        self._looks[message.look] = message.found
        if message.look == self._awaited:
            self._awaited = None
        self.look()

    @on(DataDetail.Turned)
    def _tab_turned(self) -> None:
        self.look()
        self.refresh_bindings()

    def forget_looks(self, key: str) -> None:
        """Ask anew for what was seen of a collection."""
        self._looks = {look: seen for look, seen in self._looks.items() if look.collection != key}
        self._awaited = None
