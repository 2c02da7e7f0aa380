"""`yofo chat` at the keyboard: lines are queries, `/words` change what is in the context."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.health_lines import health_lines
from yofo_mlx.commands.keyboard import Keyboard
from yofo_mlx.errors import YofoError
from yofo_mlx.prompting.choosing import shots_of
from yofo_mlx.prompting.demonstrations import Parsed, parse
from yofo_mlx.prompting.held import Result, beside
from yofo_mlx.recipe.ways import WAYS
from yofo_mlx.system import paths
from yofo_mlx.system.quantities import plural, size
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import printable, shorten
from yofo_mlx.tasks.families import holds_labels

HELP = """\
A line is a query. Several pasted lines that read as demonstrations become demonstrations.
  /paste           paste demonstrations, ended by /end
  /demos NAME      add those of a set or a file (a saved .safetensors comes instead)
  /add X -> Y      add one
  /drop N          drop number N; /drop all
  /shots           list those that are shown
  /shots N         show N of them; /shots all
  /health          what the model makes of them: is the task understood, which look wrong
  /choose WAY      which of them a query sees: balanced, all, similar, tail, adaptive, blocks
  /instruction T   put a sentence before them; alone: none
  /label [a|b|c]   answer with the likeliest of these, alone of those shown; again: freely
  /base            switch the adapter off and on
  /beside NAME     answer with another as well: base, a run, an adapter; alone: only the first
  /save [FILE]     keep the demonstrations with their K and V; /demos FILE takes them back
  /stats           memory and context
  /quit            leave (also Ctrl-D)
