"""The command line: verbs to functions, imports per verb."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from yofo_mlx import __version__, blas, progress, shell
from yofo_mlx.errors import YofoError

app = typer.Typer(
    name="yofo",
    help="Fine-tune a language model once; then let it learn from demonstrations.\n\n"
    "Without a verb the terminal app opens.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at data sets and check them.", no_args_is_help=True)
recipes_app = typer.Typer(help="List, copy, check and explain recipes.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(recipes_app, name="recipes")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a recipe key; repeatable."),
]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A file, or a shipped recipe's name.")
]
Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="File, folder, hub id, recipe.")
]
Input = Annotated[str | None, typer.Option(help="Column or template of the input.")]
Output = Annotated[str | None, typer.Option(help="Column or template of the answer.")]
Records = Annotated[str | None, typer.Option(help="JSON: dotted path to the list of rows.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of [[tasks]]; repeatable."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background.")]
Restarts = Annotated[
    int, typer.Option(min=0, metavar="N", help="Go on by itself after it died, N times at most.")
]
Force = Annotated[bool, typer.Option("--force", help="Also if it may not fit.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id, a part of it, or `last`.")]


def main() -> None:
    """Run the command line and exit."""
    sys.exit(shell.run(app))


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Open the terminal app where no verb is given."""
    blas.preload()
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        _open_app()
    else:
        context.with_resource(progress.on_stderr())


def _open_app() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise YofoError("the terminal app needs a terminal", "`yofo --help` lists the verbs")
    import importlib

    importlib.import_module("tui.app").main()


@app.command()
def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="Name in the run's id.")] = None,
    detach: Detach = False,
    restarts: Restarts = 0,
    force: Force = False,
) -> int:
    """Train a recipe.

    Ctrl-C once finishes the step and saves, twice leaves the step and saves what was before it.
    A run goes on when its terminal is closed.
    """
    if detach or restarts:
        from yofo_mlx.commands import background

        return background.start(
            recipe,
            overrides or [],
            name=name,
            force=force,
            restarts=restarts,
            attend=not detach,
        )
    from yofo_mlx.commands import train as command

    return command.start(recipe, overrides or [], name=name, force=force)


@app.command()
def resume(
    run: RunName,
    lock: Annotated[int | None, typer.Option(hidden=True)] = None,
    detach: Detach = False,
    restarts: Restarts = 0,
    force: Force = False,
) -> int:
    """Go on with a run from its newest checkpoint, exactly as if it had never stopped."""
    from yofo_mlx.commands import background

    if lock is not None and restarts:
        return background.supervise(run, lock, restarts, force=force)
    if detach or restarts:
        return background.resume(run, force=force, restarts=restarts, attend=not detach)
    from yofo_mlx.commands import train as command

    return command.resume(run, lock, force=force)


