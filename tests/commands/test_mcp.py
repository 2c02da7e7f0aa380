"""`yofo mcp`, asked by the official client over standard input and output."""

import json
import os
import sys
from typing import Any

import pytest

from yofo_mlx.commands import mcp
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch
from yofo_mlx.runs.recipe import load_recipe


def test_code_of_others_is_not_asked_for_by_an_agent() -> None:
    assert mcp._settings(["train.steps=2"]) == ["--set=train.steps=2"]
    with pytest.raises(RecipeError, match="trust_remote_code"):
        mcp._settings(["trust_remote_code=true"])


@pytest.mark.long
async def test_a_client_lists_and_reads_runs_and_hears_of_mistakes() -> None:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    run = launch.create_run(load_recipe(find_recipe("tiny")), "served")
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "yofo_mlx.cli", "mcp"], env=dict(os.environ)
    )
    async with Client(stdio_client(server)) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"list_runs", "read_run", "start", "evaluate", "classify"}
        assert run.run_id in str(await client.call_tool("list_runs", {}))
        read = await client.call_tool("read_run", {"run": "served"})
        assert run.run_id in text(read)
        wrong = await client.call_tool("start", {"recipe": "--help"})
        assert wrong.is_error and "--help" in text(wrong)


def text(result: Any) -> str:
    return json.dumps([getattr(part, "text", "") for part in result.content])
