"""What the reading of demonstrations says of them."""

from itertools import pairwise
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.fakes import CACHES, ByteTokenizer
from yofo_mlx.errors import Cancelled
from yofo_mlx.prompting import context as context_module
from yofo_mlx.prompting import parameters
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.health import health_of
from yofo_mlx.prompting.left_out import press
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.prompting.readings import LONGEST
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

SHOTS = [Example(f"input {n}", ("yes", "yellow", "no")[n % 3]) for n in range(9)]
TEXTS = [Example(f"say {n}", f"something of its own, number {n}") for n in range(4)]


class Tokenizer(ByteTokenizer):
    """The byte tokenizer with what mlx-lm's wrapper adds."""

    eos_token_ids = (257,)


@pytest.fixture(scope="module", params=CACHES)
def model(request: pytest.FixtureRequest) -> Any:
    made = CACHES[request.param]()
    mx.eval(made.parameters())
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_module, "CHUNK", 16)


def prefix_of(model: Any, shots: list[Example]) -> Prefix:
    prefix = Prefix(Context(model), Tokenizer(), Template(), None)
    prefix.choose(shots, "")
    return prefix


def logprobs_of(model: Any, tokens: list[int]) -> Any:
    """Return (L, V) log-probabilities of what follows each token, in one plain pass of mlx-lm."""
    logits = model(mx.array([tokens]))[0].astype(mx.float32)
    return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))


@pytest.mark.parametrize("shots", [SHOTS, TEXTS])
def test_readings_are_what_one_plain_pass_says_of_the_answers(
    model: Any, shots: list[Example]
) -> None:
    prefix = prefix_of(model, shots)
    prefix.fill()
    logprobs = logprobs_of(model, prefix.tokens)
    for row, (start, end) in zip(health_of(prefix).rows, prefix.answers, strict=True):
        places = [
            place
            for place in range(start, min(end, start + LONGEST))
            if not prefix.context.readings[place].is_settled
        ]
        expected = sum(logprobs[place - 1, prefix.tokens[place]] for place in places)
        assert row.logprob == pytest.approx(expected, abs=1e-3)
        assert row.tokens == len(places) > 0


def test_shares_are_of_the_tokens_that_labels_go_on_with(model: Any) -> None:
    prefix = prefix_of(model, SHOTS)
    prefix.fill()
    logprobs = logprobs_of(model, prefix.tokens)
    (start, _), row = prefix.answers[0], health_of(prefix).rows[0]
    yes, yellow, no = (list(prefix.segmenter.answer(label)) for label in ("yes", "yellow", "no"))
    assert row.answer == "yes" and row.labelled is not None
    parting = next(at for at, (a, b) in enumerate(zip(yes, yellow, strict=False)) if a != b)
    first = next(at for at, (a, b) in enumerate(zip(yes, no, strict=False)) if a != b)

    def among(at: int, token: int, *others: int) -> float:
        chances = np.exp(logprobs[start + at - 1][[token, *others]])
        return float(np.log(chances[0] / chances.sum()))

    begins = among(first, yes[first], no[first])
    shares = row.labelled.shares
    assert shares["no"] == pytest.approx(among(first, no[first], yes[first]), abs=1e-3)
    both = (yes[parting], yellow[parting])
    assert shares["yes"] == pytest.approx(begins + among(parting, *both), abs=1e-3)
    assert shares["yellow"] == pytest.approx(begins + among(parting, *both[::-1]), abs=1e-3)
    assert sum(np.exp(list(shares.values()))) == pytest.approx(1, abs=1e-4)
    assert shares["yes"] == row.labelled.share


