"""Small tokenizers built as those of known instruct models are.

Letters stand for a vocabulary of hundreds of thousands. What is around it has the models' own form:
added tokens, which of them have a name, what ends everything, the template.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tokenizer_utils import TokenizerWrapper
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.fakes import random_llama

LOOP = "{% for m in messages %}"
END = "{% endfor %}"
CHATML = LOOP + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}" + END
SYSTEM_FIRST = (
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
    "{% set messages = messages[1:] %}{% endif %}"
)
LLAMA = (
    LOOP
    + (
        "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
        "{{ m.content | trim + '<|eot_id|>' }}"
    )
    + END
)
GEMMA = (
    SYSTEM_FIRST
    + "{{ bos_token }}"
    + LOOP
    + (
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}"
        "{{ system + '\n\n' if loop.first and system }}"
        "{{ m.content | trim }}{{ '<end_of_turn>\n' }}"
    )
    + END
)
MISTRAL = (
    "{{ bos_token }}"
    + LOOP
    + (
        "{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
        "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}"
    )
    + END
)
QWEN3 = (
    LOOP
    + (
        "{{ '<|im_start|>' + m.role + '\n' }}"
        "{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
        "{{ m.content + '<|im_end|>\n' }}"
    )
    + END
)
HARMONY = (
    SYSTEM_FIRST
    + (
        "{{ '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}"
        "{% if system %}"
        "{{ '<|start|>developer<|message|># Instructions\n\n' + system + '<|end|>' }}"
        "{% endif %}"
    )
    + LOOP
    + (
        "{% if m.role == 'user' %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}"
        "{% else %}"
        "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}"
        "{{ '<|return|>' if loop.last else '<|end|>' }}{% endif %}"
    )
    + END
)
OLMO = (
    "{{ bos_token }}"
    + LOOP
    + (
        "{% if m.role == 'assistant' %}{{ '<|assistant|>\n' + m.content + eos_token }}"
        "{{ '' if loop.last else '\n' }}{% else %}{{ '<|' + m.role + '|>\n' + m.content + '\n' }}"
        "{% endif %}"
    )
    + END
)
COMMAND = (
    "{{ bos_token }}"
    + LOOP
    + (
        "{% set role = {'user': 'USER', 'assistant': 'CHATBOT', 'system': 'SYSTEM'}[m.role] %}"
        "{{ '<|START_OF_TURN_TOKEN|><|' + role + '_TOKEN|>' + m.content | trim }}"
        "{{ '<|END_OF_TURN_TOKEN|>' }}"
    )
    + END
)


@dataclass(frozen=True)
class Shape:
    """What a model's tokenizer files say."""

    template: str
    end: str  # what ends an answer
    special: str  # added tokens, special ones and others
    added: str = ""
    named: dict[str, str] = field(default_factory=dict)
    ends: str = ""  # config.json's eos_token_id, as texts
    pieces: str = "bytes"  # or SentencePiece's: `first`, `legacy`, `gemma`
    swallow: bool = False  # its special tokens take the blanks after them


