"""`yofo export`: a run's adapter, or one from elsewhere, in the form of another tool."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.evaluation import subjects
from yofo_mlx.evaluation.subjects import Subject
from yofo_mlx.models.base import load_tokenizer, model_config, model_path
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.template import write_template
from yofo_mlx.recipe.ways import Form
from yofo_mlx.system.files import disk_error, new_folder
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.system.text import printable

CARD = "README.md"
FUSED = ("fused", "gguf", "ollama")  # base and adapter in one


@dataclass(frozen=True)
class ExportRequest:
    """What is to be written, how, and where to."""

    run: str | None
    model: str | None
    adapter: str | None
    form: Form
    out: Path | None = None
    bits: int | None = None
    dequantize: bool = False
    force: bool = False
    repo: str | None = None  # on the hub
    public: bool = False


@dataclass(frozen=True)
class Export:
    """What is exported, and what is known of it."""

    subject: Subject
    recipe: Recipe
    adapter: Path

    def config(self) -> dict[str, object]:
        """Return the base model's configuration, without its weights where they are not here."""
        return model_config(self._small_files())

    def tokenizer(self) -> Any:
        """Return the base model's tokenizer, without its weights too."""
        trusts = self.recipe.trust_remote_code
        return load_tokenizer(self._small_files(), self.config(), trust_remote_code=trusts)

    def _small_files(self) -> Path:
        return model_path(self.recipe.model, self.recipe.revision, weights=False)

    def write_card(self, folder: Path, form: Form, facts: str = "") -> None:
        """Write the card into an export's folder."""
        from yofo_mlx.export.card import card

        text = card(form, self.recipe, self.subject.run, facts)
        (folder / CARD).write_text(text, encoding="utf-8")


def export(request: ExportRequest) -> ExitCode:
    """Write what is asked for into a new folder, print where it is, and upload it if asked to."""
    _check_options(request)
    subject = subjects.find(request.run, request.model, request.adapter)
    subject.check()
    if subject.adapter is None:
        raise RecipeError("a base model alone is not exported", "name a run, or --adapter DIR")
    form: Form = "fused" if request.form == "hub" else request.form
    named = Path(request.adapter or subject.run_id).absolute().name
    out = (request.out or Path(f"{named}-{form}")).absolute()
    if os.path.lexists(out):
        raise RecipeError(f"{out} is there already", "choose another --out, or remove it")
    recipe, notes = subject.recipe()
    for message, hint in notes:
        say(f"warning: {printable(message)}\n  {printable(hint)}")
    if request.repo:
        from yofo_mlx.export.upload import check_upload

        check_upload(request.repo)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(request, form, Export(subject, recipe, subject.adapter), out)
    except OSError as error:
        raise disk_error(error, out.parent, "the same command") from error
    print_path(out)
    if request.repo:
        from yofo_mlx.export.upload import upload

        say(upload(out, request.repo, public=request.public))
    return ExitCode.OK


def _check_options(request: ExportRequest) -> None:
    if request.bits and request.dequantize:
        raise RecipeError("--bits quantizes, --dequantize does not", "give one of them")
    if (request.bits or request.dequantize) and request.form not in ("fused", "hub"):
        raise RecipeError(
            f"--bits and --dequantize are of `--to fused`, not of {request.form}", "leave them out"
        )
    if request.form == "hub" and not request.repo:
        raise RecipeError("--to hub needs a place there", "name it: --repo OWNER/NAME")
    if request.public and not request.repo:
        raise RecipeError("--public is of an upload", "name its place: --repo OWNER/NAME")


def _write(request: ExportRequest, form: Form, what: Export, out: Path) -> None:
    if form in FUSED:
        _write_fused(request, form, what, out)
    elif form == "peft":
        _write_peft(what, out)
    else:
        _write_gguf_adapter(what, out)


def _write_fused(request: ExportRequest, form: Form, what: Export, out: Path) -> None:
    from yofo_mlx.export.fused import check_kept, fused
    from yofo_mlx.export.gguf_model import check_model, write_gguf
    from yofo_mlx.export.ollama import MODEL, modelfile

    for_gguf = form != "fused"
    if for_gguf:
        check_model(what.config(), what.tokenizer())
    with fused(
        what.recipe,
        what.adapter,
        out,
        bits=request.bits,
        dequantize=request.dequantize or for_gguf,
        has_data=what.subject.run is not None,
    ) as made:
        check_kept(made, force=request.force)
        say(f"{made.agreement} ({made.texts})")
        if for_gguf:
            write_gguf(made.folder, made.base.tokenizer, out.name, made.folder / MODEL)
            for file in made.folder.iterdir():
                if file.name != MODEL:
                    file.unlink()
        if form == "ollama":
            text = modelfile(what.recipe, made.base.tokenizer, made.base.context)
            (made.folder / "Modelfile").write_text(text, encoding="utf-8")
        write_template(made.folder, what.recipe.template)
        what.write_card(made.folder, form, f"{made.agreement} ({made.texts}).")
    if form == "fused":
        _say_next(what, f"chat --model {quoted(out)}")
    elif form == "ollama":
        say(f"ollama create {quoted(out.name)} -f {quoted(out / 'Modelfile')}")
    else:
        say(f"llama-cli -m {quoted(out / MODEL)}")


def _write_peft(what: Export, out: Path) -> None:
    from yofo_mlx.export.peft import file_names, write_peft

    recipe = what.recipe
    names = file_names(model_path(recipe.model, recipe.revision))
    with new_folder(out) as folder:
        write_peft(what.adapter, recipe.model, names, folder)
        write_template(folder, what.recipe.template)
        what.write_card(folder, "peft")
    _say_next(what, f"chat --adapter {quoted(out)} --model {quoted(recipe.model)}")


def _say_next(what: Export, words: str) -> None:
    if not what.recipe.template.channel:  # such an adapter says inputs, not answers
        say_next(words)


def _write_gguf_adapter(what: Export, out: Path) -> None:
    from yofo_mlx.export.gguf_adapter import write_gguf_adapter

    with new_folder(out) as folder:
        write_gguf_adapter(what.adapter, what.config(), folder / "adapter.gguf")
        what.write_card(folder, "gguf-adapter")
    say(f"llama.cpp takes it beside its base: --lora {quoted(out / 'adapter.gguf')}")
