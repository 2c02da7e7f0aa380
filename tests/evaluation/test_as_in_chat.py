"""Chat and evaluation ask the same questions after the same demonstrations: they cannot differ."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_map

from tests.fakes import CACHES, ByteTokenizer
from yofo_mlx.episodes.sampler import Episode, tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation import metrics
from yofo_mlx.evaluation.measure import measure
from yofo_mlx.evaluation.prompts import Prompts, Query
from yofo_mlx.models.base import Base
from yofo_mlx.prompting import context as context_module
from yofo_mlx.prompting import loading, scoring
from yofo_mlx.prompting.loading import LoadedModel, Source
from yofo_mlx.prompting.parameters import Generate, Load, Pair, Prefill, Score
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task

TEMPLATE = Template(style="plain", input="{input}=", output="{output}\n")
SHOTS = [Example(f"input {n}", f"answer {n % 3}") for n in range(8)]
INPUTS = ["input 9", "something else altogether", "q"]
LABELS = ["answer 1", "b", "a much longer answer"]
LIMIT = 12  # generated tokens


class LetterTokenizer(ByteTokenizer):
    """A letter for every token, so that what is generated is read as the same tokens again."""

    eos_token_ids = tuple(range(128, 160))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return [256] * add_special_tokens + [ord(letter) % 1024 for letter in text]

    def __call__(self, text: list[str], **options: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [self.encode(one, **options) for one in text]}

    def decode(self, token_ids: list[int]) -> str:
        return "".join(chr(t if t == 10 or 32 <= t < 127 else 1024 + t) for t in token_ids)


class Alone:
    """A call that nobody gives up; satisfies prompter.Work."""

    def check(self) -> None:
        pass

    def note(self, method: str, **params: Any) -> None:
        pass


@pytest.fixture(scope="module", params=CACHES)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    model = CACHES[request.param]()
    layers = {"model": {"layers": model.parameters()["model"]["layers"]}}
    model.update(tree_map(lambda weights: 4 * weights, layers))  # answers depend on what is read
    mx.eval(model.parameters())
    base = Base("random", Path(), model, LetterTokenizer(), {})
    return LoadedModel(Source("random", template=TEMPLATE), base)


@pytest.fixture
def session(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Prompter:
    monkeypatch.setattr(loading, "find_source", lambda *_: loaded.source)
    monkeypatch.setattr(loading, "check", lambda *_: None)
    monkeypatch.setattr(loading, "load", lambda *_: loaded)
    for module in (context_module, scoring):
        monkeypatch.setattr(module, "CHUNK", 16)
    prompter = Prompter()
    prompter.load(Load(model="random"), Alone())
    return prompter


def chat(session: Prompter, shots: int) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """Return for each input what the session answers, and its scores of labels and of that."""
    pairs = [Pair(input=one.input, output=one.output) for one in SHOTS[:shots]]
    session.prefill(Prefill(demonstrations=pairs, shots="all", shown=[*range(shots)]), Alone())
    found = []
    for text in INPUTS:
        answer = session.generate(Generate(input=text, max_tokens=LIMIT), Alone())
        labels = [*LABELS, answer["text"]]
        scores = session.score(Score(input=text, labels=labels), Alone())["scores"]
        found.append((answer, {score["label"]: score["logprob"] for score in scores}))
    return found


@pytest.mark.parametrize("at_once", [1, 5, None])
def test_chat_and_evaluation_give_the_same_answers_and_label_scores(
    session: Prompter, loaded: LoadedModel, at_once: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(loaded.base.tokenizer, TEMPLATE)
    episode = Episode("task", list(segmenter.opening))
    assert all(episode.add(tokenize(segmenter, one)) for one in SHOTS)
    counts = (0, 3, len(SHOTS))
    by_shots = {shots: chat(session, shots) for shots in counts}

    written: list[str] = []

    def note(text: str, expected: str, **options: Any) -> float:
        written.append(text)
        return float(text == expected)

    monkeypatch.setattr(metrics, "score", note)

    def evaluated(metric: str, shots: int, asked: list[Example], limit: int | None) -> Any:
        queries = [Query(one, tokenize(segmenter, one)) for one in asked]
        prompts = Prompts(segmenter.opening, [episode], queries, (shots,), 10**6, 0, 0, limit)
        entry = TaskEntry(Task("task", "other", ()), "held_out", metric, None, 1.0, "")
        done: dict[str, Any] = {}
        list(measure(loaded.base.model, segmenter, entry, prompts, at_once=at_once, done=done))
        return done[f"0/{shots}"]

    ended = 0
    for shots, found in by_shots.items():
        written.clear()
        evaluated("rouge", shots, [Example(text, "x") for text in INPUTS], LIMIT)
        assert written == [answer["text"] for answer, _ in found]
        for text, (answer, scores) in zip(INPUTS, found, strict=True):
            asked = [Example(text, label) for label in scores]
            for one, (right, loss, *_) in zip(
                asked, evaluated("exact", shots, asked, None), strict=True
            ):
                count = len(segmenter.answer(one.output))
                assert -loss * count == pytest.approx(scores[one.output], rel=1e-5)
                is_answer = one.output == answer["text"]
                if answer["finish"] == "end" or not is_answer:  # else the limit has cut it
                    assert right == is_answer
                    ended += is_answer
    assert ended > len(counts)  # both ways of being right were met


def test_labels_that_many_questions_are_asked_with_are_tokenized_once(
    session: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.prefill(Prefill(demonstrations=[Pair(input="x", output="y")]), Alone())
    answer, made = Segmenter.answer, []
    monkeypatch.setattr(
        Segmenter, "answer", lambda self, text: made.append(text) or answer(self, text)
    )
    for text in INPUTS:
        session.score(Score(input=text, labels=LABELS), Alone())
    assert made == LABELS