@app.command()
def plan(
    recipe: RecipeName,
    overrides: Overrides = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Load the model, time a few steps.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Say what a recipe will need: memory, steps, time.

    No weights are downloaded or loaded without --probe. Ends with 4 if it does not fit.
    """
    from yofo_mlx.commands import plan as command

    return command.plan(recipe, overrides or [], probed=probe, as_json=as_json)


@app.command()
def doctor(
    recipe: Annotated[str | None, typer.Argument(help="Check this recipe's architecture.")] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> int:
    """Check this machine: attention, memory, exact gradients."""
    from yofo_mlx.commands import doctor as command

    return command.doctor(recipe, overrides or [], as_json=as_json)


@app.command(name="eval")
def evaluate(
    run: RunName,
    overrides: Overrides = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Held-out task or kind; repeatable.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture to write (PNG, SVG, PDF).")] = None,
    as_json: Json = False,
) -> int:
    """Measure scores by shots on held-out tasks, base against adapter.

    Each result is kept with the run; one that was interrupted goes on when it is asked again.
    """
    from yofo_mlx.commands import eval as command

    return command.evaluate_run(
        run, overrides or [], only=task or [], as_json=as_json, picture=picture
    )


@app.command()
def runs(as_json: Json = False) -> int:
    """List runs, newest first."""
    from yofo_mlx.commands import runs as command

    return command.show(as_json=as_json)


@app.command()
def watch(run: RunName, as_json: Json = False) -> int:
    """Follow a run from outside; leaving it with Ctrl-C does not hurt it.

    With --json every event is printed on a line of its own.
    """
    from yofo_mlx.commands import watch as command

    return command.watch(run, as_json=as_json)


@app.command()
def stop(run: RunName) -> int:
    """Ask a run to finish its step, save and exit."""
    from yofo_mlx.commands import runs as command

    return command.stop(run)


@app.command()
def show(
    recipe: RecipeName,
    overrides: Overrides = None,
    step: Annotated[int, typer.Option(min=0, help="Update whose first episode is shown.")] = 0,
    as_json: Json = False,
) -> int:
    """Show what is trained, targets coloured."""
    from yofo_mlx.commands import show as command

    return command.show(recipe, overrides or [], step=step, as_json=as_json)


@app.command()
def chat(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Run id or `last`.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model, where there is no run.")] = None,
    demos: Annotated[str | None, typer.Option(help="Demonstrations: file, folder, hub id.")] = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    instruction: Annotated[str, typer.Option(help="Sentence before the demonstrations.")] = "",
    base: Annotated[bool, typer.Option("--base", help="Leave the adapter out.")] = False,
    query: Annotated[list[str] | None, typer.Option(help="Answer and leave; repeatable.")] = None,
    as_json: Json = False,
) -> int:
    """Answer queries from demonstrations in the context."""
    from yofo_mlx.commands import chat as command

    return command.chat(
        run,
        model=model,
        demos=demos,
        input=input,
        output=output,
        records=records,
        instruction=instruction,
        base=base,
        queries=query or [],
        as_json=as_json,
    )


@data_app.command("check")
def data_check(
    paths: Paths,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every line, however many.")] = False,
    as_json: Json = False,
) -> int:
    """Report every problem of data files, folders, hub ids, or a recipe's data sets."""
    from yofo_mlx.commands import data as command

    return command.check(
        paths,
        input=input,
        output=output,
        records=records,
        overrides=keys or [],
        strict=strict,
        every=every,
        as_json=as_json,
    )


@data_app.command("preview")
def data_preview(
    paths: Paths,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    keys: Keys = None,
    as_json: Json = False,
) -> int:
    """Show what yofo reads: columns, counts, labels, examples."""
    from yofo_mlx.commands import data as command

    keys = keys or []
    return command.preview(
        *paths, input=input, output=output, records=records, overrides=keys, as_json=as_json
    )


@recipes_app.command("list")
def recipes_list(as_json: Json = False) -> int:
    """List the recipes that come with yofo."""
    from yofo_mlx.commands import recipes as command

    return command.show(as_json=as_json)


@recipes_app.command("copy")
def recipes_copy(
    name: str, target: Annotated[Path | None, typer.Argument(help="File to write.")] = None
) -> int:
    """Copy a shipped recipe to edit it."""
    from yofo_mlx.commands import recipes as command

    return command.copy(name, target)


@recipes_app.command("check")
def recipes_check(recipe: RecipeName, overrides: Overrides = None) -> int:
    """Validate a recipe and print it as resolved."""
    from yofo_mlx.commands import recipes as command

    return command.check(recipe, overrides or [])


@recipes_app.command("explain")
def recipes_explain(
    key: Annotated[str | None, typer.Argument(help="Section or section.key.")] = None,
    as_json: Json = False,
) -> int:
    """Explain the keys of a recipe with their defaults."""
    from yofo_mlx.commands import recipes as command

    return command.explain(key, as_json=as_json)


if __name__ == "__main__":
    main()
