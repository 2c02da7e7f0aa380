"""A tokenizer as a GGUF file's metadata: what models/gguf/vocabulary.py reads, written.

llama.cpp knows by a name how to split words before any merge. It is found by trying: a tokenizer
made from the metadata alone has to give the tokens of the real one on texts that tell them apart.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from yofo_mlx.errors import RunError
from yofo_mlx.models.gguf import vocabulary as reading
from yofo_mlx.models.gguf.vocabulary import SPLITTINGS, Vocabulary

NORMAL, UNUSED = 1, 5
TEXTS = (
    "I'm sure you'll say we've DON'T, She'S; it's 'tis",
    "1 12 123 1234567 3.14159 10,000 ½ x2 a1b22c333 ٣٤٥",
    " leading,  two   three\t\ttabs \n\n\n lines\r\n\r\n end   ",
    "!!!\n\n??? ...\n/* code */ if (x[0]!=y) { return -1; }\n\n\n    indented",
    "naïve café Größe cafe\u0301 A\u030a n\u0303o \ufb01",
    "数据 данные бесплатно データ 한국어 ภาษาไทย हिन्दी عربي",
    "🙂👍🏽 \u200d \u00a0 \u2028 mixed语言text",
    "",
    "x",
)


def vocabulary_of(tokenizer: Any, config: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return a tokenizer's metadata by key, without `tokenizer.`; one that none tells is refused.

    `rows`: of the embeddings, each of which gets a token.
    """
    backend = tokenizer.backend_tokenizer
    made = json.loads(backend.to_str())
    model = made["model"]
    if model["type"] != "BPE":
        raise _refused(f"it is of the kind {model['type']}, not BPE")
    tokens, types = _tokens(backend, made, rows)
    about = {
        "model": "llama" if model["byte_fallback"] else "gpt2",
        **_named(tokenizer, config, rows),
        **_surround(tokenizer, backend),
    }
    merges = [one if isinstance(one, list) else one.split(" ") for one in model["merges"]]
    for own in _candidates(about, tokens, merges):
        if _says_the_same(backend, Vocabulary(tokens, types, own)):
            found = {"ggml.tokens": tokens, "ggml.token_type": types}
            found |= {f"ggml.{key}": value for key, value in own.items()}
            template = getattr(tokenizer, "chat_template", None)
            return found | ({"chat_template": template} if isinstance(template, str) else {})
    raise _refused("llama.cpp knows no tokenizer that splits text as it does")


def _refused(why: str) -> RunError:
    return RunError(
        f"the model's tokenizer goes into no GGUF file of yofo's: {why}",
        "export `--to fused`, and convert that with llama.cpp's convert_hf_to_gguf",
    )


def _tokens(backend: Any, made: dict[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """Return the text and the type of each token."""
    known = {number: token for token, number in backend.get_vocab(True).items() if number < rows}
    tokens = [known.get(number, f"[PAD{number}]") for number in range(rows)]
    types = [NORMAL if number in known else UNUSED for number in range(rows)]
    if made["model"]["byte_fallback"]:
        for number, token in known.items():
            if len(token) == 6 and token.startswith("<0x"):
                types[number] = reading.BYTE
    for added in (one for one in made["added_tokens"] if one["id"] < rows):
        types[added["id"]] = reading.CONTROL if added["special"] else reading.USER_DEFINED
    unknown = made["model"].get("unk_token")
    if made["model"]["byte_fallback"] and unknown is not None:
        types[tokens.index(unknown)] = reading.UNKNOWN
    return tokens, types


def _named(tokenizer: Any, config: dict[str, Any], rows: int) -> dict[str, int]:
    """Return the tokens that have a part; of several that end a text, each has its own."""
    ends = config.get("eos_token_id", tokenizer.eos_token_id)
    ends = ends if isinstance(ends, list) else [ends]
    numbers = {
        "bos": tokenizer.bos_token_id,
        "unknown": tokenizer.unk_token_id,
        "padding": tokenizer.pad_token_id,
        **dict(zip(("eos", "eot", "eom"), ends, strict=False)),
    }
    return {f"{key}_token_id": one for key, one in numbers.items() if one in range(rows)}


def _surround(tokenizer: Any, backend: Any) -> dict[str, bool]:
    """Return whether a text gets a token at its beginning, and at its end."""
    bare, whole = (backend.encode("x", add_special_tokens=kind).ids for kind in (False, True))
    begins = whole[:1] == [tokenizer.bos_token_id] != bare[:1]
    ends = whole[-1:] == [tokenizer.eos_token_id] != bare[-1:]
    return {"add_bos_token": begins, "add_eos_token": ends}


def _candidates(
    about: dict[str, Any], tokens: list[str], merges: list[list[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the metadata to try."""
    if about["model"] == "gpt2":
        joined = [" ".join(pair) for pair in merges]
        names = {splitting: pre for pre, splitting in reversed(SPLITTINGS.items())}
        for pre in reversed(names.values()):
            yield about | {"pre": pre, "merges": joined}
        return
    ranks = {first + second: -rank for rank, (first, second) in reversed([*enumerate(merges)])}
    scores = [float(ranks.get(token, -len(merges))) for token in tokens]
    for begins in (True, False):
        yield about | {"pre": "default", "scores": scores, "add_space_prefix": begins}


def _says_the_same(backend: Any, found: Vocabulary) -> bool:
    """Tell whether the tokenizer that metadata describe gives the tokens of the real one."""
    made = reading.tokenizer(found)
    special = found.of_type(reading.CONTROL)[:8]
    marked = "a".join([*special, ""]) if special else ""
    texts = (*TEXTS, marked, *(f"{a} {b}" for a, b in pairwise(TEXTS)))
    return all(backend.encode(text).ids == made.encode(text).ids for text in texts)
