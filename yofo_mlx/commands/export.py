"""`yofo export`: a run's adapter, or one from elsewhere, in the form of another tool."""

import os
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.evaluation import subjects
from yofo_mlx.evaluation.subjects import Subject
from yofo_mlx.models.base import model_config, model_path
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.ways import Form
from yofo_mlx.system.files import disk_error, new_folder
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.system.text import printable


@dataclass(frozen=True)
class ExportRequest:
    """What is to be written, and how."""

    run: str | None
    model: str | None
    adapter: str | None
    form: Form
    out: Path | None
    bits: int | None
    dequantize: bool
    force: bool


def export(request: ExportRequest) -> ExitCode:
    """Write what is asked for into a new folder, and print where it is."""
    subject = subjects.find(request.run, request.model, request.adapter)
    subject.check()
    if subject.adapter is None:
        raise RecipeError("a base model alone is not exported", "name a run, or --adapter DIR")
    _check_options(request)
    recipe, notes = subject.recipe()
    for message, hint in notes:
        say(f"warning: {printable(message)}\n  {printable(hint)}")
    out = request.out or Path(f"{Path(subject.run_id).name}-{request.form}")
    if os.path.lexists(out):
        raise RecipeError(f"{out} is there already", "choose another --out, or remove it")
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(request, subject, recipe, subject.adapter, out)
    except OSError as error:
        raise disk_error(error, out) from error
    print_path(out)
    return ExitCode.OK


def _check_options(request: ExportRequest) -> None:
    if request.bits and request.dequantize:
        raise RecipeError("--bits quantizes, --dequantize does not", "give one of them")
    if (request.bits or request.dequantize) and request.form != "fused":
        raise RecipeError(
            f"--bits and --dequantize are of `--to fused`, not of {request.form}", "leave them out"
        )


def _write(
    request: ExportRequest, subject: Subject, recipe: Recipe, adapter: Path, out: Path
) -> None:
    if request.form == "peft":
        _write_peft(subject, recipe, adapter, out)
    elif request.form == "gguf-adapter":
        _write_gguf_adapter(recipe, adapter, out)
    else:
        _write_fused(request, subject, recipe, adapter, out)


def _write_fused(
    request: ExportRequest, subject: Subject, recipe: Recipe, adapter: Path, out: Path
) -> None:
    from yofo_mlx.export.card import write_card
    from yofo_mlx.export.fused import check_kept, fused
    from yofo_mlx.export.gguf_model import check_kind, write_gguf

    for_gguf = request.form in ("gguf", "ollama")
    if for_gguf:
        check_kind(str(model_config(model_path(recipe.model, recipe.revision)).get("model_type")))
    dequantize = request.dequantize or for_gguf
    run = subject.run
    with fused(
        recipe, adapter, out, bits=request.bits, dequantize=dequantize, has_data=run is not None
    ) as (folder, agreement, texts):
        check_kept(agreement, force=request.force)
        say(f"{agreement} ({texts})")
        card = write_card(recipe.model, "fused", recipe, run, str(agreement))
        (folder / "README.md").write_text(card, encoding="utf-8")
        if for_gguf:
            write_gguf(folder, folder / "model.gguf")
            for file in folder.glob("*.safetensors*"):
                file.unlink()
        if request.form == "ollama":
            (folder / "Modelfile").write_text("FROM ./model.gguf\n", encoding="utf-8")
    if request.form == "fused":
        say_next(f"chat --model {quoted(out)}")


def _write_peft(subject: Subject, recipe: Recipe, adapter: Path, out: Path) -> None:
    from yofo_mlx.export.card import write_card
    from yofo_mlx.export.peft import file_names, write_peft

    names = file_names(model_path(recipe.model, recipe.revision))
    with new_folder(out) as folder:
        write_peft(adapter, recipe.model, names, folder)
        card = write_card(recipe.model, "PEFT", recipe, subject.run, "")
        (folder / "README.md").write_text(card, encoding="utf-8")
    say_next(f"chat --adapter {quoted(out)} --model {quoted(recipe.model)}")


def _write_gguf_adapter(recipe: Recipe, adapter: Path, out: Path) -> None:
    from yofo_mlx.export.gguf_adapter import write_gguf_adapter

    config = model_config(model_path(recipe.model, recipe.revision, weights=False))
    with new_folder(out) as folder:
        write_gguf_adapter(adapter, config, folder / "adapter.gguf")
    say(f"llama.cpp takes it beside its base: --lora {quoted(out / 'adapter.gguf')}")
