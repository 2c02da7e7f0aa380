"""Adapters as they lie on the disk, in mlx-lm's form: nothing is loaded, MLX is not imported."""

from pathlib import Path

from yofo_mlx.errors import RunError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapters.safetensors"
TEMPLATE_FILE = "yofo_template.json"
PEFT_FILES = ("adapter_model.safetensors", "adapter_model.bin")


def check_files(folder: Path) -> None:
    """Refuse a folder without an adapter in mlx-lm's form."""
    if (folder / WEIGHTS_FILE).is_file() and (folder / CONFIG_FILE).is_file():
        return
    if any((folder / name).is_file() for name in PEFT_FILES):
        raise RunError(
            f"the adapter in {folder} is in PEFT's form, which MLX does not read",
            f"bring it into mlx-lm's form first: {WEIGHTS_FILE} and {CONFIG_FILE}",
        )
    raise RunError(
        f"there is no adapter in {folder}",
        f"an adapter is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}",
    )
