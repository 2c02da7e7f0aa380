"""Side by side: one base in memory, adapters on and off without a trace, each with what it read."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from yofo_mlx.errors import Cancelled, FitError, RecipeError, RunError
from yofo_mlx.models.adapters import add_adapter, mount, save_adapter
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.prompting import loading
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.held import Model, beside
from yofo_mlx.prompting.parameters import (
    CacheFile,
    Generate,
    Load,
    Loadable,
    Nothing,
    Pair,
    Prefill,
    Score,
)
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run

KEYS = ("self_attn.q_proj", "mlp.down_proj")
LORAS = {
    "lora": Lora(rank=8),
    "rank 2, few layers": Lora(rank=2, num_layers=1, keys=KEYS, scale=3.0),
    "dora": Lora(rank=4, fine_tune_type="dora", scale=5.0, keys=KEYS[1:]),
}
TOKENS = mx.array([[5, 17, 3, 99, 8, 23]])
SHOTS = [Pair(input=f"cow horse {n}", output=("Anna", "Tom")[n % 2]) for n in range(8)]
OFF = Loadable(use_adapter=False)


def write_adapter(folder: Path, lora: Lora, seed: int) -> Path:
    """Write an adapter for the embedded model that changes its answers."""
    model = load_base("tiny").model
    add_adapter(model, lora)
    mx.random.seed(seed)
    for _, layer in model.named_modules():
        if "lora_b" in layer:
            layer.lora_b = mx.random.normal(layer.lora_b.shape) * 0.05
    folder.mkdir(parents=True)
    save_adapter(folder, model, lora, "tiny")
    return folder


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("adapters")
    return [write_adapter(root / str(n), lora, n) for n, lora in enumerate(LORAS.values())]


def fresh(quantized: bool, adapter: Path | None = None) -> Any:
    model = load_base("tiny").model
    if quantized:
        nn.quantize(model, group_size=32, bits=4)
    if adapter:
        mount(model, adapter)
    return model


@pytest.mark.parametrize("quantized", [False, True])
def test_an_adapter_leaves_no_trace_whatever_is_switched(
    adapters: list[Path], quantized: bool
) -> None:
    expected = [fresh(quantized, adapter)(TOKENS) for adapter in adapters]
    model = fresh(quantized)
    base = model(TOKENS)
    assert not any(mx.array_equal(base, other).item() for other in expected)
    mounted = []
    for adapter in adapters:
        mounted.append(mount(model, adapter))
        mounted[-1].take_off()
        assert mx.array_equal(model(TOKENS), base).item()
    for place in (0, 2, 1, 0, 1, 2):
        mounted[place].put_on()
        assert mx.array_equal(model(TOKENS), expected[place]).item()
        mounted[place].take_off()
        assert mx.array_equal(model(TOKENS), base).item()
    names = [name for name, _ in model.named_modules()]
    assert names == [name for name, _ in fresh(quantized).named_modules()]


def test_an_adapter_that_does_not_fit_leaves_the_base_as_it_was(
    adapters: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(adapters[0], tmp_path / "wrong")
    weights: Any = mx.load(str(adapters[0] / "adapters.safetensors"))
    name = next(iter(weights))
    mx.save_safetensors(
        str(tmp_path / "wrong" / "adapters.safetensors"), weights | {name: mx.zeros((3, 3))}
    )
    model = fresh(False)
    base = model(TOKENS)
    with pytest.raises(RunError, match="does not fit the model"):
        mount(model, tmp_path / "wrong")
    assert mx.array_equal(model(TOKENS), base).item()
    (tmp_path / "wrong" / "adapters.safetensors").write_bytes(b"cut off")
    with pytest.raises(RunError, match="cannot be read"):
        mount(model, tmp_path / "wrong")
    assert mx.array_equal(model(TOKENS), base).item()


class Heard:
    """A call that is heard, and given up after some checks."""

    def __init__(self, checks: int = 10**9) -> None:
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.checks = checks

    def check(self) -> None:
        self.checks -= 1
        if self.checks < 0:
            raise Cancelled("given up")

    def note(self, method: str, **params: Any) -> None:
        self.notes.append((method, params))

    def of(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.notes if name == method]


def loaded(*beside: Loadable, adapter: Path | None = None, **first: Any) -> Prompter:
    prompter = Prompter()
    named = str(adapter) if adapter else None
    prompter.load(Load(model="tiny", adapter=named, beside=list(beside), **first), Heard())
    return prompter


def at(adapter: Path) -> Loadable:
    return Loadable(adapter=str(adapter))


def asked(prompter: Prompter, work: Heard | None = None) -> tuple[Any, Any]:
    work = work or Heard()
    written = prompter.generate(Generate(input="cow", max_tokens=4), work)
    return written, prompter.score(Score(input="cow", labels=["Anna", "Tom"]), work)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the tokens that contexts read, but for those of questions aside."""
    read: list[int] = []
    reads = Context.read

    def count(self: Context, tokens: Any, *rest: Any) -> None:
        read.append(len(tokens))
        reads(self, tokens, *rest)

    monkeypatch.setattr(Context, "read", count)
    return read


