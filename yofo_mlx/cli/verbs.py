"""Verbs to functions, imports per verb."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from yofo_mlx import __version__
from yofo_mlx.cli import (
    answering,
    data,
    demos,
    disk,
    evaluating,
    exporting,
    groups,
    models,
    opening,
    prompting,
    queueing,
    recipes,
    rehearsing,
    runs,
    selecting,
    serving,
    studying,
    training,
)
from yofo_mlx.hub.errors import check_environment
from yofo_mlx.system import blas, progress

app = typer.Typer(
    name="yofo",
    cls=groups.Verbs,
    help="Fine-tune a language model once; then let it learn from demonstrations.\n\n"
    "Without a verb the terminal app opens.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at data sets, check them, convert, merge.", no_args_is_help=True)
recipes_app = typer.Typer(help="List, copy, write, check, explain recipes.", no_args_is_help=True)
demos_app = typer.Typer(
    help="Sets of demonstrations: list, add, show, check, refine, drop.", no_args_is_help=True
)
queue_app = typer.Typer(help="Train several recipes or values one after another.")
disk_app = typer.Typer(help="What takes room on the disk, and what can go.")
models_app = typer.Typer(help="Models to choose from; base models from GGUF files.")

app.add_typer(data_app, name="data", rich_help_panel=groups.DATA)
app.add_typer(recipes_app, name="recipes", rich_help_panel=groups.DATA)
app.add_typer(models_app, name="models", rich_help_panel=groups.DATA)
app.add_typer(demos_app, name="demos", rich_help_panel=groups.ASK)
app.add_typer(disk_app, name="disk", rich_help_panel=groups.MACHINE)
app.add_typer(queue_app, name="queue", rich_help_panel=groups.TRAIN)
VERBS: dict[str, dict[str, Callable[..., Any]]] = {
    groups.TRAIN: {
        "plan": training.plan,
        "show": training.show,
        "train": training.train,
        "resume": training.resume,
        "rehearse": rehearsing.rehearse,
        "rationales": rehearsing.rationales,
        "select": selecting.select,
    },
    groups.ASK: {
        "eval": evaluating.evaluate,
        "study": studying.study,
        "chat": prompting.chat,
        "classify": answering.classify,
        "ask": answering.ask,
        "serve": serving.serve,
    },
    groups.USE: {"export": exporting.export},
    groups.RUNS: {
        "runs": runs.show,
        "watch": runs.watch,
        "log": runs.log,
        "stop": runs.stop,
        "rename": runs.rename,
        "note": runs.note,
        "rm": runs.remove,
        "restore": runs.restore,
    },
    groups.MACHINE: {"doctor": training.doctor, "mcp": runs.mcp},
}
for panel, verbs in VERBS.items():
    for name, verb in verbs.items():
        app.command(name, rich_help_panel=panel)(verb)
data_app.command()(data.check)
data_app.command()(data.preview)
data_app.command()(data.convert)
data_app.command()(data.merge)
recipes_app.command("list")(recipes.show)
recipes_app.command()(recipes.copy)
recipes_app.command()(recipes.new)
recipes_app.command("import")(recipes.take_over)
recipes_app.command()(recipes.check)
recipes_app.command()(recipes.explain)
demos_app.command("list")(demos.show_all)
demos_app.command()(demos.add)
demos_app.command()(demos.show)
demos_app.command()(demos.check)
demos_app.command()(demos.refine)
demos_app.command()(demos.drop)
models_app.callback(invoke_without_command=True)(models.models)
models_app.command("list")(models.show)
models_app.command("import")(models.import_model)
disk_app.callback(invoke_without_command=True)(disk.disk)
disk_app.command()(disk.free)
disk_app.command()(disk.undo)
queue_app.callback(invoke_without_command=True)(queueing.queue)
queue_app.command()(queueing.add)
queue_app.command("list")(queueing.show)
queue_app.command()(queueing.drop)
queue_app.command()(queueing.retry)
queue_app.command()(queueing.first)
queue_app.command()(queueing.pause)
queue_app.command()(queueing.start)
queue_app.command(hidden=True)(queueing.work)


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
    check_environment()
    if context.invoked_subcommand is None:
        opening.open_app()
    else:
        context.with_resource(progress.on_stderr())
