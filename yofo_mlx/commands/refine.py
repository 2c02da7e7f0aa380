"""`yofo demos refine`: what a model reads of demonstrations, refined by gradient into a file."""

from pathlib import Path

from yofo_mlx.errors import DataError, ExitCode, RecipeError
from yofo_mlx.prompting import cache_file, demonstrations
from yofo_mlx.prompting.context import interruptible
from yofo_mlx.prompting.fingerprint import fingerprint
from yofo_mlx.prompting.loading import check, find_source, load
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.prompting.refining import check_memory, refine
from yofo_mlx.prompting.selection import balanced
from yofo_mlx.prompting.sides import new_prefix
from yofo_mlx.system.quantities import plural, size
from yofo_mlx.system.talk import print_path, quoted, say, say_next

TOLD = 5  # steps between lines


def refine_set(
    name: str,
    run: str | None,
    model: str | None,
    out: Path | None,
    *,
    shots: int,
    steps: int,
    learning_rate: float,
    batch: int,
    seed: int,
) -> ExitCode:
    """Read demonstrations, refine what is held of them, write it as a prompt cache file."""
    path = (out or Path(f"{Path(name).stem}-refined")).absolute()
    path = path if path.suffix == CACHE_SUFFIX else path.with_name(path.name + CACHE_SUFFIX)
    if path.exists():
        raise RecipeError(f"{path} is there already", "choose another --out, or remove it")
    parsed = demonstrations.read(name)
    if len(parsed.examples) < 2:
        raise DataError(f"{name} holds no two demonstrations", "one has to be explained by others")
    source = find_source(run, model, None)
    check(source, use_adapter=True)
    loaded = load(source, use_adapter=True)
    loaded.base.model.eval()
    prefix = new_prefix(loaded)
    prefix.choose(balanced(parsed.examples, seed)[:shots], parsed.instruction or "")
    shown = plural(len(prefix.demonstrations), "demonstration")
    say(f"{shown}, {plural(len(prefix.tokens), 'token')}")
    prefix.fill(interruptible)
    check_memory(prefix, batch)

    def tell(step: int, loss: float) -> None:
        if step in (1, steps) or step % TOLD == 0:
            say(f"step {step:4}  loss {loss:.3f} behind the others")

    refine(prefix, steps=steps, learning_rate=learning_rate, batch=batch, seed=seed, on_step=tell)
    refined = {"refined": f"{steps} steps at {learning_rate:g}"}
    cache_file.write(path, prefix, fingerprint(loaded), refined)
    say(f"{size(path.stat().st_size)} written")
    print_path(path)
    say_next(f"chat {quoted(*([run] if run else ['--model', model or '']), '--demos', path)}")
    return ExitCode.OK
