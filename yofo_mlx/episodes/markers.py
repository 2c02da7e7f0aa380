"""A model's markers: texts that its tokenizer turns into one control token each.

They are read from the tokenizer, not from the few that have a name: a turn's end is often none of
those.
"""

import re
from typing import Any

# Written in signs, as `<tool_call>` or `[INST]` is; other tokens that were merely added are words.
_IN_SIGNS = re.compile(r"[^\w\s].*\w.*[^\w\s]", re.DOTALL)


def find_markers(tokenizer: Any, rendered: str = "") -> dict[str, int]:
    """Return the token ids of the markers by their text.

    Those are the special tokens, what ends everything, and of the tokens that were merely added
    those that are no words: the ones in signs, and the ones that a `rendered` template uses.
    """
    ends = end_ids(tokenizer)
    written = frozenset(tokenizer.encode(rendered, add_special_tokens=False))
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    found = {
        token.content: index
        for index, token in added.items()
        if token.special or index in ends or _IN_SIGNS.fullmatch(token.content) or index in written
    }
    named = [*tokenizer.all_special_tokens, *(tokenizer.decode([index]) for index in ends)]
    for text in named:
        if text and text not in found:
            tokens = tokenizer.encode(text, add_special_tokens=False)
            found |= {text: tokens[0]} if len(tokens) == 1 else {}
    # Blanks are ordinary text, also where a run of them was added as a token.
    return {text: index for text, index in found.items() if text.strip() or index in ends}


def end_ids(tokenizer: Any) -> frozenset[int]:
    """Return the ids of the tokens with which a model ends everything."""
    ids = getattr(tokenizer, "eos_token_ids", None)
    if ids is None:
        ids = getattr(tokenizer, "eos_token_id", None)
    return frozenset([ids] if isinstance(ids, int) else ids or ())


def begin_ids(tokenizer: Any) -> list[int]:
    """Return the tokens that the tokenizer itself puts before a text."""
    bare = list(tokenizer.encode("a", add_special_tokens=False))
    whole = list(tokenizer.encode("a", add_special_tokens=True))
    starts = range(len(whole) - len(bare) + 1)
    return whole[: next((at for at in starts if whole[at : at + len(bare)] == bare), 0)]
