"""What came of a file of queries: how many failed, and how right they are where that is known."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from yofo_mlx.answering.queries import Query
from yofo_mlx.evaluation import metrics
from yofo_mlx.evaluation.calibration import Reliability
from yofo_mlx.evaluation.rouge import f1_of
from yofo_mlx.evaluation.scores import margin
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.spelling import respelled, spelled

_TOLD = 5  # confusions that are told
_MOST_LABELS = 40  # labels that a table has room for
_TEXT_METRICS = ("exact", "f1", "rouge")


@dataclass
class Summary:
    """Counts over the rows of a file; none of them is kept."""

    said: Callable[[str], str] = str
    """What an answer reads as when a model writes it."""
    rows: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Expected and answered labels."""
    labelled: int = 0
    plain: Reliability = field(default_factory=Reliability)
    """By the probabilities without a temperature."""
    told: Reliability = field(default_factory=Reliability)
    """By those that are told."""
    incomplete: int = 0
    text_scores: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_TEXT_METRICS, 0.0))

    def add(self, query: Query, entry: dict[str, Any]) -> None:
        """Count a row and its answer."""
        self.rows += 1
        if "error" in entry:
            self.failed += 1
            return
        if "label" in entry:
            self._add_label(query, entry)
        else:
            self._add_text(query, entry)

    def _add_label(self, query: Query, entry: dict[str, Any]) -> None:
        if query.expected is None:
            return
        right = query.expected.strip() == entry["label"].strip()
        self.labelled += 1
        self.pairs[query.expected.strip(), entry["label"].strip()] += 1
        self.plain.add(entry["plain"], right)
        self.told.add(entry["probability"], right)

    def _add_text(self, query: Query, entry: dict[str, Any]) -> None:
        self.incomplete += not entry["complete"]
        if query.expected is not None:
            self.labelled += 1
            expected = self.said(query.expected)
            for name in _TEXT_METRICS:
                self.text_scores[name] += metrics.METRICS[name](entry["answer"], expected)

    @property
    def accuracy(self) -> float:
        """Return the share of right labels among those that are known."""
        right = sum(count for (one, other), count in self.pairs.items() if one == other)
        return right / self.labelled if self.labelled else 0.0

    def by_label(self) -> dict[str, dict[str, float]]:
        """Return each label's F1, and how often it was expected and answered."""
        expected, answered = Counter[str](), Counter[str]()
        for (one, other), count in self.pairs.items():
            expected[one] += count
            answered[other] += count
        return {
            label: {
                "expected": expected[label],
                "answered": answered[label],
                "f1": f1_of(self.pairs[label, label], answered[label], expected[label]),
            }
            for label in sorted({*expected, *answered})
        }

    def content(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        found: dict[str, Any] = {"rows": self.rows, "failed": self.failed}
        if self.pairs:
            labels = self.by_label()
            found |= {
                "labelled": self.labelled,
                "accuracy": self.accuracy,
                "accuracy_margin": margin([self.accuracy], [self.labelled]),
                "macro_f1": sum(one["f1"] for one in labels.values()) / len(labels),
                "calibration_error": self.told.error,
                "calibration_error_untempered": self.plain.error,
                "reliability": self.told.rows(),
                "labels": labels,
                "confusion": [
                    {"expected": one, "answered": other, "count": count}
                    for (one, other), count in self.pairs.most_common()
                    if one != other
                ],
            }
        elif self.labelled:
            found |= {"labelled": self.labelled}
            found |= {name: total / self.labelled for name, total in self.text_scores.items()}
        return found

    def lines(self) -> Iterator[str]:
        """Yield what a reader is told."""
        found = self.content()
        yield f"rows {self.rows:,}, failed {self.failed:,}"
        if self.incomplete:
            yield f"answers cut at their longest: {self.incomplete:,}"
        if self.pairs:
            share, width = found["accuracy"], found["accuracy_margin"]
            yield (
                f"of {self.labelled:,} with an answer: accuracy {100 * share:.1f} ±"
                f"{100 * width:.1f}, macro F1 {100 * found['macro_f1']:.1f}, calibration error"
                f" {100 * found['calibration_error']:.1f} (percent)"
            )
            yield from self._table(found["labels"])
            wrong = found["confusion"][:_TOLD]
            pairs = (
                f"{shorten(one['expected'])} -> {shorten(one['answered'])} {one['count']}"
                for one in wrong
            )
            yield f"expected -> answered: {', '.join(pairs) or 'nothing confused'}"
            twins = respelled(*({pair[place] for pair in self.pairs} for place in (0, 1)))
            for one, other in [*twins.items()][:_TOLD]:
                words = f"{spelled(one, other)} is expected, {spelled(other, one)} is answered"
                yield f"{words}: one label in two spellings counts as two"
        elif self.labelled:
            scores = (f"{metrics.TITLES[n]} {100 * found[n]:.1f}" for n in _TEXT_METRICS)
            yield f"of {self.labelled:,} with an answer: {', '.join(scores)} (percent)"

    def _table(self, labels: dict[str, dict[str, float]]) -> Iterator[str]:
        if len(labels) > _MOST_LABELS:
            return
        width = max(5, *(len(shorten(label, 40)) for label in labels))
        yield ""
        yield f"{'label':<{width}}  expected  answered     F1"
        for label, one in labels.items():
            yield (
                f"{shorten(label, 40):<{width}}  {one['expected']:>8,}  {one['answered']:>8,}"
                f"  {100 * one['f1']:>5.1f}"
            )
        yield ""
