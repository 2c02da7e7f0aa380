"""What `yofo chat` keeps: the session, the demonstrations, and what was asked of both."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from yofo_mlx.commands import given, unlabelled
from yofo_mlx.commands.reading_time import ReadingTime
from yofo_mlx.errors import Cancelled, DataError
from yofo_mlx.prompting import demonstrations, stages
from yofo_mlx.prompting.choosing import Shots
from yofo_mlx.prompting.client import OnNote, SessionClient
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.held import Held, Model, Offer, Result
from yofo_mlx.prompting.protocol import CACHE_SUFFIX, Params
from yofo_mlx.prompting.sets import DemoSet
from yofo_mlx.recipe.ways import Way
from yofo_mlx.system import progress
from yofo_mlx.system.quantities import plural, size
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import reason, shorten
from yofo_mlx.tasks.sources import after
from yofo_mlx.tasks.task import Example

_SHOWN_PROBLEMS = 5


@dataclass
class Chatroom:
    """Demonstrations, and a session that holds what is shown of them."""

    client: InitVar[SessionClient]
    model: Model
    instruction: str = ""
    examples: list[Example] = field(default_factory=list)
    """Those to choose from."""
    style: Style = field(default_factory=Style)
    wanted: Shots = None
    """How many to show; None: as many as were trained."""
    seed: int | None = None
    way: Way = "balanced"
    """Which demonstrations a query sees."""
    block: int | None = None
    """Demonstrations in a block, None: 50, or as many as fit."""
    blocks_share: float | None = None
    """Share of the blocks that a query sees."""
    max_tokens: int | None = None
    """Most tokens of an answer."""
    keeps: bool = True
    """What is read of a named set is kept on disk."""
    kv_bits: int | None = None
    """Bits of a number that is kept, None: as they are."""
    more: str = "--shots"
    """What the user says to see more demonstrations."""

    def __post_init__(self, client: SessionClient) -> None:
        self.held = Held(client)
        self.is_instructed = bool(self.instruction)  # by the user, in place of what files say
        self._set: DemoSet | None = None  # which all the examples are, and nothing else
        self.inputs: list[str] = []  # without answers, before the demonstrations
        self.names: list[str] = []  # of those that answer, the first one first

    @property
    def shown(self) -> list[Example]:
        """Return those in the context, in their order."""
        return list(self.held.shown)

    def open(self) -> None:
        """See to it that the model is loaded, and say what it is."""
        is_there = self.names and self.held.client.is_alive
        began = "switching ..." if is_there else "loading the model ..."
        with interrupt_cancels(self.held):
            loaded = self.held.load(self.model, partial(_tell, began))
        progress.end()
        if loaded is None:
            return
        adapter = f" with the adapter {loaded['adapter']}" if loaded["adapter"] else ", no adapter"
        context = f", trained on up to {loaded['context']} tokens" if loaded["context"] else ""
        say(f"{loaded['model']}{adapter}; {loaded['style']} template{context}")
        others = loaded.get("beside", ())
        self.names = [loaded.get("subject", ""), *(other["subject"] for other in others)]
        for other in others:
            say(f"beside it: {other['subject']}, {other['style']} template")
        for note in loaded.get("notes", ()):
            say(f"warning: {note}")

    def forget(self) -> None:
        """Begin again without demonstrations; the model stays."""
        self.examples, self.instruction, self._set = [], "", None
        self.held.forget()

    def show(self, examples: Sequence[Example]) -> None:
        """Choose from these demonstrations and put them into the context."""
        self.examples = list(examples)
        self._get_ready(anew=True)

    def drop(self, number: int) -> None:
        """Take one of those shown out of all."""
        dropped, self._set = self.shown[number - 1], None
        self.show([example for example in self.examples if example != dropped])

    def choose(self, wanted: Shots) -> None:
        """Show so many of the demonstrations."""
        self.wanted = wanted
        self.show(self.examples)

    def take_paste(self, parsed: Parsed) -> None:
        """Add pasted demonstrations, on top of a number that was asked for; at most doubling it."""
        if isinstance(self.wanted, int):
            self.wanted += min(len(parsed.examples), max(1, self.wanted))
        self.take(parsed)

    def take_named(self, names: Sequence[str], parsed: Parsed | None) -> None:
        """Add what was named with `--demos`: a saved prompt cache where nothing is parsed."""
        if parsed:
            self.take(parsed)
        elif names:
            self.take_cache(Path(names[0]))

    def take(self, parsed: Parsed) -> None:
        """Add parsed demonstrations and say what was not understood."""
        tell_read(parsed)
        if parsed.inputs:
            self.inputs = [*dict.fromkeys([*self.inputs, *parsed.inputs])]
        if parsed.examples:
            self._take_examples(parsed)
        elif parsed.inputs:
            self.show(self.examples)

    def _take_examples(self, parsed: Parsed) -> None:
        examples: Sequence[Example] = parsed.examples
        if parsed.instruction and not (self.instruction or self.examples):
            self.instruction = parsed.instruction
            say(f"  before them: {shorten(parsed.instruction, 90)}")
        elif parsed.instruction not in ("", self.instruction) and not self.is_instructed:
            examples = [after(parsed.instruction, example) for example in examples]
            say(f"  before each of them: {shorten(parsed.instruction, 90)}")
        is_alone = bool(parsed.of_set) and not self.examples
        self._set = DemoSet(parsed.of_set) if is_alone else None
        self.show([*self.examples, *examples])

    def take_file(self, name: str) -> None:
        """Add the demonstrations of a file; those of a saved prompt cache come instead."""
        if name.endswith(CACHE_SUFFIX):
            self.take_cache(Path(name))
        else:
            is_bare = name.startswith(unlabelled.MARK)
            read = given.parsed([name], self.style) if is_bare else None
            self.take(read or demonstrations.read(name, self.style))

    def take_cache(self, path: Path) -> None:
        """Put the demonstrations of a prompt cache file into the context, K and V included."""
        self.open()
        with interrupt_cancels(self.held):
            offer = self.held.load_cache(_written(path), self._offer)
        self.examples, self.instruction = list(offer.examples), offer.instruction
        self.inputs = []
        self._set = None
        if self.way != "balanced":
            say(f"what is saved is taken as it stands; new ones are no longer chosen by {self.way}")
            self.way = "balanced"
        self._report(self.held.facts)

    def answer(
        self,
        query: str,
        on_text: Callable[[str], None],
        on_turn: Callable[[str], None] = lambda _: None,
    ) -> Result:
        """Answer a query; the text comes in pieces on the way.

        Of several side by side, `on_turn` hears who answers next.
        """
        check_query(query)
        watcher = ReadingTime(self.more)

        def note(method: str, params: Params) -> None:
            if method == "token":
                on_text(params["text"])
            elif method == "answering":
                on_turn(params["subject"])
            else:
                watcher(method, params)

        self._get_ready()
        limit = {"max_tokens": self.max_tokens} if self.max_tokens else {}
        answer = self._call("generate", {"input": query, **limit}, note)
        if answer["note"]:
            say(f"  {answer['note']}")
        return answer

    def scores(self, query: str, labels: Sequence[str]) -> Result:
        """Return `scores`: labels with their log-probabilities, best first."""
        check_query(query)
        self._get_ready()
        params = {"input": query, "labels": list(labels)}
        return self._call("score", params, ReadingTime(self.more))

    def save(self, path: Path) -> Path:
        """Write the demonstrations with their K and V to a prompt cache file."""
        self._get_ready()
        return Path(self._call("save_cache", {"path": _written(path)})["path"])

    def stats(self) -> Result:
        """Return the session's memory and context."""
        self._get_ready()
        return self._call("stats")

    def health(self) -> Result:
        """Return what the session makes of the demonstrations it has read."""
        self._get_ready()
        if not self.examples:
            raise DataError("there are no demonstrations to look at", "give some first")
        return self._call("health", on_note=ReadingTime(self.more))

    @property
    def _offer(self) -> Offer:
        kept = str(self._set.caches) if self._set and self.examples and self.keeps else None
        said = unlabelled.before(self.instruction, self.inputs)
        chosen = tuple(self.examples), said, self.wanted, self.seed, self.way
        return Offer(*chosen, kept, self.kv_bits, self.block, self.blocks_share)

    def _get_ready(self, *, anew: bool = False) -> None:
        """See to it that the session holds the demonstrations, whatever happened before."""
        self.open()
        watcher = ReadingTime(self.more)
        try:
            with interrupt_cancels(self.held):
                is_read = self.held.read(self._offer, watcher, anew=anew)
        except Cancelled:
            watcher.finish()
            self._settle(watcher.chosen)
            raise
        finally:
            watcher.finish()
        if is_read and (anew or self.examples or self.instruction or self.inputs):
            self._report(self.held.facts)

    def _settle(self, chosen: Result) -> None:
        """After a reading that was stopped: stay with what is read of it, if that can be had."""
        self.open()
        read = self._call("stats")["shots_read"]
        if self.model.beside or not chosen.get("shots") or read is None:
            raise Cancelled("reading is stopped", "the next query reads on")
        self.wanted = read
        self._get_ready(anew=True)
        hint = f"`{self.more} N` reads on"
        raise Cancelled(f"reading is stopped, after {read:,} of {chosen['shots']:,}", hint)

    def _report(self, result: Result) -> None:
        each = [result, *result.get("beside", ())]
        for one in each:
            whose, where = ("", " in the context") if one is result else (f"{one['subject']}: ", "")
            say(
                f"{whose}{plural(one['shots'], 'demonstration')}{where}, {one['tokens']} tokens"
                f" ({one['reused_tokens']} reused), {one['seconds']:.1f} s"
            )
            if one["note"]:
                say(one["note"])
        if len(each) > 1:
            sizes = (f"{one['subject']} {size(one['kv_gb'] * 1e9)}" for one in each)
            say(f"keys and values: {', '.join(sizes)}")

    def _call(
        self, method: str, params: Params | None = None, on_note: OnNote | None = None
    ) -> Result:
        with interrupt_cancels(self.held):
            return self.held.call(method, params, on_note)


