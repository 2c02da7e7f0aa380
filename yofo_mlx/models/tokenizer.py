"""Guard against a converted tokenizer that disagrees with its SentencePiece model."""

from pathlib import Path
from typing import Any

from yofo_mlx.errors import YofoError

# No leading blanks: there, conversions differ by design.
SAMPLES = (
    "Hello world",
    "The quick brown fox, 42 dogs; don't stop!",
    "two  spaces and a\ttab",
    "line one\nline two\n\nline four",
    "naïve café, Größe, ½ €",
    "数据 データ 데이터 данные",
    "def f(x):\n    return x**2  # 🙂",
)


def check_tokenizer(tokenizer: Any, path: Path) -> None:
    """Raise if `tokenizer` and the directory's `tokenizer.model` split a sample differently."""
    model = path / "tokenizer.model"
    if not model.is_file() or (processor := _load(model)) is None:
        return
    for sample in SAMPLES:
        expected = processor.encode(sample)
        found = list(tokenizer.encode(sample, add_special_tokens=False))
        if found != expected:
            raise YofoError(
                f"the tokenizer of {path} splits {sample[:24]!r} into {found[:8]}..., but its"
                f" tokenizer.model says {expected[:8]}...",
                "the conversion is faulty (known of some Mistral files with transformers 5):"
                " use another conversion or revision of the model",
            )


def _load(model: Path) -> Any:
    """Return a SentencePiece processor, None where the file is of another kind (tiktoken)."""
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(model))
    except (RuntimeError, OSError):
        return None
