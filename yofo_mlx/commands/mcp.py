"""`yofo mcp`: what a program with the Model Context Protocol may do here; nothing that deletes.

Each tool is a verb in a process of its own: it is checked and answered as on the command line, and
a model that runs out of memory takes no server with it.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode, RecipeError, YofoError
from yofo_mlx.system import child

WORDS = "Fine-tune a language model with many-shot episodes; look at runs, measure and ask them."


def serve() -> ExitCode:
    """Answer on standard input and output until the client leaves."""
    try:
        from mcp.server import MCPServer
    except ImportError as error:
        raise YofoError(f"the MCP server needs more: {error}", "pip install 'yofo[mcp]'") from error
    server = MCPServer("yofo", instructions=WORDS, log_level="ERROR")
    for tool in (list_runs, read_run, start, evaluate, classify):
        server.add_tool(_in_words(tool))
    server.run("stdio")
    return ExitCode.OK


def _in_words(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Return a tool whose mistakes the client is told, without a traceback."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    def told(*given: Any, **named: Any) -> Any:
        try:
            return tool(*given, **named)
        except YofoError as error:
            raise ToolError(f"{error.message}\n{error.hint}") from error

    return told


def list_runs() -> Any:
    """List all runs with their state and figures, newest first."""
    return json.loads(_yofo("runs", "--json"))


def read_run(run: str) -> Any:
    """Read one run in full: recipe, data, training, evaluations, what can be done next.

    `run` is a run's id, a part of it, or `last`.
    """
    return json.loads(_yofo("runs", "--json", "--", run))


def start(recipe: str, settings: list[str] | None = None, name: str | None = None) -> str:
    """Train a recipe (a file, or a shipped one's name) in the background; return the run's folder.

    `settings` are SECTION.KEY=VALUE, such as `train.steps=200`.
    """
    words = ["train", "--detach", *_settings(settings)]
    words += ["--name", name] if name else []
    return _yofo(*words, "--", recipe).strip()


def evaluate(run: str, settings: list[str] | None = None) -> Any:
    """Measure a run's accuracy by shots beside its base model; takes minutes."""
    return json.loads(_yofo("eval", "--json", *_settings(settings), "--", run))


def classify(run: str, texts: list[str], demos: list[str], labels: list[str] | None = None) -> Any:
    """Label texts with a run, after demonstrations; return labels and probabilities.

    `demos` are names of kept sets (`yofo demos`), files, or tasks of the run.
    """
    if not texts:
        raise RecipeError("there are no texts", "give one or more")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, out = folder / "texts.jsonl", folder / "answers.jsonl"
        _write_lines(data, [json.dumps({"input": text}) for text in texts])
        words = ["classify", f"--data={data}", f"--out={out}"]
        words += [f"--demos={one}" for one in demos]
        words += _literally(labels, folder / "labels.txt") if labels else []
        _yofo(*words, "--", run)
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def _literally(labels: list[str], file: Path) -> list[str]:
    """Return labels as an option that neither parts them at bars nor takes one for a file."""
    if broken := [label for label in labels if len(label.splitlines()) > 1]:
        raise RecipeError(f"the label {broken[0]!r} has a line break", "give each label by itself")
    _write_lines(file, labels)
    return [f"--labels=@{file}"]


def _write_lines(file: Path, lines: list[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _settings(given: list[str] | None) -> list[str]:
    """Return settings as options; code of others is run only where a person says so."""
    for setting in given or []:
        if setting.partition("=")[0].strip() == "trust_remote_code":
            raise RecipeError("trust_remote_code is not set from here", "write it into a recipe")
    return [f"--set={one}" for one in given or []]


def _yofo(*words: str) -> str:
    """Return what a verb prints; its two lines are the error of one that fails."""
    done = subprocess.run(
        child.command("yofo_mlx.cli", *words),
        env=child.environment(),
        stdin=subprocess.DEVNULL,  # the server's own is the client
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != ExitCode.OK:
        told = done.stderr.rpartition("error: ")[2].strip()
        message, _, hint = told.partition("\n")
        raise YofoError(message or f"exit code {done.returncode}", hint.strip())
    return done.stdout