Ctrl-C stops an answer."""


class Leave(Exception):
    """The user has had enough."""


class Conversation:
    """Reads lines and does what they say until the user leaves."""

    def __init__(self, room: Chatroom, keyboard: Keyboard, labels: Sequence[str] = ()) -> None:
        self.room, self.keyboard = room, keyboard
        self.room.more = "/shots"
        self.labels = list(labels)
        self._last_query = ""
        self._words: dict[str, Callable[[str], None]] = {
            "/paste": self._paste,
            "/demos": self._demos,
            "/add": self._add,
            "/drop": self._drop,
            "/shots": self._shots,
            "/health": self._health,
            "/choose": self._choose,
            "/instruction": self._instruction,
            "/label": self._label,
            "/base": self._base,
            "/beside": self._beside,
            "/save": self._save,
            "/stats": self._stats,
            "/help": lambda _: say(HELP),
            "/quit": self._quit,
        }

    def run(self) -> None:
        """Go on until the user leaves."""
        say("a line is a query; /paste takes demonstrations, /help lists the rest")
        was_interrupted = False
        while True:
            try:
                entered = self.keyboard.read(f"[{self._shots_there()}] > ")
                was_interrupted = False
                self.take(entered)
            except KeyboardInterrupt:
                if was_interrupted:
                    break
                was_interrupted = True
                say("\nCtrl-C again (or Ctrl-D) leaves")
            except (EOFError, Leave):
                break

    def _shots_there(self) -> str:
        """Return how many demonstrations are in the context, and of how many."""
        there, known = len(self.room.shown), len(self.room.examples)
        return plural(there, "shot") if there == known else f"{there} of {plural(known, 'shot')}"

    def take(self, entered: str) -> None:
        """Do what was entered; a mistake is told and changes nothing."""
        word, _, rest = entered.partition(" ")
        try:
            if not entered.strip():
                return
            if "\n" in entered.strip() and self._take_paste(entered.strip()):
                return
            if word.startswith("/") and word[1:].strip().isalpha() and "\n" not in entered.strip():
                self._words.get(word.strip(), self._unknown)(rest.strip())
            else:
                self._ask(entered.strip())
        except YofoError as error:
            say(f"{error.message}\n  {error.hint}" if error.hint else error.message)

    def _take_paste(self, text: str) -> bool:
        """Take several lines as demonstrations if that is what they look like."""
        if text.startswith("/paste\n"):  # typed ahead, and so taken for one piece
            self.room.take_paste(self._parse(text.removeprefix("/paste\n").removesuffix("\n/end")))
            return True
        parsed = self._parse(text)
        if len(parsed.examples) < 2 or len(parsed.problems) > len(parsed.examples):
            return False
        self.room.take_paste(parsed)
        return True

    def _parse(self, text: str) -> Parsed:
        return parse(text, self.room.style)

    def _ask(self, query: str) -> None:
        self._last_query = query
        if self.labels:
            _print_scores(self.room.scores(query, self.labels))
            return
        answer = self.room.answer(query, _write, self._begin)
        print(flush=True)
        for name, one in answer.get("answers", {"": answer}).items():
            ending = {"end": "", "length": ", cut", "cancelled": ", stopped"}[one["finish"]]
            told = f"{plural(one['tokens'], 'token')}, {one['tokens_per_s']:.0f}/s{ending}"
            say(f"({name}: {told})" if name else f"({told})")

    def _begin(self, name: str) -> None:
        """Say who answers next of several."""
        if name != self.room.names[0]:
            print(flush=True)
        say(f"{name}:")

    def _paste(self, _: str) -> None:
        say("paste the demonstrations, then /end on a line of its own")
        self.room.take_paste(self._parse(self.keyboard.read_until("/end", "")))

    def _demos(self, name: str) -> None:
        if name:
            self.room.take_file(name)
        else:
            say("name a set or a file: /demos NAME")

    def _add(self, text: str) -> None:
        self.room.take_paste(self._parse(text))

    def _drop(self, number: str) -> None:
        shown = len(self.room.shown)
        if number == "all":
            self.room.inputs = []
            self.room.show([])
        elif number in map(str, range(1, shown + 1)):
            self.room.drop(int(number))
        else:
            say(f"there are {plural(shown, 'demonstration')}; /drop N or /drop all")

    def _shots(self, wanted: str) -> None:
        if not wanted:
            self._list()
        elif (shots := shots_of(wanted)) is None:
            say("a number, or all: /shots N")
        else:
            self.room.choose(shots)

    def _choose(self, name: str) -> None:
        way = next((one for one in WAYS if one == name), None)
        if way is None:
            say(f"one of {', '.join(WAYS)}; now it is {self.room.way}")
            return
        with self._changing():
            self.room.way = way

    def _list(self) -> None:
        if self.room.instruction:
            say(f"     {shorten(self.room.instruction, 90)}")
        if self.room.inputs:
            say(f"     {plural(len(self.room.inputs), 'input')} without answers")
        for number, example in enumerate(self.room.shown, start=1):
            say(f"{number:4} {shorten(example.input, 60)} -> {shorten(example.output, 30)}")
        if not self.room.shown:
            say("no demonstrations yet")

    def _health(self, _: str) -> None:
        for line in health_lines(self.room.health()):
            say(line)

    def _instruction(self, text: str) -> None:
        self.room.instruction, self.room.is_instructed = text, True
        self.room.show(self.room.examples)

    def _label(self, text: str) -> None:
        labels = dict.fromkeys(label for label in map(str.strip, text.split("|")) if label)
        if not labels and not self.labels and holds_labels(self.room.examples):
            labels = dict.fromkeys(example.output for example in self.room.examples)
        if len(labels) == 1 or not (labels or self.labels):
            say("there is nothing to choose among: /label a|b|c says the labels")
            return
        self.labels = [*labels]
        if not self.labels:
            say("answers are free")
            return
        say(f"answers are one of {plural(len(self.labels), 'label')}")
        if self._last_query:
            say(f"the last query once more: {shorten(self._last_query, 60)}")
            self._ask(self._last_query)

    def _base(self, _: str) -> None:
        if not self.room.model.has_adapter:
            say("there is no adapter, only the base model")
            return
        with self._changing():
            self.room.model = replace(self.room.model, use_adapter=not self.room.model.use_adapter)

    def _beside(self, name: str) -> None:
        before = self.room.model
        if not (name or before.beside):
            say("name who is to answer as well: /beside base, /beside RUN, /beside FOLDER")
            return
        others = (*before.beside, beside(name)) if name else ()
        with self._changing():
            self.room.model = replace(before, beside=others)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Show the demonstrations as the block wants them; a mistake leaves all as it was."""
        room = self.room
        before = room.way, room.model
        try:
            yield
            room.show(room.examples)
        except YofoError:
            room.way, room.model = before
            raise

    def _save(self, name: str) -> None:
        path = Path(name) if name else paths.prompts() / "last.safetensors"
        say(f"saved in {self.room.save(path)}")

    def _stats(self, _: str) -> None:
        stats = self.room.stats()
        say(
            f"memory {stats['active_gb']:.2f} GB in use, {stats['cache_gb']:.2f} GB kept for reuse,"
            f" {stats['peak_gb']:.2f} GB at most; {stats['context_tokens']} tokens,"
            f" {plural(stats['shots'], 'shot')} in the context"
        )
        for kept in stats.get("kept", ()):
            aside = "" if kept["answers"] else ", aside"
            say(f"  {kept['subject']}: {kept['tokens']} tokens, {size(kept['gb'] * 1e9)}{aside}")

    def _quit(self, _: str) -> None:
        raise Leave

    def _unknown(self, _: str) -> None:
        say("no such word; /help lists them (a query may begin with a space before its `/`)")


def _print_scores(result: Result) -> None:
    """Print labels, best first, with the log-probabilities of all that answered."""
    answers = {
        name: {one["label"]: one["logprob"] for one in answer["scores"]}
        for name, answer in result.get("answers", {"": result}).items()
    }
    widths = [max(9, len(name) + 2) for name in answers]
    if len(answers) > 1:
        say("".join(name.rjust(width) for name, width in zip(answers, widths, strict=True)))
    for label in (one["label"] for one in result["scores"]):
        numbers = zip(answers.values(), widths, strict=True)
        row = "".join(f"{column[label]:{width}.3f}" for column, width in numbers)
        print(f"{row}  {printable(label)}")


def _write(text: str) -> None:
    sys.stdout.write(printable(text, keep="\n\t"))
    sys.stdout.flush()
