"""`yofo models`: base models from files of other programs."""

from pathlib import Path

from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.recipe.names import is_file
from yofo_mlx.system.talk import print_path, quoted, say_next


def import_model(file: Path, out: Path | None) -> ExitCode:
    """Write a GGUF file as a model directory, and print where that is."""
    if not is_file(str(file)):
        raise RecipeError(f"there is no file {file}", "give the path of a GGUF file")
    from yofo_mlx.models.gguf.directory import cached, import_gguf

    file = file.expanduser()
    if out is None:
        out = cached(file)
    else:
        import_gguf(file, out)
    print_path(out)
    say_next(f"chat --model {quoted(out)}")
    return ExitCode.OK
