"""The verb that answers from demonstrations."""

from typing import Annotated

import typer

from yofo_mlx.cli.asked import (
    Adapter,
    Base,
    Beside,
    Block,
    BlocksShare,
    Choose,
    Demos,
    Instruction,
    Keep,
    KvBits,
    MakeRoom,
    MaxTokens,
    Model,
    Seed,
    Shots,
    count_or_all,
)
from yofo_mlx.cli.options import Input, Json, Output, Records, Subject


def chat(
    run: Subject = None,
    model: Model = None,
    adapter: Adapter = None,
    demos: Demos = None,
    input: Input = None,
    output: Output = None,
    records: Records = None,
    instruction: Instruction = "",
    base: Base = False,
    beside: Beside = None,
    make_room: MakeRoom = False,
    shots: Shots = None,
    seed: Seed = None,
    choose: Choose = "balanced",
    block: Block = None,
    blocks_share: BlocksShare = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Answer with the likeliest of these; repeatable.")
    ] = None,
    max_tokens: MaxTokens = None,
    query: Annotated[list[str] | None, typer.Option(help="Answer and leave; repeatable.")] = None,
    keep: Keep = True,
    kv_bits: KvBits = None,
    health: Annotated[
        bool, typer.Option("--health", help="Tell how good the demonstrations are, and leave.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Answer queries from demonstrations in the context."""
    from yofo_mlx.commands import chat as command

    return command.chat(
        run,
        model=model,
        adapter=adapter,
        demos=demos or [],
        input=input,
        output=output,
        records=records,
        instruction=instruction,
        base=base,
        beside=beside or [],
        make_room=make_room,
        shots=count_or_all(shots, "--shots"),
        seed=seed,
        way=choose,
        block=block,
        blocks_share=blocks_share,
        labels=label or [],
        max_tokens=max_tokens,
        queries=query or [],
        health=health,
        as_json=as_json,
        keeps=keep,
        kv_bits=int(kv_bits) if kv_bits else None,
    )