def test_each_answers_as_it_does_alone(adapters: list[Path]) -> None:
    together = loaded(OFF, at(adapters[2]), adapter=adapters[0])
    together.prefill(Prefill(demonstrations=SHOTS), Heard())
    written, scored = asked(together)
    names = [str(adapters[0]), "base", str(adapters[2])]
    assert list(written["answers"]) == list(scored["answers"]) == names
    for name, adapter in zip(names, [adapters[0], None, adapters[2]], strict=True):
        alone = loaded(adapter=adapter)
        alone.prefill(Prefill(demonstrations=SHOTS), Heard())
        text, scores = asked(alone)
        assert "answers" not in text and "answers" not in scores
        assert written["answers"][name]["text"] == text["text"]
        assert scored["answers"][name] == scores
    first = written["answers"][names[0]]
    assert {key: written[key] for key in first} == first


def test_once_all_have_read_no_answer_needs_another_reading(
    adapters: list[Path], counted: list[int]
) -> None:
    prompter = loaded(OFF, adapter=adapters[0])
    read = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    assert sum(counted) == 2 * read["tokens"] > 50
    counted.clear()
    work = Heard()
    written = prompter.generate(Generate(input="cow", max_tokens=4), work)
    question = written["prompt_tokens"] - read["tokens"]
    assert sum(counted) == 2 * (question - 1)
    # Neither does a switch to one of them alone, nor back.
    for who in ([], [OFF]):
        wanted = Load(model="tiny", adapter=str(adapters[0]), beside=who)
        prompter.load(wanted, Heard())
        counted.clear()
        again = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
        assert again["reused_tokens"] == again["tokens"] and not sum(counted)


def test_each_is_heard_by_name_and_one_alone_as_ever(adapters: list[Path]) -> None:
    prompter, work = loaded(OFF, adapter=adapters[0]), Heard()
    prompter.prefill(Prefill(demonstrations=SHOTS), work)
    assert [note["subject"] for note in work.of("reading")] == ["base"]
    assert {note["subject"] for note in work.of("progress")} == {str(adapters[0]), "base"}
    assert len(work.of("chosen")) == 1
    written, _ = asked(prompter, work)
    for name, answer in written["answers"].items():
        pieces = [note["text"] for note in work.of("token") if note["subject"] == name]
        assert "".join(pieces) == answer["text"]
    alone, work = loaded(adapter=adapters[0]), Heard()
    alone.prefill(Prefill(demonstrations=SHOTS), work)
    asked(alone, work)
    assert not any("subject" in params for _, params in work.notes)
    assert {method for method, _ in work.notes} == {"chosen", "progress", "token"}


def test_a_cancel_ends_all_and_keeps_what_is_written(adapters: list[Path]) -> None:
    prompter = loaded(OFF, adapter=adapters[0])
    prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    written, _ = asked(prompter)
    cut = prompter.generate(Generate(input="cow", max_tokens=4), Heard(checks=0))
    assert [one["finish"] for one in cut["answers"].values()] == ["cancelled", "cancelled"]
    late = prompter.generate(Generate(input="cow", max_tokens=4), Heard(checks=written["tokens"]))
    assert late["answers"]["base"]["finish"] == "cancelled"
    assert late["text"] == written["text"]
    assert asked(prompter)[0]["answers"]["base"]["text"] == written["answers"]["base"]["text"]


