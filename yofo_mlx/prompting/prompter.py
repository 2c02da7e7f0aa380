"""The methods of a session: one model, the demonstrations it has read, queries about them."""

import gc
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import mlx.core as mx

from yofo_mlx.errors import FitError, RunError
from yofo_mlx.prompting import cache_file, choosing, loading, parameters
from yofo_mlx.prompting.blocks import Blocks
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.fingerprint import changed_model, fingerprint
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.kept import Kept
from yofo_mlx.prompting.loading import LoadedModel
from yofo_mlx.prompting.prefix import Prefix, Reuse
from yofo_mlx.prompting.scoring import score
from yofo_mlx.prompting.tails import Sight
from yofo_mlx.recipe.names import EMBEDDED
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.tasks.suite import vocabulary
from yofo_mlx.tasks.task import Example

Result = dict[str, Any]


class Work(Protocol):
    """The call that is being answered."""

    def check(self) -> None:
        """Raise Cancelled if the caller has given it up."""

    def note(self, method: str, **params: Any) -> None:
        """Send a notification about it."""


class ReadingReport:
    """Reports how far demonstrations are read, and how long the rest takes; satisfies OnChunk."""

    def __init__(self, prefix: Prefix, work: Work) -> None:
        self._total, self._work = len(prefix.tokens), work
        self._done, self._at = len(prefix.context.tokens), 0.0

    def __call__(self, done: int) -> None:
        """Report, and stop where the caller wants it."""
        self._work.check()
        now = time.perf_counter()
        told: dict[str, float] = {"done": done, "total": self._total}
        if self._at:  # the first piece is no measure: the machine wakes up
            told["seconds_left"] = (self._total - done) * (now - self._at) / (done - self._done)
        self._done, self._at = done, now
        self._work.note("progress", **told)