SHAPES = {
    "llama 3, early": Shape(
        "{{ bos_token }}" + LLAMA,
        "<|eot_id|>",
        "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|>",
        named={"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
        ends="<|end_of_text|> <|eot_id|>",
    ),
    "llama 3.2": Shape(
        SYSTEM_FIRST
        + "{{ bos_token + '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' }}"
        + "{{ strftime_now('%d %b %Y') + '\n\n' + (system or '') + '<|eot_id|>' }}"
        + LLAMA,
        "<|eot_id|>",
        "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|>"
        " <|eom_id|>",
        named={"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        ends="<|end_of_text|> <|eom_id|> <|eot_id|>",
    ),
    "mistral 0.3": Shape(
        MISTRAL,
        "</s>",
        "<unk> <s> </s> [INST] [/INST] [TOOL_CALLS]",
        named={"bos_token": "<s>", "eos_token": "</s>"},
        ends="</s>",
        pieces="first",
    ),
    "gemma 3": Shape(
        GEMMA,
        "<end_of_turn>",
        "<pad> <eos> <bos> <start_of_turn> <end_of_turn> <image_soft_token>",
        added="<b> \n\n \n",
        named={"bos_token": "<bos>", "eos_token": "<eos>"},
        ends="<eos> <end_of_turn>",
        pieces="gemma",
    ),
    "phi 3": Shape(
        LOOP
        + "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}"
        + END
        + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}",
        "<|end|>",
        "<s> </s> <|endoftext|> <|assistant|> <|system|> <|end|> <|user|>",
        named={"bos_token": "<s>", "eos_token": "<|endoftext|>"},
        ends="<|endoftext|> <|assistant|> <|end|>",
        pieces="legacy",
        swallow=True,
    ),
    "phi 4": Shape(
        LOOP + "{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}" + END,
        "<|im_end|>",
        "<|endoftext|> <|im_start|> <|im_end|> <|im_sep|>",
        named={"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"},
        ends="<|im_end|>",
    ),
    "qwen 2.5": Shape(
        "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nBe good.<|im_end|>\n' }}"
        "{% endif %}" + CHATML,
        "<|im_end|>",
        "<|endoftext|> <|im_start|> <|im_end|>",
        added="<tool_call> </tool_call> <|fim_prefix|>",
        named={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        ends="<|im_end|> <|endoftext|>",
    ),
    "qwen 3": Shape(
        QWEN3,
        "<|im_end|>",
        "<|endoftext|> <|im_start|> <|im_end|>",
        added="<tool_call> </tool_call> <think> </think>",
        named={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        ends="<|im_end|> <|endoftext|>",
    ),
    "gpt-oss": Shape(
        HARMONY,
        "<|end|>",
        "<|startoftext|> <|endoftext|> <|return|> <|channel|> <|start|> <|end|> <|message|>"
        " <|call|>",
        named={"bos_token": "<|startoftext|>", "eos_token": "<|return|>"},
        ends="<|return|> <|endoftext|> <|call|>",
    ),
    "smollm 2": Shape(
        CHATML,
        "<|im_end|>",
        "<|endoftext|> <|im_start|> <|im_end|> <repo_name>",
        named={
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
        },
        ends="<|im_end|>",
    ),
    "olmo 2": Shape(
        OLMO,
        "<|endoftext|>",
        "<|endoftext|> <|pad|> <|fim_prefix|>",
        added="|||EMAIL_ADDRESS|||",
        named={"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
        ends="<|endoftext|>",
    ),
    "command r": Shape(
        COMMAND,
        "<|END_OF_TURN_TOKEN|>",
        "<PAD> <UNK> <BOS_TOKEN> <EOS_TOKEN> <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|>",
        added="<|USER_TOKEN|> <|CHATBOT_TOKEN|> <|SYSTEM_TOKEN|>",
        named={"bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>"},
        ends="<|END_OF_TURN_TOKEN|>",
    ),
}


def build(shape: Shape, *, named: bool = True) -> Any:
    """Return the tokenizer as mlx-lm loads it; `named`: its special tokens have their names."""
    tokenizer = _letters(shape.pieces)
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, rstrip=shape.swallow) for t in shape.special.split(" ")]
    )
    added = shape.added.split(" ") if shape.added else []
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=shape.template or None,
        **(shape.named if named else {}),
    )
    ends = [fast.convert_tokens_to_ids(text) for text in shape.ends.split(" ")]
    return TokenizerWrapper(fast, eos_token_ids=ends)


def _letters(pieces: str) -> Tokenizer:
    """Return a tokenizer of bytes (or of characters, as SentencePiece has them) and a few words."""
    if pieces == "bytes":
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        words, space = ["Ġ" + "y", "ye", "im"], "Ġ"
        tokenizer = Tokenizer(_bpe(alphabet, words))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer
    space = "▁"
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    alphabet += [space, *(chr(code) for code in range(33, 127))]
    tokenizer = Tokenizer(_bpe(alphabet, [space + "y", "ye", "im"], byte_fallback=True))
    parts: list[Any] = [
        decoders.Replace(space, " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    if pieces == "first":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    elif pieces == "legacy":
        steps = [normalizers.Prepend(space), normalizers.Replace(" ", space)]
        tokenizer.normalizer = normalizers.Sequence(steps)
    else:
        tokenizer.normalizer = normalizers.Replace(" ", space)
        parts.pop()
    tokenizer.decoder = decoders.Sequence(parts)
    return tokenizer


def _bpe(alphabet: list[str], words: list[str], **options: Any) -> models.BPE:
    vocabulary = {piece: index for index, piece in enumerate([*alphabet, *words])}
    return models.BPE(vocabulary, [(word[0], word[1]) for word in words], **options)


def write_model(folder: Path, shape: Shape, *, table: int | None = None) -> Any:
    """Write a small random llama with a shape's tokenizer; return that. `table`: its rows."""
    tokenizer = build(shape)
    folder.mkdir(parents=True)
    tokenizer._tokenizer.save_pretrained(folder)
    model = random_llama(vocab=table or len(tokenizer))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    config = {k: v for k, v in vars(model.args).items() if v is not None}
    config |= {"eos_token_id": sorted(tokenizer.eos_token_ids)}
    (folder / "config.json").write_text(json.dumps(config))
    return tokenizer
