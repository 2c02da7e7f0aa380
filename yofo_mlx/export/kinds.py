"""Which kinds of adapters other tools have a form for."""

from yofo_mlx.errors import RunError
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.recipe.ways import Form

# What there is for each kind; LoRA goes into all forms.
FORMS: dict[str, tuple[Form, ...]] = {
    "dora": ("fused", "peft", "gguf", "ollama"),
    "ia3": ("fused", "peft", "gguf", "ollama"),
    "bitfit": ("fused", "gguf", "ollama"),
    "bottleneck": (),
}
NAMES = {"dora": "DoRA", "ia3": "(IA)3", "bitfit": "BitFit", "bottleneck": "a bottleneck"}
TOOLS = {"gguf-adapter": "llama.cpp knows LoRA", "peft": "PEFT knows LoRA, DoRA and (IA)3"}


def check_form(lora: Lora, form: Form) -> None:
    """Refuse to write a kind of adapter in a form that has no place for it."""
    kind = lora.fine_tune_type
    if kind == "lora" or form in FORMS[kind]:
        return
    if not FORMS[kind]:
        raise RunError(
            f"{NAMES[kind]} is a layer of its own, which no weight of the base can hold",
            "use it in yofo, or train LoRA for other tools",
        )
    ways = " or ".join(f"`--to {one}`" for one in FORMS[kind][:2] if one != "peft")
    raise RunError(f"{TOOLS[form]}, not {NAMES[kind]}", f"export it fused: {ways}")