def test_a_reading_that_was_stopped_or_went_on_knows_the_same(model: Any) -> None:
    whole = prefix_of(model, SHOTS)
    whole.fill()
    expected = [row.logprob for row in health_of(whole).rows]
    stopped = prefix_of(model, SHOTS)
    calls = 0

    def stop(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        stopped.fill(stop)
    half = health_of(stopped)
    assert 0 < len(half.rows) < len(SHOTS) == len(half.rows) + half.unread
    assert [row.logprob for row in half.rows] == pytest.approx(expected[: len(half.rows)], abs=1e-3)
    stopped.fill()
    assert [row.logprob for row in health_of(stopped).rows] == pytest.approx(expected, abs=1e-3)
    grown = prefix_of(model, SHOTS[:4])
    grown.fill()
    grown.choose(SHOTS, "")
    grown.fill()
    assert [row.logprob for row in health_of(grown).rows] == pytest.approx(expected, abs=1e-3)


def test_a_changed_answer_is_read_anew(model: Any) -> None:
    prefix = prefix_of(model, [*SHOTS[:8], Example("input 8", "yes")])
    prefix.fill()
    prefix.choose([*SHOTS[:8], Example("input 8", "yellow")], "")  # begins as the other did
    prefix.fill()
    fresh = prefix_of(model, list(prefix.demonstrations))
    fresh.fill()
    found = [row.logprob for row in health_of(prefix).rows]
    assert found == pytest.approx([row.logprob for row in health_of(fresh).rows], abs=1e-3)


def test_what_nothing_is_known_of_is_read_again_on_request(model: Any) -> None:
    prefix = prefix_of(model, SHOTS)
    prefix.fill()
    expected = [row.logprob for row in health_of(prefix).rows]
    prefix.context.adopt(prefix.context.layers, prefix.tokens)  # as from a cache file
    assert health_of(prefix).rows == [] and health_of(prefix).unread == len(SHOTS)
    prefix.forget_unknown()
    prefix.fill()
    assert [row.logprob for row in health_of(prefix).rows] == pytest.approx(expected, abs=1e-3)
    tokens = list(prefix.context.tokens)
    prefix.forget_unknown()
    assert prefix.context.tokens == tokens


def test_where_a_model_cannot_tell_rows_it_reads_all_the_same(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = prefix_of(model, SHOTS)
    monkeypatch.setattr(prefix.context, "tells_rows", False)
    prefix.fill()
    prefix.forget_unknown()
    assert prefix.is_filled and health_of(prefix).unread == len(SHOTS)


def test_leaving_out_in_closed_form_is_leaving_out_one_by_one() -> None:
    drawn = np.random.default_rng(0)
    features = drawn.normal(size=(12, 5)).astype(np.float32)
    labelled = np.eye(3, dtype=np.float32)[drawn.integers(3, size=12)]
    kernel = features @ features.T
    for row, found in enumerate(press(features, labelled, ridge=0.5)):
        others = np.arange(12) != row
        weights = np.linalg.solve(
            kernel[np.ix_(others, others)] + 0.5 * np.eye(11), labelled[others]
        )
        assert found == pytest.approx(kernel[row, others] @ weights, abs=1e-4)


class NoWork:
    """A call that nobody gives up."""

    def check(self) -> None:
        """Go on."""

    def note(self, method: str, **params: Any) -> None:
        """Hear nothing."""


def test_a_row_that_all_others_contradict_is_among_the_first_that_the_session_names() -> None:
    animals = "horse cow pig goat sheep dog rabbit mouse wolf bear deer cat lion tiger".split()
    metals = "iron copper tin zinc lead steel brass bronze nickel gold chrome cobalt".split()
    pairs = [
        parameters.Pair(input=f"{one} {two}", output=name)
        for name, words in (("Anna", animals), ("Tom", metals))
        for one, two in pairwise(words)
    ]
    wrong = parameters.Pair(input="horse sheep", output="Tom")
    prompter = Prompter()
    prompter.load(parameters.Load(model="tiny"), NoWork())
    prompter.prefill(parameters.Prefill(demonstrations=[*pairs, wrong]), NoWork())
    rows = prompter.health(parameters.Health(labels=True), NoWork())["rows"]
    first = sorted(rows, key=lambda row: -row["labelled"]["margin"])[:3]
    row = next(row for row in first if row["input"] == wrong.input)
    assert row["labelled"]["others_say"] == "Anna"
    assert set(row["labelled"]["shares"]) == {"Anna", "Tom"}


def test_a_set_taken_as_it_stands_alarms_where_its_labels_stand_together() -> None:
    model = CACHES["plain"]()
    rows = [Example(f"input {n}", label) for label in ("yes", "no") for n in range(6)]
    mixed = [row for pair in zip(rows[:6], rows[6:], strict=True) for row in pair]
    by_label, in_turn, one = (prefix_of(model, some) for some in (rows, mixed, rows[:6]))
    for prefix in (by_label, in_turn, one):
        prefix.fill()
    assert any("stand together" in alarm for alarm in health_of(by_label).alarms())
    assert not any("stand together" in alarm for alarm in health_of(in_turn).alarms())
    assert list(health_of(one).alarms()) == ["all answers are the same label"]
    nothing = prefix_of(model, [])
    nothing.fill()
    assert list(health_of(nothing).alarms()) == [] and health_of(nothing).rows == []
