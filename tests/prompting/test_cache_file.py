"""Prompt cache files: taken back exactly, or refused with the reason."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from yofo_mlx.errors import FitError, RunError
from yofo_mlx.models.adapters import add_adapter, save_adapter
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.prompting import cache_file
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.fingerprint import fingerprint
from yofo_mlx.prompting.label_tree import score
from yofo_mlx.prompting.loading import LoadedModel, Source, load
from yofo_mlx.prompting.parameters import Load, Nothing, Pair, Prefill, Score
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.recipe.schema import Lora, Template
from yofo_mlx.tasks.task import Example

SHOTS = [Example(f"horse cow {name}", "Anna ü\n\x1b[31m") for name in ("pig", "goat", "dog")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the embedded model as a folder, with an adapter beside it."""
    target = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(model_path("tiny"), target)
    model = load_base("tiny").model
    add_adapter(model, Lora())
    mx.random.seed(0)
    for _, layer in model.named_modules():
        if "lora_b" in layer:
            layer.lora_b = mx.random.normal(layer.lora_b.shape) * 0.01
    (target / "adapter").mkdir()
    save_adapter(target / "adapter", model, Lora(), "tiny")
    return target


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return load(Source(str(folder), adapter=folder / "adapter"), use_adapter=True)


def prefix_of(loaded: LoadedModel, shots: list[Example] | None = None) -> Prefix:
    base = loaded.base
    prefix = Prefix(Context(base.model), base.tokenizer, loaded.source.template, loaded.limit)
    if shots is not None:
        prefix.choose(shots, "Name the owner.")
        prefix.fill()
    return prefix


def scores(prefix: Prefix) -> list[Any]:
    return score(prefix.context, prefix.segmenter, prefix.question("cow"), ["Anna", "Tom", "Kate"])


@pytest.fixture
def saved(loaded: LoadedModel, tmp_path: Path) -> Path:
    return cache_file.save(
        tmp_path / "new folder" / "x", prefix_of(loaded, SHOTS), fingerprint(loaded)
    )


def refusal(path: Path, loaded: LoadedModel) -> str:
    prefix = prefix_of(loaded)
    with pytest.raises(RunError) as caught:
        cache_file.load(path, prefix, fingerprint(loaded))
    assert prefix.context.tokens == []
    return caught.value.message


def test_a_saved_prefix_comes_back_exactly(loaded: LoadedModel, saved: Path) -> None:
    prefix, expected = prefix_of(loaded), prefix_of(loaded, SHOTS)
    cache_file.load(saved, prefix, fingerprint(loaded))
    assert prefix.is_filled
    assert (prefix.demonstrations, prefix.instruction) == (SHOTS, "Name the owner.")
    assert scores(prefix) == scores(expected)
    prefix.choose([*SHOTS, SHOTS[0]], "Name the owner.")
    prefix.fill()
    expected.choose([*SHOTS, SHOTS[0]], "Name the owner.")
    expected.fill()
    assert scores(prefix) == scores(expected)


def test_the_file_holds_no_unused_rows_and_leaves_nothing_else(
    saved: Path, loaded: LoadedModel
) -> None:
    tokens = len(prefix_of(loaded, SHOTS).tokens)
    arrays: Any = mx.load(str(saved))
    assert {array.shape[2] for array in arrays.values() if array.ndim == 4} == {tokens}
    assert [path.name for path in saved.parent.iterdir()] == ["x.safetensors"]


def test_another_model_adapter_template_is_named_in_the_refusal(
    loaded: LoadedModel, saved: Path, folder: Path, tmp_path: Path
) -> None:
    name, adapter = str(folder), folder / "adapter"
    assert "another adapter" in refusal(
        saved, load(Source(name, adapter=adapter), use_adapter=False)
    )
    template = Template(input="Q: {input}\nA:")
    other = LoadedModel(Source(name, adapter=adapter, template=template), loaded.base)
    message = refusal(saved, other)
    assert "another adapter and another template" in message
    shutil.copytree(folder, tmp_path / "tiny")
    config = json.loads((tmp_path / "tiny" / "config.json").read_text())
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(config | {"rope_theta": 1e4}))
    moved = Source(str(tmp_path / "tiny"), adapter=adapter)
    assert refusal(saved, load(moved, use_adapter=True)).endswith("belongs to another model")


def test_another_precision_is_named_in_the_refusal(folder: Path, saved: Path) -> None:
    loaded = load(Source(str(folder), adapter=folder / "adapter"), use_adapter=True)
    loaded.base.model.set_dtype(mx.float16)
    assert "another KV setting" in refusal(saved, loaded)


def test_a_model_that_answers_differently_is_refused(
    folder: Path, loaded: LoadedModel, saved: Path
) -> None:
    changed = load(Source(str(folder), adapter=folder / "adapter"), use_adapter=True)
    changed.base.model.model.norm.weight *= 3.0
    assert "answers differently" in refusal(saved, changed)


