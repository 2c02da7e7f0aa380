"""A GGUF file as a directory of mlx-lm, made once."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
from tokenizers import Tokenizer

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.models.gguf.header import Header, read_header
from yofo_mlx.models.gguf.shape import configuration
from yofo_mlx.models.gguf.vocabulary import Vocabulary, named_tokens, read_vocabulary, tokenizer
from yofo_mlx.models.gguf.weights import (
    Form,
    arrays,
    best_form,
    check_kinds,
    is_quantized,
    quantization,
)
from yofo_mlx.system import paths, progress
from yofo_mlx.system.arrays import save_arrays
from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.files import (
    digest,
    disk_error,
    new_folder,
    read_object,
    remove_leftovers,
    write_text,
)
from yofo_mlx.system.quantities import size
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import reason

RECORD = "gguf.json"  # what a directory was made from
VERSION = 1  # of this conversion: what an earlier one made is not taken
MOST_BYTES = 4 * 10**9  # of one file of weights
FORMAT = {"format": "mlx"}  # as mlx-lm marks its own files


class Sound(NamedTuple):
    """A GGUF file in which everything was found that a model needs."""

    header: Header
    config: dict[str, Any]
    vocabulary: Vocabulary
    words: Tokenizer


def examine(gguf: Path) -> Sound:
    """Read all of a GGUF file but its weights; what cannot be converted is refused in words."""
    try:
        header = read_header(gguf)
        check_kinds(header)
        config = configuration(header)
        vocabulary = read_vocabulary(header)
        return Sound(header, config, vocabulary, tokenizer(vocabulary))
    except (YofoError, OSError):
        raise
    except Exception as error:  # files that are damaged fail wherever they like
        why = f"it lacks {error}" if isinstance(error, KeyError) else reason(error)
        wrong = f"{gguf} cannot be converted, its parts do not fit together: {why}"
        raise RecipeError(wrong, "copy or download it again") from error


def import_gguf(gguf: Path, out: Path, form: Form | None = None) -> None:
    """Write a GGUF file as a directory that mlx-lm loads; it appears when it is complete.

    Without a `form` its weights are kept as this machine computes fastest.
    """
    if os.path.lexists(out):
        raise RecipeError(f"{out} is there already", "choose another --out, or remove it")
    with _disk_errors(out):
        sound, record = examine(gguf), _stamp(gguf) | {"sha256": digest(gguf)}
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(sound, out, record, form)


def cached(gguf: Path) -> Path:
    """Return the directory of a GGUF file in yofo's own folder, made where it is not there yet.

    A file is known by its content, and by its place, size and time where these are as they were.
    """
    folder, stamp = paths.models(), _stamp(gguf)
    for path in folder.glob(f"*/{RECORD}"):
        if stamp.items() <= read_object(path).items():
            return path.parent
    with _disk_errors(folder):
        record = stamp | {"sha256": digest(gguf)}
        key = f"{record['sha256'][:16]}-{record['device']}{VERSION}"
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if made := next(folder.glob(f"*-{key}"), None):
                write_text(made / RECORD, _json(record))
            else:
                made = folder / f"{gguf.stem[:40]}-{key}"
                _write(examine(gguf), made, record)
    return made


def _write(sound: Sound, out: Path, record: dict[str, Any], form: Form | None = None) -> None:
    header = sound.header
    form = form or best_form(header)
    kinds = ", ".join(sorted({tensor.kind.name for tensor in header.tensors.values()}))
    say(f"{header.path} ({kinds}) is converted {form}, {size(form.nbytes(header))}, into {out}")
    if form == Form(mx.float32) and is_quantized(header):
        say("a CPU computes with that about ten times as fast as with what is quantized")
    with new_folder(out) as folder:
        _write_weights(folder, header, sound.config, form)
        sound.words.save(str(folder / "tokenizer.json"))
        _write_json(folder / "tokenizer_config.json", _of_tokenizer(header, sound.vocabulary))
        _write_json(folder / "config.json", _of_model(sound, form))
        _write_json(folder / RECORD, record)


def _write_weights(folder: Path, header: Header, config: dict[str, Any], form: Form) -> None:
    """Write the weights, in several files where one would be large."""
    total, done = progress.Bytes(form.nbytes(header)), 0
    held: dict[str, mx.array] = {}
    files = 0
    for one in arrays(header, config, form):
        nbytes = sum(array.nbytes for array in one.values())
        if held and sum(array.nbytes for array in held.values()) + nbytes > MOST_BYTES:
            files += 1
            save_arrays(folder / f"model-{files:05}.safetensors", held, FORMAT)
            held.clear()
        held |= one
        done += nbytes
        progress.tell(f"converting {header.path.name}", done, total)
    last = f"model-{files + 1:05}" if files else "model"
    save_arrays(folder / f"{last}.safetensors", held, FORMAT)
    progress.end()


def _of_model(sound: Sound, form: Form) -> dict[str, Any]:
    """Return config.json with the tokens that begin and end a text, and how weights are kept."""
    vocabulary = sound.vocabulary
    named = named_tokens(vocabulary)
    ends = [vocabulary.number(key) for key in ("eos", "eot", "eom")]
    ends = list(dict.fromkeys(end for end in [named.get("eos"), *ends] if end is not None))
    groups = quantization(sound.header, form)
    return {
        **sound.config,
        "bos_token_id": named.get("bos"),
        "eos_token_id": ends[0] if len(ends) == 1 else ends,
        "torch_dtype": str(form.dtype).removeprefix("mlx.core."),
        **({"quantization": groups, "quantization_config": groups} if groups else {}),
    }


def _of_tokenizer(header: Header, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return tokenizer_config.json: the named tokens and the chat template."""
    template = header.about.get("tokenizer.chat_template")
    names = {f"{key}_token": vocabulary.tokens[n] for key, n in named_tokens(vocabulary).items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": header.about[f"{header.architecture}.context_length"],
        "clean_up_tokenization_spaces": False,
        **({"chat_template": template} if template else {}),
        **names,
    }


def _stamp(gguf: Path) -> dict[str, Any]:
    """Return what tells a file from another one, and the ways to convert it apart."""
    about = gguf.stat()
    return {
        "file": str(gguf.resolve()),
        "bytes": about.st_size,
        "mtime_ns": about.st_mtime_ns,
        "device": "cpu" if on_cpu() else "gpu",
        "version": VERSION,
    }


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else converts into a folder; what a killed one left there is removed."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(folder)
        yield


@contextmanager
def _disk_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, place, "the same command") from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(_json(content), encoding="utf-8")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
