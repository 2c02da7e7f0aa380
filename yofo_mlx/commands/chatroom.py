"""What `yofo chat` keeps: the session, the demonstrations, and what was asked of both."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from yofo_mlx.commands.reading_time import ReadingTime
from yofo_mlx.errors import Cancelled, DataError, YofoError
from yofo_mlx.prompting import demonstrations, stages
from yofo_mlx.prompting.client import OnNote, SessionClient
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.protocol import Params
from yofo_mlx.system import progress
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import reason, shorten
from yofo_mlx.tasks.sources import after
from yofo_mlx.tasks.task import Example

Result = dict[str, Any]
CACHE_SUFFIX = ".safetensors"
_SHOWN_PROBLEMS = 5


@dataclass
class Model:
    """Which model to prompt."""

    run: str | None = None
    model: str | None = None
    adapter: str | None = None
    use_adapter: bool = True

    @property
    def has_adapter(self) -> bool:
        """Tell whether there is an adapter to switch on and off."""
        return bool(self.run or self.adapter)


@dataclass
class Room:
    """A session with demonstrations; survives the session's death."""

    client: SessionClient
    model: Model
    instruction: str = ""
    examples: list[Example] = field(default_factory=list)
    """Those to choose from."""
    style: Style = field(default_factory=Style)
    wanted: int | Literal["all"] | None = None
    """How many to show; None: as many as were trained."""
    seed: int | None = None
    max_tokens: int | None = None
    """Most tokens of an answer."""
    is_instructed: bool = False
    """The instruction is the user's own, and stands for those that files have."""
    more: str = "--shots"
    """What the user says to see more demonstrations."""
    shown: list[Example] = field(default_factory=list)
    """Those in the context, in their order."""
    _last: tuple[Sequence[Example], Sequence[Example]] = ((), ())  # offered and shown at last
    _is_loaded: bool = False
    _is_read: bool = True

    def open(self) -> None:
        """Load the model and say what it is; the demonstrations are read when they are needed."""
        say("loading the model ...")
        self._is_loaded = False
        loaded = self._call("load", asdict(self.model), stages.show)
        progress.end()
        self._is_loaded = True
        self._is_read, self.shown = not (self.examples or self.instruction), []
        adapter = f" with the adapter {loaded['adapter']}" if loaded["adapter"] else ", no adapter"
        context = f", trained on up to {loaded['context']} tokens" if loaded["context"] else ""
        say(f"{loaded['model']}{adapter}; {loaded['style']} template{context}")
        for note in loaded.get("notes", ()):
            say(f"warning: {note}")

    def show(self, examples: Sequence[Example]) -> None:
        """Choose from these demonstrations and put them into the context."""
        self.examples, self._is_read, self.shown = list(examples), False, []
        self._get_ready()

    def drop(self, number: int) -> None:
        """Take one of those shown out of all."""
        dropped = self.shown[number - 1]
        self.show([example for example in self.examples if example != dropped])

    def choose(self, wanted: int | Literal["all"] | None) -> None:
        """Show so many of the demonstrations."""
        self.wanted = wanted
        self.show(self.examples)

    def take_paste(self, parsed: Parsed) -> None:
        """Add pasted demonstrations, on top of a number that was asked for; at most doubling it."""
        if isinstance(self.wanted, int):
            self.wanted += min(len(parsed.examples), max(1, self.wanted))
        self.take(parsed)

    def take(self, parsed: Parsed) -> None:
        """Add parsed demonstrations and say what was not understood."""
        for problem in parsed.problems[:_SHOWN_PROBLEMS]:
            say(f"  {problem}")
        if len(parsed.problems) > _SHOWN_PROBLEMS:
            say(f"  ... and {len(parsed.problems) - _SHOWN_PROBLEMS} more")
        if not parsed.examples:
            say("no demonstrations found")
            return
        say(f"{count(len(parsed.examples), 'demonstration')} read as {parsed.format}")
        for note in parsed.notes:
            say(f"  {note}")
        examples: Sequence[Example] = parsed.examples
        if parsed.instruction and not (self.instruction or self.examples):
            self.instruction = parsed.instruction
            say(f"  before them: {shorten(parsed.instruction, 90)}")
        elif parsed.instruction not in ("", self.instruction) and not self.is_instructed:
            examples = [after(parsed.instruction, example) for example in examples]
            say(f"  before each of them: {shorten(parsed.instruction, 90)}")
        self.show([*self.examples, *examples])

    def take_file(self, name: str) -> None:
        """Add the demonstrations of a file; those of a saved prompt cache come instead."""
        if name.endswith(CACHE_SUFFIX):
            self.take_cache(Path(name))
        else:
            self.take(demonstrations.read(name, self.style))

    def take_cache(self, path: Path) -> None:
        """Put the demonstrations of a prompt cache file into the context, K and V included."""
        self._reopen()
        result = self._call("load_cache", {"path": _written(path)})
        self.examples = [Example(**pair) for pair in result["demonstrations"]]
        self.instruction, self._is_read = result["instruction"], True
        self.shown = self.examples
        self._last = self.examples, self.shown
        self._report(result)

    def answer(self, query: str, on_text: Callable[[str], None]) -> Result:
        """Answer a query; the text comes in pieces on the way."""
        check_query(query)
        watcher = ReadingTime(self.more)

        def note(method: str, params: Params) -> None:
            if method == "token":
                on_text(params["text"])
            else:
                watcher(method, params)

        self._get_ready()
        limit = {"max_tokens": self.max_tokens} if self.max_tokens else {}
        answer = self._call("generate", {"input": query, **limit}, note)
        if answer["note"]:
            say(f"  {answer['note']}")
        return answer

    def scores(self, query: str, labels: Sequence[str]) -> list[Result]:
        """Return labels with their log-probabilities, best first."""
        check_query(query)
        self._get_ready()
        params = {"input": query, "labels": list(labels)}
        return list(self._call("score", params, ReadingTime(self.more))["scores"])

    def save(self, path: Path) -> Path:
        """Write the demonstrations with their K and V to a prompt cache file."""
        self._get_ready()
        return Path(self._call("save_cache", {"path": _written(path)})["path"])

    def stats(self) -> Result:
        """Return the session's memory and context."""
        self._get_ready()
        return self._call("stats")

    def _get_ready(self) -> None:
        """See to it that the session holds the demonstrations, whatever happened before."""
        self._reopen()
        if self._is_read:
            return
        watcher = ReadingTime(self.more)
        try:
            self._prefill(watcher)
        except Cancelled:
            self._settle(watcher.chosen)
            raise

    def _prefill(self, watcher: ReadingTime) -> None:
        params: Params = {
            "demonstrations": [asdict(example) for example in self.examples],
            "instruction": self.instruction,
        }
        choice = {"shots": self.wanted, "seed": self.seed}
        params |= {name: value for name, value in choice.items() if value is not None}
        params |= self._as_before()
        try:
            result = self._call("prefill", params, watcher)
        finally:
            watcher.finish()
        self.shown = [self.examples[place] for place in result["chosen"]]
        self._last = self.examples, self.shown
        self._is_read = True
        self._report(result)

    def _as_before(self) -> Params:
        """Return what a session needs to show what another one, which has died, has shown."""
        offered, shown = self._last
        places = {example: place for place, example in enumerate(self.examples)}
        new = places.keys() - set(offered)
        return {
            "shown": [places[example] for example in shown if example in places],
            "added": sorted(places[example] for example in new) if shown else [],
        }

    def _settle(self, chosen: Result) -> None:
        """After a reading that was stopped: stay with what is read of it, if that can be had."""
        read = self._call("stats")["shots_read"]
        if not chosen or read is None:
            raise Cancelled("reading is stopped", "the next query reads on")
        self.wanted = read
        self._prefill(ReadingTime(self.more))
        hint = f"`{self.more} N` reads on"
        raise Cancelled(f"reading is stopped, after {read:,} of {chosen['shots']:,}", hint)

    def _reopen(self) -> None:
        if not self._is_loaded:
            self.client.restart()
            self.open()

    def _report(self, result: Result) -> None:
        say(
            f"{count(result['shots'], 'demonstration')} in the context, {result['tokens']} tokens"
            f" ({result['reused_tokens']} reused), {result['seconds']:.1f} s"
        )
        if result["note"]:
            say(result["note"])

    def _call(
        self, method: str, params: Params | None = None, on_note: OnNote | None = None
    ) -> Result:
        with interrupt_cancels(self.client):
            try:
                return self.client.call(method, params, on_note)
            except YofoError:
                self._is_loaded = self._is_loaded and self.client.is_alive
                raise


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
def interrupt_cancels(client: SessionClient) -> Iterator[None]:
    """Let Ctrl-C cancel the call; a second one leaves it."""
    pressed = 0

    def press(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        # In a thread, since this one may just be writing to the session.
        threading.Thread(target=client.cancel, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
