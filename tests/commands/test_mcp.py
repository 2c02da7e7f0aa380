"""`yofo mcp`, asked by the official client over standard input and output."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.commands import mcp
from yofo_mlx.commands.given import labels_of
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe


def test_code_of_others_is_not_asked_for_by_an_agent() -> None:
    assert mcp._settings(["train.steps=2"]) == ["--set=train.steps=2"]
    with pytest.raises(RecipeError, match="trust_remote_code"):
        mcp._settings(["trust_remote_code=true"])


def test_labels_are_what_an_agent_says_not_files_nor_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []

    def classified(*words: str) -> str:
        options = dict(word.split("=", 1) for word in words if "=" in word)
        said.append(labels_of([options["--labels"]]))
        Path(options["--out"]).write_text("{}\n")
        return ""

    monkeypatch.setattr(mcp, "_yofo", classified)
    (tmp_path / "secret").write_text("never told")
    names = ["a|b", f"@{tmp_path / 'secret'}", "-x", "é"]
    assert mcp.classify("last", ["text"], [], names) == [{}]
    assert said == [names]
    with pytest.raises(RecipeError, match="line break"):
        mcp.classify("last", ["text"], [], ["a\nb", "c"])
    with pytest.raises(RecipeError, match="no texts"):
        mcp.classify("last", [], [])


@asynccontextmanager
async def connected() -> AsyncIterator[Any]:
    """Start a server as an agent does, and talk to it."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    server = StdioServerParameters(
        command=sys.executable, args=["-m", "yofo_mlx.cli", "mcp"], env=dict(os.environ)
    )
    async with Client(stdio_client(server)) as client:
        yield client


@pytest.mark.long
async def test_a_client_lists_and_reads_runs_and_hears_of_mistakes() -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "served")
    async with connected() as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"list_runs", "read_run", "start", "evaluate", "classify"}
        assert run.run_id in str(await client.call_tool("list_runs", {}))
        read = await client.call_tool("read_run", {"run": "served"})
        assert run.run_id in text(read)
        wrong = await client.call_tool("start", {"recipe": "--help"})
        assert wrong.is_error and "--help" in text(wrong)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_client_trains_a_run_measures_it_and_labels_with_it(tmp_path: Path) -> None:
    settings = [
        "tasks.0.source=tiny:topic-01",
        "tasks.1.source=tiny:new-topic",
        "train.steps=2",
        "episodes.max_tokens=64",
        "evaluation.valid_tasks=0",
        "evaluation.shots=[0,2]",
        "evaluation.queries=2",
    ]
    rows = tmp_path / "rows.csv"
    rows.write_text("input,output\ngood,yes\nbad,no\nfine,yes\nawful,no\n")
    async with connected() as client:
        begun = await client.call_tool(
            "start", {"recipe": "tiny", "settings": settings, "name": "agent"}
        )
        run = Run(Path(begun.content[0].text))
        while run.status() in ("created", "running"):
            await asyncio.sleep(0.2)
        assert run.status() == "finished"
        measured = await client.call_tool("evaluate", {"run": "agent"})
        assert not measured.is_error and json.loads(measured.content[0].text)["tasks"]
        asked = {"run": "agent", "texts": ["great", "a\nb"], "demos": [str(rows)]}
        found = await client.call_tool("classify", asked)
        answers = [json.loads(part.text) for part in found.content]
        assert [row["input"] for row in answers] == asked["texts"]
        assert {row["yofo_label"] for row in answers} <= {"yes", "no"}
        for name, wrong in (("evaluate", {"run": "nobody"}), ("classify", asked | {"texts": []})):
            told = await client.call_tool(name, wrong)
            assert told.is_error and "error: " not in told.content[0].text


def text(result: Any) -> str:
    return json.dumps([getattr(part, "text", "") for part in result.content])
