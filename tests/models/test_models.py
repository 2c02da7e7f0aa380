"""Loading models: embedded, directory, hub; and tokenizers that were converted wrongly."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
import sentencepiece
import transformers
from mlx.utils import tree_flatten
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.models.base import load_base, load_tokenizer, model_config, model_path
from yofo_mlx.models.tokenizer import SAMPLES, check_tokenizer
from yofo_mlx.recipe.schema import Template
from yofo_mlx.system import paths

TINY = model_path("tiny")


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small SentencePiece model and return its file."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    text = folder / "text.txt"
    text.write_text("\n".join([*SAMPLES * 20, *(f"word{i} the fox {i}" for i in range(300))]))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=420,
        model_type="unigram",
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    return folder / "tokenizer.model"


def converted(processor: Path, prepend: str) -> Any:
    """Return a tokenizer made from the SentencePiece model; `always` is the right conversion."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(processor))
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=prepend), decoders.Fuse()]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    )


def test_a_faithful_conversion_passes(processor: Path) -> None:
    check_tokenizer(converted(processor, "always"), processor.parent)


def test_a_conversion_that_splits_otherwise_is_an_error_that_says_so(processor: Path) -> None:
    with pytest.raises(YofoError, match=r"splits 'Hello world' into .* tokenizer\.model says"):
        check_tokenizer(converted(processor, "never"), processor.parent)


def test_a_tokenizer_model_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_text("IQ== 0\nIg== 1\n")
    check_tokenizer(object(), tmp_path)


def test_a_long_text_is_nothing_to_warn_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = logging.getLogger("transformers.tokenization_utils_base")
    monkeypatch.setattr(talk, "handlers", [caplog.handler])
    tokenizer = load_tokenizer(TINY, model_config(TINY))
    assert len(tokenizer.encode("lion " * 5000)) > tokenizer.model_max_length
    assert not caplog.records


def test_segments_of_a_sentencepiece_tokenizer_join_to_the_tokens_of_the_whole(
    processor: Path,
) -> None:
    tokenizer = converted(processor, "always")
    template = Template(input="{input} ->", output=" {output}\n")
    segmenter = Segmenter(tokenizer, template)
    tokens = segmenter.question("the fox", first=True) + segmenter.answer("dogs")
    tokens += segmenter.question("two fox") + segmenter.answer("fox")
    whole = tokenizer.encode("the fox -> dogs\ntwo fox -> fox\n", add_special_tokens=False)
    assert tokenizer.decode(tokens) == tokenizer.decode(whole)
    assert tokens == whole[1:] or tokens == whole  # the very first word may lack its blank


def test_a_model_comes_from_the_hub_by_its_id(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("model", "owner/tiny", files_of(TINY))
    found, expected = load_base("owner/tiny"), load_base("tiny")
    arrays = dict(tree_flatten(expected.model.parameters()))
    for name, array in tree_flatten(found.model.parameters()):
        assert mx.array_equal(array, arrays[name])
    assert found.context == expected.context
    hub.close()
    assert load_base("owner/tiny").path == found.path  # from the cache, the hub is gone


@pytest.mark.parametrize("verb", [pytest.param("show", marks=pytest.mark.long), "doctor"])
def test_to_look_at_a_hub_models_text_its_weights_are_not_fetched(
    hub: HubServer, yofo: Any, verb: str
) -> None:
    hub.add("model", "owner/tiny", files_of(TINY))
    assert yofo(verb, "tiny", "--set", "model=owner/tiny")[0] == 0
    assert any("config.json" in line for line in hub.log)
    assert not any(".safetensors" in line for line in hub.log)


def test_a_hub_model_that_does_not_exist_is_told(hub: HubServer) -> None:
    with pytest.raises(RecipeError, match="model owner/nothing: not on the hub"):
        load_base("owner/nothing")


def test_without_the_hub_the_network_is_named() -> None:
    words = "model owner/nothing: not on this machine, and HF_HUB_OFFLINE is set"
    with pytest.raises(YofoError, match=words):
        load_base("owner/nothing")


@pytest.mark.parametrize("name", ["./nowhere", "a/b/c", "nothing", "/nowhere"])
def test_a_model_that_is_nowhere_is_told(name: str) -> None:
    with pytest.raises(RecipeError, match="there is no model"):
        model_path(name)


def test_a_folder_without_configuration_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no readable config\.json"):
        model_path(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "nonesuch"}, "nonesuch"),
        ({"hidden_size": 64}, "shape"),
        ({"model_file": "evil.py"}, "custom module"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    (folder / "config.json").write_text(json.dumps(model_config(TINY) | change))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(RecipeError, match=words):
        load_base(str(folder))


def test_the_embedded_model_is_small_and_reads_any_text() -> None:
    assert sum(path.stat().st_size for path in TINY.iterdir()) < 4_000_000
    tokenizer = load_tokenizer(TINY, model_config(TINY))
    text = "naïve 数据 🙂 \x00"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)).strip() == text
    assert paths.shipped_recipes().is_dir()
