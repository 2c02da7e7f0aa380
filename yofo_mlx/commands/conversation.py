"""`yofo chat` at the keyboard: lines are queries, `/words` change what is in the context."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.keyboard import Keyboard
from yofo_mlx.errors import YofoError
from yofo_mlx.prompting.choosing import shots_of
from yofo_mlx.prompting.demonstrations import Parsed, parse
from yofo_mlx.recipe.ways import WAYS
from yofo_mlx.system import paths
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import printable, shorten

HELP = """\
A line is a query. Several pasted lines that read as demonstrations become demonstrations.
  /paste           paste demonstrations, ended by /end
  /demos NAME      add those of a set or a file (a saved .safetensors comes instead)
  /add X -> Y      add one
  /drop N          drop number N; /drop all
  /shots           list those that are shown
  /shots N         show N of them; /shots all
  /choose WAY      which of them a query sees: balanced, all, similar, tail, adaptive
  /instruction T   put a sentence before them; alone: none
  /label a|b|c     answer with the likeliest of these; alone: answer freely again
  /base            switch the adapter off and on
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
            "/choose": self._choose,
            "/instruction": self._instruction,
            "/label": self._label,
            "/base": self._base,
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
            for item in self.room.scores(query, self.labels):
                print(f"{item['logprob']:9.3f}  {printable(item['label'])}")
            return
        answer = self.room.answer(query, _write)
        print(flush=True)
        ending = {"end": "", "length": ", cut", "cancelled": ", stopped"}[answer["finish"]]
        say(f"({plural(answer['tokens'], 'token')}, {answer['tokens_per_s']:.0f}/s{ending})")

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
        before, self.room.way = self.room.way, way
        try:
            self.room.show(self.room.examples)
        except YofoError:
            self.room.way = before
            raise

    def _list(self) -> None:
        if self.room.instruction:
            say(f"     {shorten(self.room.instruction, 90)}")
        for number, example in enumerate(self.room.shown, start=1):
            say(f"{number:4} {shorten(example.input, 60)} -> {shorten(example.output, 30)}")
        if not self.room.shown:
            say("no demonstrations yet")

    def _instruction(self, text: str) -> None:
        self.room.instruction, self.room.is_instructed = text, True
        self.room.show(self.room.examples)

    def _label(self, text: str) -> None:
        self.labels = [label.strip() for label in text.split("|") if label.strip()]
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
        before = self.room.model
        self.room.model = replace(before, use_adapter=not before.use_adapter)
        try:
            self.room.show(self.room.examples)
        except YofoError:
            self.room.model = before
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

    def _quit(self, _: str) -> None:
        raise Leave

    def _unknown(self, _: str) -> None:
        say("no such word; /help lists them (a query may begin with a space before its `/`)")


def _write(text: str) -> None:
    sys.stdout.write(printable(text, keep="\n\t"))
    sys.stdout.flush()