def test_the_same_files_elsewhere_are_the_same_model(
    loaded: LoadedModel, saved: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "moved")
    moved = Source(str(tmp_path / "moved"), adapter=tmp_path / "moved" / "adapter")
    prefix = prefix_of(loaded)
    cache_file.load(saved, prefix, fingerprint(load(moved, use_adapter=True)))
    assert prefix.is_filled


def test_files_that_are_no_prompt_cache_are_refused(
    loaded: LoadedModel, saved: Path, tmp_path: Path
) -> None:
    assert "no prompt cache" in refusal(tmp_path / "missing", loaded)
    broken = tmp_path / "broken.safetensors"
    for content in (b"", b"\xff" * 100, saved.read_bytes()[:-5000], saved.read_bytes()[:200]):
        broken.write_bytes(content)
        assert str(broken) in refusal(broken, loaded)
    mx.save_safetensors(str(broken), {"x": mx.zeros(3)}, {})
    assert "not saved by this version" in refusal(broken, loaded)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("0.tokens", "[1, 2, 3]"),
        ("0.tokens", "nonsense"),
        ("0.demonstrations", "[[1]]"),
        ("0.fingerprint", "[]"),
        ("0.probe", '{"99999999": 0}'),
        ("0.probe", "{}"),
        ("1.0", "CacheList"),
        ("1.0", "os"),
    ],
)
def test_a_file_with_damaged_metadata_is_refused(
    loaded: LoadedModel, saved: Path, key: str, value: str
) -> None:
    contents: Any = mx.load(str(saved), return_metadata=True)
    arrays, metadata = contents
    assert key in metadata
    mx.save_safetensors(str(saved), dict(arrays), metadata | {key: value})
    assert str(saved) in refusal(saved, loaded)


def test_a_place_that_cannot_be_written_to_is_an_error(loaded: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        cache_file.save(tmp_path / "file" / "x", prefix_of(loaded, SHOTS), fingerprint(loaded))


def test_the_adapter_is_switched_off_exactly_and_on_again(folder: Path) -> None:
    source = Source(str(folder), adapter=folder / "adapter")
    loaded, plain = load(source, use_adapter=True), load(source, use_adapter=False)
    adapted, base = scores(prefix_of(loaded, SHOTS)), scores(prefix_of(plain, SHOTS))
    assert adapted != base
    assert loaded.switch(source, use_adapter=False)
    assert scores(prefix_of(loaded, SHOTS)) == base
    assert loaded.switch(source, use_adapter=True)
    assert scores(prefix_of(loaded, SHOTS)) == adapted
    assert plain.switch(source, use_adapter=True)
    assert scores(prefix_of(plain, SHOTS)) == adapted


class NoWork:
    """A call that nobody gives up and nobody hears."""

    def check(self) -> None:
        pass

    def note(self, method: str, **params: Any) -> None:
        pass


def shown(prompter: Prompter, folder: Path, use_adapter: bool) -> tuple[int, Any]:
    """Load, show the same demonstrations, score; return the tokens not read again, and scores."""
    model, adapter = str(folder), str(folder / "adapter")
    prompter.load(Load(model=model, adapter=adapter, use_adapter=use_adapter), NoWork())
    assert prompter.stats(Nothing(), NoWork())["context_tokens"] == 0
    shots = [Pair(input=one.input, output=one.output) for one in SHOTS]
    read = prompter.prefill(Prefill(demonstrations=shots), NoWork())
    return read["reused_tokens"], prompter.score(Score(input="cow", labels=["a", "b"]), NoWork())


def test_base_and_adapter_keep_what_each_has_read(folder: Path) -> None:
    prompter = Prompter()
    first = [shown(prompter, folder, use_adapter) for use_adapter in (True, False)]
    again = [shown(prompter, folder, use_adapter) for use_adapter in (True, False)]
    assert [reused for reused, _ in first] == [0, 0]
    assert all(reused > 10 for reused, _ in again)
    assert [scores for _, scores in again] == [scores for _, scores in first]
    assert first[0][1] != first[1][1]


def test_what_the_other_has_read_gives_way_where_memory_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompter, refused = Prompter(), []
    shown(prompter, folder, True)
    check = Context._check_memory

    def refuse_once(self: Context, ahead: int) -> None:
        if not refused:
            refused.append(ahead)
            raise FitError("no room")
        check(self, ahead)

    monkeypatch.setattr(Context, "_check_memory", refuse_once)
    assert shown(prompter, folder, False)[0] == 0 and refused
    assert shown(prompter, folder, True)[0] == 0


def test_a_newer_adapter_is_not_taken_for_the_one_in_memory(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "adapter", tmp_path / "adapter")
    source = Source(str(folder), adapter=tmp_path / "adapter")
    loaded = load(source, use_adapter=True)
    before, mark = scores(prefix_of(loaded, SHOTS)), loaded.mark
    weights: Any = mx.load(str(tmp_path / "adapter" / "adapters.safetensors"))
    doubled = {name: 2 * array for name, array in weights.items()}
    mx.save_safetensors(str(tmp_path / "adapter" / "adapters.safetensors"), doubled)
    assert loaded.switch(source, use_adapter=True)
    assert loaded.mark != mark
    assert scores(prefix_of(loaded, SHOTS)) != before
