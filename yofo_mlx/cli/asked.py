"""Options of the verbs that ask a model behind demonstrations."""

from typing import Annotated, Literal

import typer

from yofo_mlx.recipe.ways import Way

Model = Annotated[str | None, typer.Option(help="Base model, where there is no run.")]
Adapter = Annotated[str | None, typer.Option(metavar="DIR", help="An adapter that is of no run.")]
Base = Annotated[bool, typer.Option("--base", help="Leave the adapter out.")]
Beside = Annotated[
    list[str] | None,
    typer.Option(metavar="SUBJECT", help="Answer with `base`, a run, an adapter too; repeatable."),
]
MakeRoom = Annotated[
    bool,
    typer.Option("--make-room", help="Those beside may forget what they read, for memory."),
]
Choose = Annotated[Way, typer.Option(help="Which demonstrations a query sees, where not all fit.")]
Block = Annotated[
    int | None, typer.Option(min=1, help="Demonstrations in a block; default 50, or what fits.")
]
BlocksShare = Annotated[
    float | None,
    typer.Option(min=0.01, max=1, help="Share of the blocks that a query sees; default 0.3."),
]
Demos = Annotated[
    list[str] | None,
    typer.Option(help="Demonstrations: set, file, folder, hub id, `-`, `inputs:FILE`; repeatable."),
]
Keep = Annotated[
    bool, typer.Option("--keep/--no-keep", help="What is read of a named set stays on disk.")
]
KvBits = Annotated[
    Literal["4", "8"] | None,
    typer.Option(help="Round what stays there: less disk, no longer exact."),
]
Instruction = Annotated[str, typer.Option(help="Sentence before the demonstrations.")]
Shots = Annotated[
    str | None,
    typer.Option(metavar="N|all", help="Show so many, also beyond the training's length."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Chooses and shuffles them; default: the run's.")
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Most tokens of an answer; default 256.")
]


def count_or_all(text: str | None, option: str) -> int | Literal["all"] | None:
    """Return a number that an option says, or `all`; None where it is not given."""
    from yofo_mlx.prompting.choosing import shots_of

    wanted = None if text is None else shots_of(text)
    if text is not None and wanted is None:
        raise typer.BadParameter("a number, or `all`", param_hint=option)
    return wanted
