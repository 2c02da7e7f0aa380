"""The tokenizer in a GGUF file's metadata, as tokenizer.json: it splits as llama.cpp does.

By the public parts of the library tokenizers. What transformers and gguf2mlx make of a GGUF file
splits words by another model's rules wherever they do not know its `pre`.
"""

from dataclasses import dataclass
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from yofo_mlx.errors import RecipeError
from yofo_mlx.models.gguf.header import Header

UNKNOWN, CONTROL, USER_DEFINED, BYTE = 2, 3, 4, 6  # token types
BLANK = "▁"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Splitting:
    """How text is cut into words before any merge."""

    pattern: str = ""  # none: GPT-2's, which tokenizers has
    lone_digits: bool = False
    whole_words: bool = False  # a word that is a token is not put together from parts
    begins: bool = False  # with the BOS, unless the file says otherwise
    composed: bool = False  # characters and their accents made one (NFC)


SPLITTINGS = {
    **dict.fromkeys(("gpt-2", "olmo"), Splitting()),
    **dict.fromkeys(("smollm", "starcoder", "refact", "minerva-7b"), Splitting(lone_digits=True)),
    **dict.fromkeys(
        ("llama-bpe", "llama3", "llama-v3", "falcon3"),
        Splitting(LLAMA3, whole_words=True, begins=True),
    ),
    "smaug-bpe": Splitting(LLAMA3),
    "tekken": Splitting(TEKKEN, whole_words=True, begins=True),
    "qwen2": Splitting(QWEN2, composed=True),
    "deepseek-r1-qwen": Splitting(QWEN2),
}


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a file, and what it says of them."""

    tokens: list[str]
    types: list[int]
    about: dict[str, Any]  # by key, without `tokenizer.ggml.`

    def of_type(self, *types: int) -> list[str]:
        """Return the tokens of some types."""
        return [token for token, kind in zip(self.tokens, self.types, strict=True) if kind in types]

    def number(self, key: str, default: int | None = None) -> int | None:
        """Return the id of a named token, such as `bos`."""
        found = self.about.get(f"{key}_token_id", default)
        return found if type(found) is int and 0 <= found < len(self.tokens) else None


def read_vocabulary(header: Header) -> Vocabulary:
    """Return the vocabulary of a file; one that yofo would split otherwise is refused."""
    prefix = "tokenizer.ggml."
    about = {
        key.removeprefix(prefix): value
        for key, value in header.about.items()
        if key.startswith(prefix)
    }
    kind, pre = about.get("model"), about.get("pre")
    hint = "look for the model as safetensors, with its own tokenizer.json"
    if kind not in ("gpt2", "llama"):
        raise RecipeError(f"{header.path}: yofo does not know the tokenizer {kind!r}", hint)
    if kind == "gpt2" and pre not in SPLITTINGS:
        wrong = (
            f"{header.path}: yofo does not know how the tokenizer {pre!r} splits text into words"
        )
        raise RecipeError(wrong, hint)
    tokens = about.get("tokens") or []
    vocabulary = Vocabulary(tokens, about.get("token_type") or [1] * len(tokens), about)
    needed = {"gpt2": "merges", "llama": "scores"}[kind]
    lengths = {"token_type": len(vocabulary.types), "scores": len(about.get("scores", tokens))}
    if (
        len(set(tokens)) != len(tokens)
        or not tokens
        or len(tokens) > header.tensors["token_embd.weight"].shape[0]
        or any(length != len(tokens) for length in lengths.values())
        or needed not in about
    ):
        raise RecipeError(
            f"{header.path}: its tokens, types and {needed} do not fit together", hint
        )
    return vocabulary


def tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """Return the tokenizer: byte-level BPE, or SentencePiece's with scores."""
    is_gpt2 = vocabulary.about["model"] == "gpt2"
    found = _byte_level(vocabulary) if is_gpt2 else _sentencepiece(vocabulary)
    special = vocabulary.of_type(CONTROL, UNKNOWN)
    found.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in special])
    own = vocabulary.of_type(USER_DEFINED)
    found.add_tokens([AddedToken(one, special=False, normalized=False) for one in own])
    _surround(found, vocabulary)
    return found


def named_tokens(vocabulary: Vocabulary) -> dict[str, int]:
    """Return the ids of the tokens that have a part: beginning, end, unknown, padding."""
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    defaults = {"bos": 1, "eos": 2, "unk": 0} if vocabulary.about["model"] == "llama" else {}
    found = {key: vocabulary.number(name, defaults.get(key)) for key, name in names.items()}
    return {key: number for key, number in found.items() if number is not None}


def _byte_level(vocabulary: Vocabulary) -> Tokenizer:
    splitting = SPLITTINGS[vocabulary.about["pre"]]
    merges = [tuple(pair.split(" ")) for pair in vocabulary.about["merges"]]
    numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
    found = Tokenizer(models.BPE(vocab=numbers, merges=merges, ignore_merges=splitting.whole_words))
    steps: list[Any] = []
    if splitting.lone_digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    if splitting.pattern:
        steps.append(pre_tokenizers.Split(Regex(splitting.pattern), behavior="isolated"))
    own = not splitting.pattern
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own))
    found.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if splitting.composed:
        found.normalizer = normalizers.NFC()
    found.decoder = decoders.ByteLevel()
    return found


def _sentencepiece(vocabulary: Vocabulary) -> Tokenizer:
    numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
    unknown = vocabulary.of_type(UNKNOWN)
    found = Tokenizer(
        models.BPE(
            vocab=numbers,
            merges=_merges(vocabulary, numbers),
            unk_token=unknown[0] if unknown else None,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    begins = vocabulary.about.get("add_space_prefix", True)
    blanks = normalizers.Replace(" ", BLANK)
    found.normalizer = normalizers.Sequence(
        [normalizers.Prepend(BLANK), blanks] if begins else [blanks]
    )
    decoding = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    found.decoder = decoders.Sequence(
        [*decoding, decoders.Strip(" ", 1, 0)] if begins else decoding
    )
    return found


def _merges(vocabulary: Vocabulary, numbers: dict[str, int]) -> list[tuple[str, str]]:
    """Return every way to put a token together from two, the tokens with high scores first."""
    apart = set(vocabulary.of_type(UNKNOWN, CONTROL, BYTE))
    scores = vocabulary.about["scores"]
    order = sorted(range(len(scores)), key=lambda number: -scores[number])
    return [
        (token[:cut], token[cut:])
        for token in (vocabulary.tokens[number] for number in order)
        if token not in apart
        for cut in range(1, len(token))
        if not {token[:cut], token[cut:]} & apart
        and token[:cut] in numbers
        and token[cut:] in numbers
    ]


def _surround(found: Tokenizer, vocabulary: Vocabulary) -> None:
    """Have the tokenizer add the tokens that the file wants at the beginning and at the end."""
    about, named = vocabulary.about, named_tokens(vocabulary)
    begins = about["model"] == "llama" or SPLITTINGS[about["pre"]].begins
    wanted = {
        "bos": about.get("add_bos_token", begins) and "bos" in named,
        "eos": about.get("add_eos_token", False) and "eos" in named,
    }
    if not any(wanted.values()):
        return
    texts = {key: vocabulary.tokens[named[key]] for key, is_wanted in wanted.items() if is_wanted}
    found.post_processor = processors.TemplateProcessing(
        single=[
            *([texts["bos"]] if "bos" in texts else []),
            "$A",
            *([texts["eos"]] if "eos" in texts else []),
        ],
        special_tokens=[(text, named[key]) for key, text in texts.items()],
    )