def test_what_each_holds_is_told_with_its_size(adapters: list[Path]) -> None:
    prompter = loaded(OFF, adapter=adapters[0])
    read = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    prompter.load(Load(model="tiny"), Heard())
    prompter.prefill(Prefill(demonstrations=SHOTS[:2]), Heard())
    kept = prompter.stats(Nothing(), Heard())["kept"]
    assert [(one["subject"], one["answers"]) for one in kept] == [
        ("base", True),
        (str(adapters[0]), False),
    ]
    assert kept[1]["tokens"] == read["tokens"] > kept[0]["tokens"]
    assert all(one["gb"] > 0 for one in kept)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let contexts of more than so many tokens in all be refused."""
    room = [10**9]
    contexts: list[Context] = []
    make = Context.__init__

    def remember(self: Context, *rest: Any) -> None:
        make(self, *rest)
        if self.memory_limit is not None:  # else it is lent for a question
            contexts.append(self)

    def check(self: Context, ahead: int) -> None:
        if sum(len(context.tokens) for context in contexts) + ahead > room[0]:
            raise FitError("no room", "fewer demonstrations")

    monkeypatch.setattr(Context, "__init__", remember)
    monkeypatch.setattr(Context, "_check_memory", check)
    return room


def test_two_that_do_not_fit_side_by_side_are_refused_by_name(
    adapters: list[Path], small: list[int]
) -> None:
    prompter = loaded(adapter=adapters[0])
    small[0] = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())["tokens"] * 3 // 2
    prompter.load(Load(model="tiny", adapter=str(adapters[0]), beside=[OFF]), Heard())
    with pytest.raises(FitError, match=r"^base: no room$") as caught:
        prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    assert "ask one of them alone" in caught.value.hint
    prompter.load(Load(model="tiny", adapter=str(adapters[0])), Heard())
    read = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    assert read["reused_tokens"] == read["tokens"]


@pytest.mark.long
def test_two_that_do_not_fit_make_room_for_each_other_where_they_are_told_to(
    adapters: list[Path], small: list[int]
) -> None:
    roomy = loaded(OFF, adapter=adapters[0])
    tokens = roomy.prefill(Prefill(demonstrations=SHOTS), Heard())["tokens"]
    small[0], answers = 10**9, asked(roomy)[1]
    del roomy
    prompter = loaded(OFF, adapter=adapters[0], make_room=True)
    small[0] = 3 * tokens + tokens // 2  # of which two are the other prompter's
    read = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    assert f"what {adapters[0]} has read" in read["beside"][0]["note"]
    written, scored = asked(prompter)
    assert scored == answers
    assert all("made room for" in one["note"] for one in written["answers"].values())


def test_what_is_aside_makes_room_the_least_recently_used_first_and_it_is_told(
    adapters: list[Path], small: list[int]
) -> None:
    prompter = Prompter()

    def show(adapter: Path | None) -> tuple[int, str]:
        prompter.load(Load(model="tiny", adapter=str(adapter) if adapter else None), Heard())
        read = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
        small[0] = read["tokens"] * 5 // 2  # there is room for two
        return read["reused_tokens"], read["note"]

    assert show(None) == (0, "") == show(adapters[0])
    assert show(None)[0]
    reused, note = show(adapters[1])
    assert reused == 0 and "what" in note and f"{adapters[0]} has read" in note
    assert "made room for" in note and show(None)[0]
    assert show(adapters[0])[0] == 0
    kept = prompter.stats(Nothing(), Heard())["kept"]
    assert [one["subject"] for one in kept] == [str(adapters[0]), "base"]


def test_a_saved_cache_is_the_firsts_and_the_other_reads_what_is_in_it(
    adapters: list[Path], tmp_path: Path, counted: list[int]
) -> None:
    prompter = loaded(OFF, adapter=adapters[0])
    prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    before = asked(prompter)[1]
    saved = prompter.save_cache(CacheFile(path=str(tmp_path / "x")), Heard())
    prompter = loaded(OFF, adapter=adapters[0])
    read = prompter.load_cache(CacheFile(path=saved["path"]), Heard())
    counted.clear()
    assert asked(prompter)[1] == before
    assert counted.count(read["tokens"]) == 1


@pytest.fixture
def run(adapters: list[Path]) -> Run:
    run = listing.create("small")
    run.recipe_path.write_text(
        'model = "tiny"\ntemplate.input = "{input} ->"\nepisodes.max_tokens = 3000\n'
        'train.steps = 1\ntasks = [{source = "tiny:topic-01"}]\n'
    )
    shutil.copytree(adapters[1], run.adapter_path)
    return run


def test_a_run_answers_beside_with_its_own_template(run: Run, adapters: list[Path]) -> None:
    prompter = loaded(Loadable(run=run.run_id), OFF, adapter=adapters[0])
    told = prompter.load(
        Load(model="tiny", beside=[Loadable(run=run.run_id), at(adapters[0])]), Heard()
    )
    assert [one["subject"] for one in (told, *told["beside"])] == [
        "base",
        run.run_id,
        str(adapters[0]),
    ]
    prompter.prefill(Prefill(demonstrations=SHOTS[:4]), Heard())
    texts = [side.prefix.segmenter.question("x", first=False) for side in prompter._present]
    assert texts[0] == texts[2] != texts[1]


def test_who_cannot_answer_beside_is_refused_with_the_reason(
    run: Run, adapters: list[Path], tmp_path: Path
) -> None:
    prompter = loaded(adapter=adapters[0])
    prompter.prefill(Prefill(demonstrations=SHOTS[:4]), Heard())
    before = asked(prompter)[1]

    def refusal(*others: Loadable, kind: type[Exception] = RunError) -> str:
        with pytest.raises(kind) as caught:
            prompter.load(
                Load(model="tiny", adapter=str(adapters[0]), beside=list(others)), Heard()
            )
        assert caught.value.hint  # type: ignore[attr-defined]
        assert asked(prompter)[1] == before  # all stays as it was
        return str(caught.value)

    assert "answers already" in refusal(OFF, OFF, kind=RecipeError)
    assert "answers already" in refusal(at(adapters[0]), kind=RecipeError)
    other = tmp_path / "other"
    shutil.copytree(model_path("tiny"), other / "model")
    config = json.loads((other / "model" / "config.json").read_text())
    (other / "model" / "config.json").write_text(json.dumps(config | {"rope_theta": 1e4}))
    shutil.copytree(adapters[0], other / "adapter")
    settings = json.loads((other / "adapter" / "adapter_config.json").read_text())
    changed = settings | {"model": str(other / "model")}
    (other / "adapter" / "adapter_config.json").write_text(json.dumps(changed))
    assert "another base model" in refusal(at(other / "adapter"))
    whole = settings | {"fine_tune_type": "full"}
    (other / "adapter" / "adapter_config.json").write_text(json.dumps(whole))
    assert "trained as a whole" in refusal(at(other / "adapter"))
    assert "no adapter in" in refusal(at(tmp_path / "nowhere"), kind=RecipeError)
    shutil.rmtree(run.adapter_path)
    assert "has no adapter yet" in refusal(Loadable(run=run.run_id))


def test_an_adapter_of_a_base_that_is_not_here_is_taken_with_a_warning(
    adapters: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(adapters[0], tmp_path / "adapter")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    changed = settings | {"model": "owner/other"}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(changed))
    told = Prompter().load(Load(model="tiny", beside=[at(tmp_path / "adapter")]), Heard())
    assert any("was trained on owner/other, which is not here" in note for note in told["notes"])


def test_an_adapter_whose_files_change_is_read_again_and_what_it_had_read_is_not_used(
    adapters: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapters[0], folder)
    prompter = loaded(OFF, adapter=folder)
    prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    before = asked(prompter)[1]["answers"]
    shutil.rmtree(folder)
    shutil.copytree(adapters[2], folder)
    assert asked(prompter)[1]["answers"] == before  # until it is loaded again
    told = prompter.load(Load(model="tiny", adapter=str(folder), beside=[OFF]), Heard())
    assert any("is another one now" in note for note in told["notes"])
    read = prompter.prefill(Prefill(demonstrations=SHOTS), Heard())
    assert read["reused_tokens"] == 0
    assert read["beside"][0]["reused_tokens"] == read["tokens"]
    after = asked(prompter)[1]["answers"]
    assert after["base"] == before["base"]
    alone = loaded(adapter=adapters[2])
    alone.prefill(Prefill(demonstrations=SHOTS), Heard())
    assert after[str(folder)] == asked(alone)[1]


def test_a_base_is_loaded_once_for_all_that_answer_from_it(
    run: Run, adapters: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompter = loaded(OFF, adapter=adapters[0])
    monkeypatch.setattr(loading, "load_base", None)
    for wanted in (
        Load(model="tiny"),
        Load(run=run.run_id, beside=[OFF]),
        Load(model="tiny", adapter=str(adapters[2]), beside=[Loadable(run=run.run_id)]),
    ):
        prompter.load(wanted, Heard())


def test_who_is_meant_beside_is_found_before_anything_is_loaded(
    run: Run, adapters: list[Path], tmp_path: Path
) -> None:
    assert beside("base") == Model(use_adapter=False)
    assert beside("last") == Model(run=run.run_id)
    assert beside(str(adapters[0])) == Model(adapter=str(adapters[0]))
    with pytest.raises(RecipeError, match="no adapter in"):
        beside(f"{tmp_path}/nowhere")
    with pytest.raises(RecipeError, match="no run"):
        beside("no-such-run")
    both = Model(run="last", beside=(beside("base"), beside("last")))
    assert both.params()["beside"] == [
        {"use_adapter": False},
        {"run": run.run_id, "use_adapter": True},
    ]
