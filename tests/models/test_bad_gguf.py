"""GGUF files that cannot be used: two lines and an exit code, and nothing half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gguf_files import File
from yofo_mlx.errors import YofoError
from yofo_mlx.models.gguf import directory
from yofo_mlx.models.gguf.directory import cached, examine
from yofo_mlx.system import paths


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "model.gguf"
    return File(num_hidden_layers=1).write(path).read_bytes()


def complaint(yofo: Any, file: Path) -> str:
    """Return the two lines that an import ends with; nothing of it is left."""
    out = file.parent / "new" / "out"
    code, stdout, stderr = yofo("models", "import", file, "--out", out)
    assert (code, stdout, len(stderr.splitlines())) == (2, "", 2), stderr
    assert str(file) in stderr.splitlines()[0]
    assert not out.parent.exists()
    return str(stderr)


def dropped(name: str) -> Callable[[File], None]:
    return lambda file: file.tensors.pop(name) and None


def said(key: str, value: Any) -> Callable[[File], None]:
    return lambda file: file.about.update({key: value})


def twice(file: File) -> None:
    file.about["tokenizer.ggml.tokens"][5] = file.about["tokenizer.ggml.tokens"][6]


def out_of_vocabulary(file: File) -> None:
    file.about["tokenizer.ggml.merges"][0] = "not there"


def widened(file: File) -> None:
    file.tensors["blk.0.ffn_up.weight"] = np.zeros((256, 128), np.float32), Kind.F32


def of_unknown_use(file: File) -> None:
    file.tensors["blk.0.attn_sinks.weight"] = np.zeros(4, np.float32), Kind.F32


def other_positions(file: File) -> None:
    file.tensors["rope_freqs.weight"] = np.linspace(1, 5, 32, dtype=np.float32), Kind.F32


def quantized_norm(file: File) -> None:
    file.tensors["output_norm.weight"] = np.zeros(8 * 34, np.uint8), Kind.Q8_0


def ternary(file: File) -> None:
    file.tensors["output.weight"] = np.zeros((400, 256), np.int8), Kind.I8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (said("general.architecture", "mamba"), "architecture 'mamba'"),
        (said("general.type", "adapter"), "'adapter', not a model"),
        (said("split.count", 3), "one of 3 parts"),
        (said("general.alignment", 12), "its alignment is 12"),
        (said("llama.context_length", "long"), "its context_length is 'long'"),
        (said("llama.context_length", True), "its context_length is True"),
        (said("llama.rope.freq_base", 0.0), "its rope.freq_base is 0.0"),
        (said("llama.rope.freq_base", [1, 2]), "its rope.freq_base is [1, 2]"),
        (said("llama.attention.layer_norm_rms_epsilon", float("nan")), "rms_epsilon is nan"),
        (said("tokenizer.chat_template", [1, 2]), "its chat template is no text"),
        (said("llama.expert_count", 8), "llama.expert_count = 8"),
        (said("llama.attention.sliding_window", 16), "sliding_window is 16"),
        (said("llama.attention.head_count", [4, 2]), "cannot be converted"),
        (said("llama.attention.head_count", 0), "cannot be converted"),
        (said("llama.block_count", 2**31), "it says 2147483648 blocks, has 1"),
        (said("llama.embedding_length", 128), "the model has (400, 128)"),
        (said("llama.rope.dimension_count", 32), "rope.dimension_count is 32"),
        (said("llama.rope.scaling.type", "longrope"), "'longrope'"),
        (said("tokenizer.ggml.pre", "no-such"), "the tokenizer 'no-such' splits"),
        (said("tokenizer.ggml.pre", "default"), "the tokenizer 'default' splits"),
        (said("tokenizer.ggml.model", "bert"), "the tokenizer 'bert'"),
        (said("tokenizer.ggml.token_type", [1, 3]), "do not fit together"),
        (said("tokenizer.ggml.tokens", 7), "cannot be converted"),
        (twice, "do not fit together"),
        (out_of_vocabulary, "cannot be converted"),
        (dropped("blk.0.ffn_up.weight"), "lacks model.layers.0.mlp.up_proj.weight"),
        (dropped("token_embd.weight"), "cannot be converted"),
        (widened, "mlp.up_proj.weight is (256, 128)"),
        (of_unknown_use, "blk.0.attn_sinks.weight"),
        (other_positions, "not those of a Llama 3"),
        (quantized_norm, "output_norm.weight is no matrix"),
        (ternary, "quantization I8 of output.weight"),
    ],
)
def test_a_file_that_would_be_misread_is_refused(
    change: Callable[[File], None], words: str, tmp_path: Path, yofo: Any
) -> None:
    file = File(num_hidden_layers=1)
    change(file)
    assert words in complaint(yofo, file.write(tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (0, b"PK\3\4", "does not begin with the letters GGUF"),
        (4, b"\1\0\0\0", "version 1"),
        (8, b"\xff" * 8, "model.gguf"),  # the number of tensors: weights are read as their names
        (16, b"\xff" * 8, "model.gguf"),
        (24, b"\xff" * 8, "ends within its header"),  # the length of the first key
    ],
)
def test_a_header_that_cannot_be_is_refused(
    offset: int, value: bytes, words: str, sound: bytes, tmp_path: Path, yofo: Any
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(sound[:offset] + value + sound[offset + len(value) :])
    assert words in complaint(yofo, file)


def test_an_unknown_quantization_is_named(sound: bytes, tmp_path: Path, yofo: Any) -> None:
    name = b"output_norm.weight"
    kind = sound.index(name) + len(name) + 4 + 8  # after the number of axes and one length
    file = tmp_path / "model.gguf"
    file.write_bytes(sound[:kind] + (77).to_bytes(4, "little") + sound[kind + 4 :])
    assert "output_norm.weight has the unknown quantization 77" in complaint(yofo, file)


@pytest.mark.parametrize("kept", [0, 3, 20, 100, 3000, -1])
def test_a_truncated_file_is_refused(kept: int, sound: bytes, tmp_path: Path, yofo: Any) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(sound[:kept])
    complaint(yofo, file)


@given(st.data())
@settings(max_examples=60)
def test_any_damage_to_the_header_is_told_in_words(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 1500) | st.integers(0, sound.index(b"output_norm") + 99))
        damaged[place] = data.draw(st.integers(0, 255))
    file.write_bytes(damaged)
    try:
        examine(file)
    except YofoError as error:
        assert error.hint and "\n" not in error.message


def test_what_is_there_is_not_written_over(sound: bytes, tmp_path: Path, yofo: Any) -> None:
    (tmp_path / "model.gguf").write_bytes(sound)
    (tmp_path / "out").mkdir()
    code, _, err = yofo("models", "import", tmp_path / "model.gguf", "--out", tmp_path / "out")
    assert code == 2 and "is there already" in err
    assert not list((tmp_path / "out").iterdir())


def test_a_full_disk_leaves_nothing_behind(
    sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yofo: Any
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "save_arrays", full)
    (tmp_path / "model.gguf").write_bytes(sound)
    code, out, err = yofo("models", "import", tmp_path / "model.gguf")
    assert (code, out) == (1, "") and "is full" in err
    assert [path.name for path in paths.models().iterdir()] == [".lock"]


def test_an_interrupted_conversion_leaves_no_model(
    sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(directory, "save_arrays", stopped)
    (tmp_path / "model.gguf").write_bytes(sound)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path / "model.gguf")
    assert [path.name for path in paths.models().iterdir()] == [".lock"]
