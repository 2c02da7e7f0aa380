"""The verb that answers other programs."""

from typing import Annotated

import typer

from yofo_mlx.cli.asked import Adapter, Base, Beside, Keep, KvBits, Model, Seed, Shots, count_or_all
from yofo_mlx.cli.options import Subject


def serve(
    run: Subject = None,
    demos: Annotated[
        list[str] | None,
        typer.Option(metavar="SET", help="Set to pin, asked as `run:set`; repeatable."),
    ] = None,
    model: Model = None,
    adapter: Adapter = None,
    base: Base = False,
    beside: Beside = None,
    shots: Shots = None,
    seed: Seed = None,
    keep: Keep = True,
    kv_bits: KvBits = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine with a key only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    key: Annotated[
        str | None,
        typer.Option(envvar="YOFO_SERVE_KEY", help="What clients have to send as their API key."),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Web pages that may ask (CORS); repeatable."),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens that an answer may have.")
    ] = 4096,
    at_once: Annotated[int, typer.Option(min=1, help="Answers written side by side.")] = 16,
    waiting: Annotated[
        int, typer.Option(min=0, help="Requests that may wait; more are turned away (429).")
    ] = 256,
) -> int:
    """Answer other programs over HTTP, as OpenAI's interface does."""
    from yofo_mlx.commands import serve as command

    kept = (beside or [], keep, int(kv_bits) if kv_bits else None)
    shown = (demos or [], count_or_all(shots, "--shots"), seed)
    asked = command.Host(run, model, adapter, base, *shown, *kept)
    limits = (max_tokens, at_once, waiting)
    return command.serve(asked, command.Listening(host, port, key, origin or [], *limits))
