"""The examples of the docs: what can be run is run, all the rest is at least right in form.

Rules, not lists: a line of a code block that calls `yofo` is run, in a folder with the files that
the docs speak of, and with their own recipes on the embedded model; `yofo ...` within a sentence is
parsed; a block of TOML is a recipe, or keys of a recipe or of a task, together or on each line.
"""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.places import ROOT
from yofo_mlx.cli.verbs import app
from yofo_mlx.commands import serve
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.schema import Composition, Recipe
from yofo_mlx.runs import listing

DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMED = {str(path.relative_to(ROOT)): path for path in DOCS if path.name != "CHANGELOG.md"}


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page: language and content; indented ones have no language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:\A|\n\n)((?:    .*\n|\n(?=    ))+)", rest)
    return [*fenced, *(("", re.sub(r"^    ", "", block, flags=re.MULTILINE)) for block in indented)]


def recipes(text: str) -> list[str]:
    """Return the blocks of a page that are TOML: those called so, and those with a table."""
    return [
        block
        for language, block in blocks(text)
        if language == "toml" or (not language and re.search(r"^\[\[?\w+\]", block, re.MULTILINE))
    ]


def commands(text: str) -> list[str]:
    """Return the lines of a page's blocks that call yofo, without their remarks."""
    lines = [line for _, block in blocks(text) for line in block.splitlines()]
    return [
        re.split(r"\s{2,}#|;", line)[0].strip()
        for line in lines
        if re.match(r"(yofo|.*\| yofo)( |$)", line)
    ]


def mentions(text: str) -> list[str]:
    """Return the calls of yofo within sentences, each alternative of `a|b` a call of its own."""
    found = []
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for call in re.findall(r"`yofo ([^`]+)`", prose.replace("\\|", "|")):
        heads = [[]]
        for word in re.sub(r"\[([A-Z]+)\]|\.\.\.", r"\1", call).split():
            heads = [[*head, choice] for head in heads for choice in word.split("|")]
        found += [" ".join(head) for head in heads]
    return found


def parse(words: list[str]) -> None:
    """Have the command line's own parser read a call; arguments may be left out."""
    command: Any = typer.main.get_command(app)
    if words[:1] in (["--install-completion"], ["--show-completion"]):
        assert words[0] in {name for one in command.params for name in one.opts}
        return  # to parse these is to do them, in the home of whoever runs the tests
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    try:
        command.make_context("yofo", words)
    except Exception as error:
        # Typer brings its own click. Help has been printed where it exits.
        if type(error).__name__ not in ("MissingParameter", "Exit"):
            raise


@pytest.mark.parametrize("name", NAMED)
def test_every_call_in_the_docs_has_a_verb_and_options_that_there_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "find", lambda run: run)  # there is none called RUN
    text = NAMED[name].read_text("utf-8")
    for call in mentions(text):
        parse(call.split())


KEYS = {*Recipe.model_fields, *Composition.model_fields}


def as_recipe(keys: dict[str, Any]) -> dict[str, Any]:
    """Return keys of a page as a whole recipe: what is no key of a recipe is one of its task."""
    task = {key: value for key, value in keys.items() if key not in KEYS}
    tasks = keys.get("tasks", [{"source": "tiny:train"} | task])
    rest = {
        key: value for key, value in keys.items() if key in Recipe.model_fields and key != "tasks"
    }
    return {"model": "tiny", "train": {"steps": 1}} | rest | {"tasks": tasks}


def alternatives(block: str) -> list[dict[str, Any]]:
    """Return a block as one table, or, where it says a key in several ways, each of them."""
    try:
        return [tomllib.loads(block)]
    except tomllib.TOMLDecodeError as error:
        lines, found = "", []
        for line in block.splitlines(keepends=True):
            lines += line
            with suppress(tomllib.TOMLDecodeError):  # it may go on in the next line
                found.append(tomllib.loads(lines))
                lines = ""
        if lines:
            raise error
        return found


@pytest.mark.parametrize("name", [n for n in NAMED if recipes(NAMED[n].read_text("utf-8"))])
def test_every_toml_of_the_docs_is_valid(name: str) -> None:
    for block in recipes(NAMED[name].read_text("utf-8")):
        for part in alternatives(block):
            validate(as_recipe(part), name)


