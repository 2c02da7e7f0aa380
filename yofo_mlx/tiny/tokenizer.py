"""The embedded tokenizer: whole words of the generator, single bytes for everything else.

Text is mapped byte by byte to printable characters (as GPT-2 does), so any UTF-8 text survives
the round trip. A word has two pieces, with and without the space before it, so that segments
encoded on their own and joined decode to the joined text.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from yofo_mlx.tasks.suite.vocabulary import CLINGING_SIGNS, SPACED_SIGNS, vocabulary

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
SPACE = "\u0120"  # how the byte-level alphabet writes a space


def pieces() -> list[str]:
    """Return all pieces in id order: specials, the 256 bytes, then words and signs."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = vocabulary()
    bare = [word for word in words if len(word) > 1]
    spaced = [SPACE + word for word in words]
    signs = [SPACE + sign for sign in SPACED_SIGNS] + ["->"]
    return list(dict.fromkeys([PAD, BOS, EOS, *alphabet, *spaced, *bare, *signs, *CLINGING_SIGNS]))


def build_tokenizer() -> Tokenizer:
    """Return the tokenizer; bytes cost so much that a whole word always wins."""
    scored = [(piece, -10.0 if len(piece) == 1 else 0.0) for piece in pieces()]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, BOS, EOS])
    begin = [(BOS, tokenizer.token_to_id(BOS))]  # as the documents of its training begin
    tokenizer.post_processor = processors.TemplateProcessing(f"{BOS} $A", special_tokens=begin)
    return tokenizer


def save_tokenizer(directory: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json so that transformers and mlx-lm load them."""
    build_tokenizer().save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