def tell_read(parsed: Parsed) -> None:
    """Say what was read as demonstrations, how, and what was not understood."""
    for problem in parsed.problems[:_SHOWN_PROBLEMS]:
        say(f"  {problem}")
    if (more := len(parsed.problems) - _SHOWN_PROBLEMS) > 0:
        say(f"  ... and {more:,} more")
    if parsed.inputs:
        say(f"{plural(len(parsed.inputs), 'input')} without answers before them")
    elif not parsed.examples:
        say("no demonstrations found")
    if not parsed.examples:
        return
    say(f"{plural(len(parsed.examples), 'demonstration')} read as {parsed.format}")
    for note in parsed.notes:
        say(f"  {note}")


def _tell(began: str, method: str, params: Params) -> None:
    """Say what there is to hear while a model is loaded."""
    if method == "calling":
        say(began)
    elif method == "ended":
        say(f"warning: {params['words']}")
    else:
        stages.show(method, params)


def check_query(query: str) -> None:
    """Refuse a query that is not text: bytes that are not UTF-8 stand in it as half characters."""
    broken = next((mark for mark in query if "\ud800" <= mark <= "\udfff"), None)
    if broken is not None:
        code = ord(broken)
        byte = f" (byte 0x{code - 0xDC00:02x})" if 0xDC80 <= code <= 0xDCFF else ""
        hint = "convert it: iconv -f WINDOWS-1252 -t UTF-8"
        raise DataError(f"the query is not UTF-8{byte}", hint)
    if "\0" in query:
        wrong = "the query holds zero bytes, as UTF-16 does"
        raise DataError(wrong, "convert it: iconv -f UTF-16 -t UTF-8")


def _written(path: Path) -> str:
    """Return a path as a user wrote it for the session, which has another folder to start from."""
    try:
        return str(path.expanduser().absolute())
    except RuntimeError as error:  # the home of nobody
        raise DataError(f"{shorten(str(path), 500)}: {reason(error)}", "check the path") from error


@contextmanager
def interrupt_cancels(session: SessionClient | Held) -> Iterator[None]:
    """Let Ctrl-C cancel the call; a second one leaves it."""
    pressed = 0

    def press(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        # In a thread, since this one may just be writing to the session.
        threading.Thread(target=session.cancel, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