def test_every_module_that_a_page_or_a_comment_names_is_there() -> None:
    folders = ("yofo_mlx", "tui", "tests", "scripts", "benchmarks", "experiments")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    there = {str(path.relative_to(ROOT)) for path in modules}
    for path in [*NAMED.values(), *ROOT.glob("*.toml"), *modules]:
        if path.parts[len(ROOT.parts)] != "tests":  # they make files of their own
            for name in re.findall(r"[\w/]*\w\.py\b", path.read_text("utf-8")):
                assert any(f"/{one}".endswith(f"/{name.lstrip('/')}") for one in there), (
                    path,
                    name,
                )


def rows(count: int, head: str = "", mark: str = ",") -> str:
    lines = [f"message number {n}{mark}{'sales' if n % 2 else 'billing'}" for n in range(count)]
    return "\n".join([*([head] if head else []), *lines, ""])


FILES = {
    "intents.csv": rows(40, "text,label"),
    "tickets/train.csv": rows(40, "text,team"),
    "tickets/test.csv": rows(60, "text,team").replace("message", "letter"),
    "new-task.jsonl": '{"input": "good", "output": "yes"}\n{"input": "bad", "output": "no"}\n',
    "examples.txt": "good -> yes\nbad -> no\n",
    "train.tsv": "good\tyes\nbad\tno\n",
    "test.tsv": "fine\tyes\n",
    "lora_config.yaml": "model: tiny\ndata: tickets\niters: 20\nbatch_size: 1\n",
    "queries.csv": "input\ngood news\nbad news\n",
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with the files that the docs speak of, and go there."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    for name, page in (("mine", "README.md"), ("recipe", "docs/data.md")):
        block = tomllib.loads(recipes(NAMED[page].read_text("utf-8"))[0])
        small = {"model": "tiny", "train": {"steps": 2}, "episodes": {"max_tokens": 200}}
        recipe = as_recipe(block) | small | {"template": {"style": "plain"}}
        text = "\n".join(f"{key} = {toml(value)}" for key, value in recipe.items())
        (tmp_path / f"{name}.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


# Seconds each.
SLOW = (
    "blocks", "choosing", "classify", "demos", "evaluation", "health", "lasting", "long-context",
    "long-runs", "prompting", "rationales", "rehearsal", "select",
)  # fmt: skip
LONG = {f"docs/{page}.md": [pytest.mark.long] for page in SLOW}
WITH_COMMANDS = [name for name, path in NAMED.items() if commands(path.read_text("utf-8"))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LONG.get(name, ())) for name in WITH_COMMANDS]
)
def test_the_commands_of_the_docs_run(
    world: Path, yofo: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(serve, "_tell", lambda *_: signal.raise_signal(signal.SIGINT))
    lines = commands(NAMED[name].read_text("utf-8"))
    lacks = any("last" in line for line in lines) and not any("yofo train" in x for x in lines)
    first = ["yofo train mine.toml"] if lacks else []
    for line in [*first, *lines]:
        line = re.sub(r"^(yofo recipes new [^#]*)", r"\1 --model tiny --steps 2 ", line)
        line = re.sub(r"^(yofo serve .*)", r"\1 --port 0", line)
        # What needs a shell gets one; a process for each line would load MLX anew each time.
        words = shlex.split(line)
        code, out, err = in_a_shell(line) if {"|", ">"} & {*words} else yofo(*words[1:])
        # A run of two steps is over before it can be stopped or gone on with.
        over = re.search(r"is (not running: )?finished", err)
        offline = "HF_HUB_OFFLINE" in out + err  # it needs what only a hub has
        assert code == 0 or over or offline, f"{line}\n{out}\n{err}"


def in_a_shell(line: str) -> tuple[int, str, str]:
    """Run a line as it is typed: exit code, stdout, stderr."""
    yofo = f'yofo() {{ "{sys.executable}" -m yofo_mlx.cli "$@"; }}\nset -o pipefail\n'
    done = subprocess.run(
        ["bash", "-c", yofo + line],
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_python_of_the_docs_runs(world: Path, yofo: Any) -> None:
    assert yofo("train", "mine.toml")[0] == 0
    for path in DOCS:
        for language, block in blocks(path.read_text("utf-8")):
            if language == "python":
                exec(compile(block, str(path), "exec"), {})
