"""The methods of a session: one model, the demonstrations it has read, queries about them."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import DataError, RecipeError, RunError
from yofo_mlx.prompting import cache_file, parameters, sides
from yofo_mlx.prompting.blocks import Blocks
from yofo_mlx.prompting.fingerprint import changed_model, fingerprint
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.health import health_of
from yofo_mlx.prompting.kept import DiskCache
from yofo_mlx.prompting.label_tree import score, tree_of
from yofo_mlx.prompting.loading import LoadedModel
from yofo_mlx.prompting.prefix import Prefix, Reuse
from yofo_mlx.prompting.shown import ShownDemonstrations
from yofo_mlx.prompting.sides import Side, Sides
from yofo_mlx.prompting.tails import Sight
from yofo_mlx.prompting.work import OneOfSeveral, ReadingReport, Work
from yofo_mlx.tasks.task import Example

Result = dict[str, Any]


class Prompter:
    """Those that answer from one base model, usually one, and their demonstrations."""

    def __init__(self) -> None:
        self._sides = Sides()
        self._shown = ShownDemonstrations()
        self._blocks: Blocks | None = None  # where each query sees some of them

    @property
    def prefix(self) -> Prefix:
        """Return the demonstrations in the context, to ask many queries behind them."""
        return self._ready()[1]

    @property
    def blocks(self) -> Blocks | None:
        """Return the demonstrations of which each query sees some, where they are in blocks."""
        return self._blocks

    @property
    def fingerprint(self) -> dict[str, str]:
        """Return what tells the model and its adapter from others."""
        return fingerprint(self._ready()[0])

    def hand_over(self) -> list[Side]:
        """Return those that answer with what they have read, to keep; they begin anew here."""
        present = self._sides.present
        self._sides.present = [replace(side, prefix=side.prefix.empty()) for side in present]
        return present

    def turn(self, side: Side) -> LoadedModel:
        """Let one that was handed over answer."""
        return self._sides.turn(side)

    def load(self, wanted: parameters.Load, work: Work) -> Result:
        """Load a model, or switch its adapter; the context is empty afterwards.

        What was read before a switch is put aside: demonstrations that are shown again use it.
        """
        self._blocks = None
        self._sides.load(sides.find(wanted), make_room=wanted.make_room)
        first, *others = map(self._introduced, self._sides.present)
        notes = [note for one in (first, *others) for note in one["notes"]]
        told = {"notes": list(dict.fromkeys([*notes, *self._sides.told()]))}
        return first | told | ({"beside": others} if others else {})

    def _introduced(self, side: Side) -> Result:
        source, loaded = side.source, self._sides.turn(side)
        notes = [*source.notes, *(changed_model(source.run, loaded.base) if source.run else [])]
        return {
            "subject": side.name,
            "model": source.model,
            "adapter": str(source.adapter) if side.mark else None,
            "run_id": source.run.run_id if source.run else None,
            "style": side.prefix.segmenter.style,
            "context": side.trained_context,
            "trained_tokens": source.trained_context,
            "notes": [f"{message}: {hint}" for message, hint in notes],
        }

    def prefill(self, wanted: parameters.Prefill, work: Work) -> Result:
        """Choose demonstrations and read them; those that stay are not read again."""
        if wanted.choose == "blocks":
            return self._prefill_blocks(wanted, work)
        self._blocks = None
        kept = [self._kept(side, wanted) for side in self._present]
        loaded, prefix = self._ready()
        segmenter = prefix.segmenter_of(wanted.instruction)
        sight = self._shown.choose(wanted, loaded.source, segmenter, self._limit, kept[0])
        for side in self._present:
            self._sides.take_back(side)
        first, *others = [
            self._shown_to(side, wanted, sight, on_disk, work)
            for side, on_disk in zip(self._present, kept, strict=True)
        ]
        return first | self._shown.facts | ({"beside": others} if others else {})

    def _kept(self, side: Side, wanted: parameters.Prefill) -> DiskCache | None:
        if not (wanted.kept and wanted.division.has_bulk):
            return None
        return DiskCache(Path(wanted.kept), self._sides.turn(side), wanted.kv_bits)

    def _shown_to(
        self,
        side: Side,
        wanted: parameters.Prefill,
        sight: Sight,
        kept: DiskCache | None,
        work: Work,
    ) -> Result:
        """Show one of those side by side what is chosen."""
        started, prefix, is_first = time.perf_counter(), side.prefix, side is self._present[0]
        with self._sides.named(side):
            reuse = prefix.choose(self._shown.examples, wanted.instruction)
            if kept:
                self._sides.turn(side)
                reuse = kept.take(prefix, reuse)
            tokens = {"tokens": len(prefix.tokens), "reused_tokens": reuse.tokens}
            if is_first:
                work.note("chosen", **self._shown.facts, **tokens)
            else:
                work.note("reading", subject=side.name, **tokens)
        self._fill(side, work)
        with self._sides.named(side):
            prefix.tails = sight.tails(prefix, lambda _: work.check())
        notes = [reuse.note, *self._sides.told()]
        if kept:
            kept.write(prefix, wanted.examples(), self._shown.seed or 0)
            notes += kept.notes
        if prefix.altered:
            notes.append(
                f"{prefix.altered} answers hold what ends an answer, and are changed there"
            )
        if prefix.left_out:
            notes.append(f"{prefix.left_out} demonstrations do not fit its context")
        if side.trained_context and len(prefix.tokens) > side.trained_context:
            notes.append(f"the model was trained on at most {side.trained_context} tokens")
        notes += [prefix.tails.note] if prefix.tails else []
        notes += health_of(prefix).alarms()
        summary = _summary(prefix, reuse, started)
        summary |= {"disk_tokens": kept.taken, "disk_bytes": kept.nbytes} if kept else {}
        whose = {"subject": side.name} if len(self._present) > 1 else {}
        return whose | summary | {"note": "; ".join(filter(None, notes))}

    def _fill(self, side: Side, work: Work) -> None:
        """Read what one of those side by side lacks."""
        with self._sides.named(side):
            prefix, part = side.prefix, self._part(side, work)
            done, total = len(prefix.context.tokens), len(prefix.tokens)
            self._sides.fill(side, ReadingReport(done, total, part))

    @property
    def _present(self) -> list[Side]:
        return self._sides.present

    @property
    def _limit(self) -> int | None:
        """Return the most tokens that all of those side by side can take."""
        limits = [side.prefix.limit for side in self._present]
        return min((limit for limit in limits if limit is not None), default=None)

    def _part(self, side: Side, work: Work) -> Work:
        return work if len(self._present) == 1 else OneOfSeveral(work, side.name)

    def _prefill_blocks(self, wanted: parameters.Prefill, work: Work) -> Result:
        """Encode demonstrations in blocks; those that are there already are not encoded again."""
        started = time.perf_counter()
        loaded, prefix = self._ready()
        if len(self._present) > 1:
            raise RecipeError(
                "demonstrations in blocks are read by one model at a time",
                "leave those beside it out, or choose in another way",
            )
        made = (wanted.instruction, wanted.block, wanted.blocks_share)
        if self._blocks is None or self._blocks.made != made:
            prefix.choose((), wanted.instruction)
            self._blocks = Blocks(prefix.empty, *made)
        self._shown.choose_for_blocks(wanted, loaded.source, self._blocks)
        ahead = self._blocks.ahead(self._shown.examples)
        total = self._blocks.kept_tokens(self._shown.examples) + ahead
        tokens = {"tokens": total, "reused_tokens": total - ahead}
        work.note("chosen", **self._shown.facts, **tokens)
        self._fill_blocks(self._blocks, work)
        seconds = time.perf_counter() - started
        return self._shown.facts | tokens | {"seconds": seconds, "note": self._blocks.words}

    def _fill_blocks(self, blocks: Blocks, work: Work) -> None:
        ahead = blocks.ahead(self._shown.examples)
        blocks.fill(self._shown.examples, ReadingReport(0, ahead, work))

    def generate(self, wanted: parameters.Generate, work: Work) -> Result:
        """Answer a query."""
        parts = self._asked(wanted.input, (), work)
        return self._together([self._write(wanted, *part) for part in parts])

    def _write(
        self,
        wanted: parameters.Generate,
        side: Side,
        question: list[int],
        tail: Sequence[Example],
        work: Work,
    ) -> Result:
        prefix = side.prefix
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
        seen = self._blocks.told(prefix) if self._blocks else ""
        notes = [*self._sides.told(), seen, side.source.remark([wanted.input])]
        told = {"tail": self._shown.places(tail), "note": "; ".join(filter(None, notes))}
        return asdict(answer) | {"prompt_tokens": prompt_tokens} | told

    def score(self, wanted: parameters.Score, work: Work) -> Result:
        """Compare given answers to a query."""
        found = []
        for side, question, tail, _ in self._asked(wanted.input, wanted.labels, work):
            prefix = side.prefix
            tree = tree_of(prefix.segmenter, tuple(wanted.labels))
            scores = score(prefix.context, prefix.segmenter, question, tree, lambda _: work.check())
            told = {"tail": self._shown.places(tail)}
            found.append({"scores": [asdict(item) for item in scores]} | told)
        return self._together(found)

    def _asked(
        self, text: str, labels: Sequence[str], work: Work
    ) -> Iterator[tuple[Side, list[int], Sequence[Example], Work]]:
        """Yield each of those side by side in its turn, its question, tail, and part of the call.

        All can take the question, and have read if they fit, before the first one answers.
        """
        self._ready()
        if self._blocks:
            self._fill_blocks(self._blocks, work)
            side = replace(self._present[0], prefix=self._blocks.behind(text))
            yield side, self._question(side, text, labels, ()), (), work
            return
        for side in self._present:
            self._question(side, text, labels, ())
        if not self._sides.makes_room:
            for side in self._present:
                self._fill(side, work)
        for side in self._present:
            self._fill(side, work)
            if len(self._present) > 1:
                work.note("answering", subject=side.name)
            longest = _longest(side.prefix, labels)
            tail = side.prefix.tail(text, longest, lambda _: work.check())
            question = self._question(side, text, labels, tail)
            yield side, question, tail, self._part(side, work)

    def _question(
        self, side: Side, text: str, labels: Sequence[str], tail: Sequence[Example]
    ) -> list[int]:
        with self._sides.named(side):
            return side.prefix.question(text, _longest(side.prefix, labels), tail)

    def _together(self, answers: Sequence[Result]) -> Result:
        """Return the first one's answer; where several have answered, with all by name."""
        if len(answers) == 1:
            return answers[0]
        names = [side.name for side in self._present]
        return answers[0] | {"answers": dict(zip(names, answers, strict=True))}

    def health(self, wanted: parameters.Health, work: Work) -> Result:
        """Tell what the reading says of the demonstrations; read again those it says nothing of."""
        _, prefix = self._ready()
        self._check_shared(prefix)
        first = self._present[0]
        self._fill(first, work)
        prefix.forget_unknown()
        self._fill(first, work)
        return health_of(prefix).as_json(with_labels=wanted.labels)

    def _check_shared(self, prefix: Prefix) -> None:
        """Refuse what is about demonstrations that all queries see, where there are none."""
        if self._shown.facts.get("offered") and not prefix.demonstrations:
            wrong = "no demonstration is read for all queries: each one sees some of its own"
            raise DataError(
                wrong, "`--choose` or `/choose` balanced, all or tail reads some for all"
            )

    def save_cache(self, wanted: parameters.CacheFile, work: Work) -> Result:
        """Write the demonstrations with their K and V to a file."""
        started = time.perf_counter()
        loaded, prefix = self._ready()
        self._check_shared(prefix)
        self._fill(self._present[0], work)
        path = cache_file.save(Path(wanted.path), prefix, fingerprint(loaded))
        summary = _summary(prefix, Reuse(len(prefix.tokens)), started)
        return summary | self._shown.facts | {"path": str(path)}

    def load_cache(self, wanted: parameters.CacheFile, work: Work) -> Result:
        """Take the demonstrations from a file; a refused file changes nothing."""
        started = time.perf_counter()
        loaded, _ = self._ready()
        prefix = sides.new_prefix(loaded)
        cache_file.load(Path(wanted.path), prefix, fingerprint(loaded))
        self._blocks = None
        first, *others = self._present
        first.prefix = prefix
        self._sides.forget(first)
        self._shown.take_from_file(prefix.demonstrations)
        for other in others:  # which read with the next question
            self._sides.take_back(other)
            other.prefix.choose(self._shown.examples, prefix.instruction)
        return (
            _summary(prefix, Reuse(len(prefix.tokens)), started)
            | self._shown.facts
            | {
                "demonstrations": [example.as_pair() for example in prefix.demonstrations],
                "instruction": prefix.instruction,
            }
        )

    def stats(self, wanted: parameters.Nothing, work: Work) -> Result:
        """Return memory and the size of the context."""
        prefix, kept = self._present[0].prefix if self._present else None, self._sides.kept()
        if self._blocks:
            count = self._blocks.shots
            held = {"context_tokens": self._blocks.tokens, "shots": count, "shots_read": count}
            return _memory() | held | {"kept": kept}
        return _memory() | {
            "context_tokens": len(prefix.context.tokens) if prefix else 0,
            "shots": len(prefix.demonstrations) if prefix else 0,
            "shots_read": _least(side.prefix.shots_read for side in self._present),
            "kept": kept,
        }

    def _ready(self) -> tuple[LoadedModel, Prefix]:
        """Return the first of those that answer, in its turn."""
        if not self._present:
            raise RunError("no model is loaded", "load one first")
        first = self._present[0]
        return self._sides.turn(first), first.prefix


def _longest(prefix: Prefix, labels: Sequence[str]) -> int:
    """Return how many tokens an answer needs, which may be any of these or anything."""
    return tree_of(prefix.segmenter, tuple(labels)).longest if labels else 1


def _least(numbers: Iterable[int | None]) -> int | None:
    """Return the least of them, None if one is not known, 0 for none."""
    known = list(numbers)
    return None if None in known else min((one for one in known if one is not None), default=0)


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
        "kv_gb": prefix.context.nbytes / 1e9,
        "note": reuse.note,
    }
