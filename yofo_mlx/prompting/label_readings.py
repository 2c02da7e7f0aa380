"""What readings say of all labels at a demonstration, its own answer not being known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, log

import numpy as np
import numpy.typing as npt

from yofo_mlx.prompting import left_out
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.readings import LONGEST, Expected

# Flagged, where the others' share of another label is so far above that of the row's own ...
_MARGIN = 0.2
_DOUBT = -0.7  # ... and the model gave it no more than this (log of a half) of what goes to labels.
_DISBELIEF = -3.0  # where the others cannot be asked
_TRUSTED = 0.6  # of the rows must be told right: else it is not the rows that are wrong

Tokens = tuple[int, ...]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """A demonstration whose answer is a label. Logarithms of probabilities are in nats."""

    share: float
    """The log of its label's part of what goes to labels, token by token, as it was read."""
    expected: str | None
    """The likeliest label there, those before it being given; None: several begin alike."""
    others_say: str | None
    """The label that all others point to (`left_out`); None where the cache cannot tell."""
    margin: float | None
    """How far that label is ahead of the row's own; below 0 where it is the row's own."""
    suspicion: float
    """Higher: rather wrong; comparable within one set."""
    is_suspicious: bool
    shares: dict[str, float]
    """As `share`, of each label, up to the first token that tells it apart from the row's own.

    Labels that leave it by the same token have theirs in common; that counted once, exp of all sums
    to 1. A label that no demonstration had when this was read is missing.
    """


def labelled_rows(
    prefix: Prefix, labels: Sequence[str], noted: Sequence[Sequence[Expected]]
) -> list[Labelled]:
    """Return what is known of each demonstration, by its label and what was noted at its answer."""
    names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    own = np.array([numbers[label] for label in labels])
    answers = dict(
        zip(labels, (prefix.tokens[slice(*span)] for span in prefix.answers), strict=False)
    )
    known = LabelReadings({name: tuple(tokens) for name, tokens in answers.items()})
    read = [known.shares(label, expected) for label, expected in zip(labels, noted, strict=True)]
    shares = np.array([of[label] for of, label in zip(read, labels, strict=True)])
    places = [start - 1 for start, _ in prefix.answers[: len(labels)]]
    others = left_out.scores(prefix.context, places, own)  # (N, C)
    ahead = None if others is None else margins(others, own)
    # The others know more than those before a row alone.
    suspicion = _standard(-shares) + (0.0 if ahead is None else 2 * _standard(ahead))
    flagged = _flagged(shares, ahead)
    rows: list[Labelled] = []
    for at, label in enumerate(labels):
        likeliest = known.likeliest(label, read[at])
        if others is not None:
            likeliest = [max(likeliest, key=lambda name: others[at, numbers[name]])]
        margin = None if ahead is None else float(ahead[at])
        rows.append(
            Labelled(
                share=float(shares[at]),
                expected=likeliest[0] if len(likeliest) == 1 else None,
                others_say=None if others is None else names[int(others[at].argmax())],
                margin=margin,
                suspicion=float(suspicion[at]),
                is_suspicious=bool(flagged[at]),
                shares=read[at],
            )
        )
    return rows


class LabelReadings:
    """Labels, and what was noted of their tokens."""

    def __init__(self, answers: Mapping[str, Tokens]) -> None:
        """`answers` are the tokens of each label, its end included."""
        self._answers = answers
        self._partings = cache(self._partings_from)

    def shares(self, label: str, noted: Sequence[Expected]) -> dict[str, float]:
        """Return the log of each label's share where `label` stands, as far as it is known."""
        so_far, at = [0.0], []
        for one in noted:
            logprobs = one.logprobs.tolist()
            top = max(logprobs)
            among = top + log(sum(exp(logprob - top) for logprob in logprobs))
            at.append({token: of - among for token, of in zip(one.tokens, logprobs, strict=True)})
            so_far.append(so_far[-1] + logprobs[0] - among)
        found = {}
        for other, (depth, token) in self._partings(label).items():
            if depth == len(noted):  # itself, or one that is the same as far as is read
                found[other] = so_far[depth]
            elif token in at[depth]:  # else it was no label yet when this was read
                found[other] = so_far[depth] + at[depth][token]
        return found

    def likeliest(self, label: str, shares: Mapping[str, float]) -> list[str]:
        """Return the likeliest label where `label` stands, or all that share its first tokens."""
        partings = self._partings(label)
        best = partings[max(shares, key=lambda name: shares[name])]
        return [label] if best == partings[label] else [n for n in shares if partings[n] == best]

    def _partings_from(self, label: str) -> dict[str, tuple[int, int]]:
        """Return where each label leaves this one, and the token by which it does."""
        own = self._answers[label][:LONGEST]
        found = {}
        for other, tokens in self._answers.items():
            pairs = enumerate(zip(own, tokens, strict=False))
            depth = next((at for at, (one, two) in pairs if one != two), len(own))
            found[other] = depth, tokens[depth] if depth < len(own) else -1
        return found


def margins(others: left_out.Floats, own: npt.NDArray[np.intp]) -> Floats:
    """Return by how much the best other label is ahead of a row's own."""
    rest, rows = others.astype(np.float64), np.arange(len(own))
    rest[rows, own] = -np.inf
    margins: Floats = rest.max(axis=1) - others[rows, own]
    return margins


def _standard(values: Floats) -> Floats:
    scaled: Floats = (values - values.mean()) / (values.std() or 1.0)
    return scaled


def _flagged(shares: Floats, ahead: Floats | None) -> npt.NDArray[np.bool_]:
    """Return which rows to look at; none where the model tells too few of all right."""
    told_right = shares > _DOUBT if ahead is None else ahead < 0
    if told_right.mean() < _TRUSTED:
        return np.zeros(len(shares), dtype=np.bool_)
    return shares < _DISBELIEF if ahead is None else (ahead > _MARGIN) & (shares < _DOUBT)