class Prompter:
    """A loaded model and its demonstrations."""

    def __init__(self) -> None:
        self._loaded: LoadedModel | None = None
        self._prefix: Prefix | None = None
        self._facts: Result = {}
        self._offered: dict[Example, int] = {}  # their places
        self._shown: Sequence[Example] = ()
        self._known: frozenset[Example] = frozenset()  # of which those were chosen
        self._seed: int | None = None  # with which those were chosen
        self._blocks: Blocks | None = None  # where each query sees some of them
        self._aside: dict[bool, Context] = {}  # read by this model before, with its adapter or not

    @property
    def prefix(self) -> Prefix:
        """Return the demonstrations in the context, to ask many queries behind them."""
        if self._blocks:
            raise RunError(
                "demonstrations in blocks are for one query at a time",
                "ask with `yofo chat`, or choose them in another way",
            )
        return self._ready()[1]

    @property
    def fingerprint(self) -> dict[str, str]:
        """Return what tells the model and its adapter from others."""
        return fingerprint(self._ready()[0])

    def load(self, wanted: parameters.Load, work: Work) -> Result:
        """Load a model, or switch its adapter; the context is empty afterwards.

        What was read before a switch is put aside: demonstrations that are shown again use it.
        """
        source = loading.find_source(wanted.run, wanted.model, wanted.adapter)
        loading.check(source, wanted.use_adapter)
        loaded, prefix, self._loaded, self._prefix = self._loaded, self._prefix, None, None
        if loaded is not None and prefix is not None:
            self._aside[loaded.uses_adapter] = prefix.context
        if loaded is None or not loaded.switch(source, wanted.use_adapter):
            del loaded, prefix  # two models at once might not fit
            self._aside.clear()
            gc.collect()
            mx.clear_cache()
            loaded = loading.load(source, wanted.use_adapter)
        self._prefix, self._loaded, self._blocks = _new_prefix(loaded), loaded, None
        notes = [*source.notes, *(changed_model(source.run, loaded.base) if source.run else [])]
        return {
            "model": source.model,
            "adapter": str(source.adapter) if source.adapter and wanted.use_adapter else None,
            "run_id": source.run.run_id if source.run else None,
            "style": self._prefix.segmenter.style,
            "context": loaded.context,
            "trained_tokens": source.trained_context,
            "notes": [f"{message}: {hint}" for message, hint in notes],
        }

    def prefill(self, wanted: parameters.Prefill, work: Work) -> Result:
        """Choose demonstrations and read them; those that stay are not read again."""
        if wanted.choose == "blocks":
            return self._prefill_blocks(wanted, work)
        started, self._blocks = time.perf_counter(), None
        loaded, prefix = self._ready()
        folder = wanted.kept if wanted.division.has_bulk else None
        kept = Kept(Path(folder), loaded, wanted.kv_bits) if folder else None
        sight = self._choose(loaded, prefix, wanted, kept)
        prefix.context = self._aside.pop(loaded.uses_adapter, prefix.context)
        reuse = prefix.choose(self._shown, wanted.instruction)
        if kept:
            reuse = kept.take(prefix, reuse)
        tokens = {"tokens": len(prefix.tokens), "reused_tokens": reuse.tokens}
        work.note("chosen", **self._facts, **tokens)
        try:
            prefix.fill(ReadingReport(prefix, work))
        except FitError:  # the other context goes first
            if not self._aside:
                raise
            self._aside.clear()
            mx.clear_cache()
            prefix.fill(ReadingReport(prefix, work))
        prefix.tails = sight.tails(prefix, lambda _: work.check())
        notes = [reuse.note]
        if kept:
            kept.write(prefix, wanted.examples(), self._seed or 0)
            notes += kept.notes
        if prefix.altered:
            notes.append(
                f"{prefix.altered} answers hold what ends an answer, and are changed there"
            )
        if loaded.context and len(prefix.tokens) > loaded.context:
            notes.append(f"the model was trained on at most {loaded.context} tokens")
        summary = _summary(prefix, reuse, started)
        return summary | self._facts | {"note": "; ".join(filter(None, notes))}

    def _prefill_blocks(self, wanted: parameters.Prefill, work: Work) -> Result:
        """Encode demonstrations in blocks; those that are there already are not encoded again."""
        started = time.perf_counter()
        loaded, prefix = self._ready()
        offered = wanted.examples()
        seed = loaded.source.seed if wanted.seed is None else wanted.seed
        made = (wanted.instruction, wanted.block, wanted.blocks_share)
        if self._blocks is None or self._blocks.made != made:
            prefix.choose((), wanted.instruction)
            self._blocks = Blocks(prefix.empty, *made)
        order = self._blocks.order(offered, seed)
        self._shown = order[: wanted.shots] if isinstance(wanted.shots, int) else order
        self._known, self._seed = frozenset(offered), seed
        self._offered = {one: place for place, one in reversed([*enumerate(offered)])}
        self._facts = choosing.facts_of_blocks(self._shown, offered, seed)
        ahead, total = self._blocks.ahead(self._shown), 0
        total = self._blocks.kept_tokens(self._shown) + ahead
        tokens = {"tokens": total, "reused_tokens": total - ahead}
        work.note("chosen", **self._facts, **tokens)
        self._fill_blocks(self._blocks, work)
        self._facts["told"] = [self._blocks.words]
        seconds = time.perf_counter() - started
        return self._facts | tokens | {"seconds": seconds, "note": ""}

    def _fill_blocks(self, blocks: Blocks, work: Work) -> None:
        ahead = blocks.ahead(self._shown)

        def report(done: int) -> None:
            work.check()
            work.note("progress", done=done, total=ahead)

        blocks.fill(self._shown, report)

    def _behind(self, query: str, work: Work) -> Prefix:
        """Return what a query is asked behind."""
        if self._blocks is None:
            return self._ready()[1]
        self._fill_blocks(self._blocks, work)
        return self._blocks.behind(query)

    def _choose(
        self, loaded: LoadedModel, prefix: Prefix, wanted: parameters.Prefill, kept: Kept | None
    ) -> Sight:
        """Choose what is shown; with the same seed, what is shown already stays in its place."""
        source, offered = loaded.source, wanted.examples()
        seed = source.seed if wanted.seed is None else wanted.seed
        self._offered = {one: place for place, one in reversed([*enumerate(offered)])}
        bound = choosing.bound_of(
            "all" if wanted.choose == "all" else wanted.shots, source.trained_context, prefix.limit
        )
        segmenter = prefix.segmenter_of(wanted.instruction)
        shown, known = self._shown, self._known
        if not known:  # a new session goes on where another one ended
            shown = [offered[place] for place in wanted.shown]
            known = frozenset(offered).difference(offered[place] for place in wanted.added)
            if kept and not shown:
                shown, known = kept.before(offered, seed)
        division = wanted.division
        sight = Sight(wanted.choose, division, offered, seed, bound.tokens)
        shown = shown if self._seed in (None, seed) else ()
        choice = sight.choose(segmenter, shown, known)
        self._shown, self._known, self._seed = choice.examples, frozenset(offered), seed
        self._facts = choosing.facts(choice, offered, division.bulk, bound, seed)
        of_tail = choosing.facts_of_tail(wanted.choose, division, len(offered))
        told = self._facts["told"] if division.has_bulk else []
        self._facts |= of_tail | {"told": [*told, *of_tail["told"]]}
        texts = (text for example in choice.examples for text in (example.input, example.output))
        if remark := _remark(loaded, texts):
            self._facts["told"].append(remark)
        return sight

    def _question(
        self, prefix: Prefix, text: str, answer_tokens: int, work: Work
    ) -> tuple[list[int], Sequence[Example]]:
        """Return a query's tokens with the demonstrations of its own, and those.

        What all queries see is read by then.
        """
        prefix.question(text, answer_tokens, ())  # refused before anything is read
        prefix.fill(ReadingReport(prefix, work))
        tail = prefix.tail(text, answer_tokens, lambda _: work.check())
        return prefix.question(text, answer_tokens, tail), tail

    def generate(self, wanted: parameters.Generate, work: Work) -> Result:
        """Answer a query."""
        loaded, _ = self._ready()
        prefix = self._behind(wanted.input, work)
        question, tail = self._question(prefix, wanted.input, 1, work)
        free = prefix.free(question)
        answer = generate(
            prefix.context,
            prefix.segmenter,
            question,
            max_tokens=wanted.max_tokens if free is None else min(wanted.max_tokens, free),
            temperature=wanted.temperature,
            on_text=lambda text: work.note("token", text=text),
            on_chunk=lambda _: work.check(),
        )
        prompt_tokens = len(prefix.tokens) + len(question)
        notes = [self._blocks.told(prefix) if self._blocks else "", _remark(loaded, [wanted.input])]
        note = "; ".join(filter(None, notes))
        told = {"prompt_tokens": prompt_tokens, "tail": self._places(tail), "note": note}
        return asdict(answer) | told

    def score(self, wanted: parameters.Score, work: Work) -> Result:
        """Compare given answers to a query."""
        self._ready()
        prefix = self._behind(wanted.input, work)
        longest = max(len(prefix.segmenter.answer(label)) for label in wanted.labels)
        question, tail = self._question(prefix, wanted.input, longest, work)
        scores = score(
            prefix.context, prefix.segmenter, question, wanted.labels, lambda _: work.check()
        )
        return {"scores": [asdict(item) for item in scores], "tail": self._places(tail)}

    def save_cache(self, wanted: parameters.CacheFile, work: Work) -> Result:
        """Write the demonstrations with their K and V to a file."""
        started = time.perf_counter()
        loaded, prefix = self._ready()
        prefix.fill(ReadingReport(prefix, work))
        path = cache_file.save(Path(wanted.path), prefix, fingerprint(loaded))
        summary = _summary(prefix, Reuse(len(prefix.tokens)), started)
        return summary | self._facts | {"path": str(path)}

    def load_cache(self, wanted: parameters.CacheFile, work: Work) -> Result:
        """Take the demonstrations from a file; a refused file changes nothing."""
        started = time.perf_counter()
        loaded, _ = self._ready()
        prefix = _new_prefix(loaded)
        cache_file.load(Path(wanted.path), prefix, fingerprint(loaded))
        self._prefix = prefix
        self._aside.pop(loaded.uses_adapter, None)
        self._shown, self._seed = prefix.demonstrations, None
        self._known = frozenset(self._shown)
        self._facts = choosing.facts_of_file(self._shown)
        return (
            _summary(prefix, Reuse(len(prefix.tokens)), started)
            | self._facts
            | {
                "demonstrations": [asdict(example) for example in prefix.demonstrations],
                "instruction": prefix.instruction,
            }
        )

    def stats(self, wanted: parameters.Nothing, work: Work) -> Result:
        """Return memory and the size of the context."""
        prefix, blocks = self._prefix, self._blocks
        if blocks:
            held = {"context_tokens": blocks.tokens, "shots": blocks.shots}
            return _memory() | held | {"shots_read": blocks.shots}
        return _memory() | {
            "context_tokens": len(prefix.context.tokens) if prefix else 0,
            "shots": len(prefix.demonstrations) if prefix else 0,
            "shots_read": prefix.shots_read if prefix else 0,
        }

    def _places(self, tail: Sequence[Example]) -> list[int]:
        """Return which of those offered a query sees by itself."""
        return [self._offered[example] for example in tail]

    def _ready(self) -> tuple[LoadedModel, Prefix]:
        if self._loaded is None or self._prefix is None:
            raise RunError("no model is loaded", "load one first")
        return self._loaded, self._prefix


def _remark(loaded: LoadedModel, texts: Iterable[str]) -> str:
    """Say what the embedded model, which has few words, does not know."""
    return vocabulary.remark(texts) if loaded.source.model == EMBEDDED else ""


def _new_prefix(loaded: LoadedModel) -> Prefix:
    base, source = loaded.base, loaded.source
    context = Context(base.model, memory_limit(source.limit_gb).nbytes)
    return Prefix(context, base.tokenizer, source.template, loaded.limit)


def _memory() -> Result:
    return {
        "active_gb": mx.get_active_memory() / 1e9,
        "cache_gb": mx.get_cache_memory() / 1e9,
        "peak_gb": mx.get_peak_memory() / 1e9,
    }


def _summary(prefix: Prefix, reuse: Reuse, started: float) -> Result:
    return {
        "shots": len(prefix.demonstrations),
        "tokens": len(prefix.tokens),
        "reused_tokens": reuse.tokens,
        "seconds": time.perf_counter() - started,
        "left_out": prefix.left_out,
        "note": reuse.note,
    }
