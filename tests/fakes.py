"""Small stand-ins that keep the real logic: a byte tokenizer, random models, a made-up task."""

from typing import Any

import mlx.core as mx

from yofo_mlx.tasks.task import Example, Task

CHAT_TEMPLATE = "chatml"


class ByteTokenizer:
    """One token a byte, and a few special tokens; renders ChatML-like turns if asked to."""

    def __init__(self, *, chat: bool = False) -> None:
        self.all_special_tokens = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]
        self.bos_token: str | None = "<s>"
        self.eos_token = "</s>"
        self.eos_token_id = 257
        self.chat_template = CHAT_TEMPLATE if chat else None
        self.vocab_size = 256 + len(self.all_special_tokens)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        tokens = [256] if add_special_tokens and self.bos_token else []
        while text:
            special = next((s for s in self.all_special_tokens if text.startswith(s)), None)
            if special:
                tokens.append(256 + self.all_special_tokens.index(special))
                text = text[len(special) :]
            else:
                tokens += text[0].encode("utf-8", "surrogatepass")
                text = text[1:]
        return tokens

    def __call__(self, text: list[str], **options: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [self.encode(one, **options) for one in text]}

    def decode(self, token_ids: list[int]) -> str:
        parts = [
            bytes([t]) if t < 256 else self.all_special_tokens[t - 256].encode() for t in token_ids
        ]
        return b"".join(parts).decode("utf-8", "replace")

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        turns = (f"<|{m['role']}|>\n{m['content']}<|end|>\n" for m in conversation)
        return "<s>" + "".join(turns)


def random_llama(*, layers: int = 2, width: int = 32, vocab: int = 261, seed: int = 0) -> Any:
    """Return a llama with random weights, large enough ones that attention is not uniform."""
    from mlx_lm.models.llama import Model, ModelArgs

    mx.random.seed(seed)
    model = Model(
        ModelArgs(
            model_type="llama",
            hidden_size=width,
            num_hidden_layers=layers,
            intermediate_size=2 * width,
            num_attention_heads=4,
            num_key_value_heads=2,
            rms_norm_eps=1e-5,
            vocab_size=vocab,
            max_position_embeddings=4096,
            tie_word_embeddings=False,
        )
    )
    model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    return model


def sliding_gemma() -> Any:
    """Return a model of one sliding-window and one global layer."""
    from mlx_lm.models.gemma3_text import Model, ModelArgs

    mx.random.seed(1)
    return Model(
        ModelArgs(
            model_type="gemma3_text",
            hidden_size=32,
            num_hidden_layers=2,
            intermediate_size=64,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            query_pre_attn_scalar=8,
            vocab_size=261,
            sliding_window=24,
            sliding_window_pattern=2,
        )
    )


def recurrent_lfm() -> Any:
    """Return a model of one convolution and one attention layer."""
    from mlx_lm.models.lfm2 import Model, ModelArgs

    mx.random.seed(2)
    return Model(
        ModelArgs(
            model_type="lfm2",
            vocab_size=261,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            norm_eps=1e-5,
            conv_bias=False,
            conv_L_cache=3,
            block_dim=32,
            block_ff_dim=64,
            block_multiple_of=32,
            block_ffn_dim_multiplier=1.0,
            block_auto_adjust_ff_dim=False,
            full_attn_idxs=[1],
            rope_theta=1e4,
        )
    )


CACHES = {"plain": random_llama, "sliding": sliding_gemma, "recurrent": recurrent_lfm}
"""Models by what their caches do; only plain ones can always be cut."""


def letters_task(name: str = "letters", count: int = 40) -> Task:
    """Return a task whose answer is the input's first letter doubled."""
    examples = [Example(f"{chr(97 + i % 26)}{i}", chr(97 + i % 26) * 2) for i in range(count)]
    return Task(
        name, "classification", tuple(examples[: count // 2]), test=tuple(examples[count // 2 :])
    )
