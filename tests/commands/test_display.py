"""What a run's events look like on a terminal, in a pipe, and where nothing can be drawn."""

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzzing import check_harmless
from tests.streams import FreeWriter
from yofo_mlx.commands import recipes as recipes_command
from yofo_mlx.commands.display import numbers, shown_on
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.events import parse
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child
from yofo_mlx.system.talk import can_draw, has_colour
from yofo_mlx.system.text import json_line

STEP = {
    "t": 1.0, "kind": "step", "step": 3, "loss": 0.5, "tokens_per_s": 1e3, "targets_per_s": 10.0,
    "peak_gb": 0.09, "memory_gb": 0.28, "share": 0.5, "seconds_left": 12.0,
}  # fmt: skip
HOSTILE = "\x9b31m\u202e\x1b]0;owned\x07\x7f\ud800"
_MOVES = re.compile(r"\x1b\[(\?25[lh]|1A|2K|[\d;]*m)|\r")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *events: dict[str, Any]) -> str:
    with shown_on(stream) as found:
        for event in events:
            if (parsed := parse(json.dumps(event).encode())) is not None:
                found.show(parsed)
    return _MOVES.sub("", stream.getvalue())


odd = st.sampled_from([[], {}, None, True, "x", 10**400, -1, float("nan"), HOSTILE, "1.5"])


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
@given(changes=st.dictionaries(st.sampled_from(sorted(STEP)), odd, max_size=3))
@example(changes={"share": []})
@example(changes={"share": 10**400})
@example(changes={"share": float("nan"), "step": HOSTILE})
@example(changes={"share": -1, "seconds_left": 10**400})
def test_a_step_with_odd_figures_ends_no_display(stream: Any, changes: dict[str, Any]) -> None:
    check_harmless(shown(stream(), STEP | changes, STEP), keep="\n")


def test_the_memory_of_a_step_is_its_peak_beside_what_is_held() -> None:
    assert "peak 0.09 GB, held 0.28" in numbers(STEP)


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_draw_gets_lines(monkeypatch: Any, term: str) -> None:
    monkeypatch.setenv("TERM", term)
    assert "step     3   50%  loss 0.500" in shown(Terminal(), STEP)
    assert not has_colour(Terminal())


def test_a_long_step_shows_signs_of_life_where_nothing_can_be_drawn(monkeypatch: Any) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    part = {"t": 1.0, "kind": "progress", "step": 4, "phase": "forward", "total": 8}
    with shown_on(stream) as found:
        for done in range(8):
            found.show(part | {"done": done})
            now[0] += 25.0
        found.show(STEP | {"share": 0.001})
        found.show(STEP | {"share": 0.002})
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["step     4  forward 3/8", "step     4  forward 6/8"]
    assert [line.split()[:3] for line in lines[2:]] == [["step", "3", "0%"]]


def test_colours_are_for_those_who_want_them(monkeypatch: Any) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert has_colour(Terminal()) and not has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour(Terminal()) and can_draw(Terminal())


def test_json_on_a_line_is_ascii_that_no_terminal_obeys() -> None:
    line = json_line({"message": HOSTILE, "grösse": "日本"})
    assert line.isascii() and line.isprintable()
    assert json.loads(line) == {"message": HOSTILE, "grösse": "日本"}


def test_events_are_watched_as_harmless_json(yofo: Any) -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "odd")
    writer = FreeWriter(run.events_path)
    writer.write("warning", message=HOSTILE, hint="")
    writer.write("finished", step=1, best_step=1, seconds=1.0)
    code, out, _ = yofo("watch", "last", "--json")
    assert code == 0
    check_harmless(out, keep="\n")
    assert json.loads(out.splitlines()[0])["message"] == HOSTILE
    code, _, err = yofo("watch", "last")
    assert code == 0
    check_harmless(err, keep="\n")


@pytest.mark.parametrize("verb", ["watch", "resume", "stop", "runs"])
def test_the_name_of_a_folder_is_shown_harmlessly(yofo: Any, verb: str) -> None:
    run = launch.create_run(load_recipe(find_recipe("tiny")), "odd")
    FreeWriter(run.events_path).write("finished", step=1, best_step=1, seconds=1.0)
    run.path.rename(run.path.with_name("odd\x1b]0;owned\x07\x9b31m"))
    _, _, err = yofo(verb, *([] if verb == "runs" else ["last"]))
    check_harmless(err, keep="\n\t\r")


def test_a_strangers_description_is_printed_as_toml_that_is_harmless(
    tmp_path: Path, yofo: Any
) -> None:
    path = tmp_path / "recipe.toml"
    text = "\x9b31m\u202e \u200b\x7f"
    escaped = "".join(f"\\u{ord(c):04x}" for c in text)
    path.write_text(
        f'description = "{escaped}"\nmodel = "tiny"\ntrain.steps = 1\n'
        'tasks = [{source = "tiny:train"}]\n'
    )
    code, out, _ = yofo("recipes", "check", path)
    assert code == 0
    check_harmless(out, keep="\n")
    path.write_text(out)
    assert load_recipe(path).description == text
    assert recipes_command.to_toml(load_recipe(path)) == out


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_the_encoding_of_the_output_lacks_is_shown_by_its_number(
    tmp_path: Path, encoding: str
) -> None:
    rows = "".join(f"großes 日本 {n},ja\n" for n in range(4))
    (tmp_path / "rows.csv").write_text("input,output\n" + rows, "utf-8")
    done = subprocess.run(
        child.command("yofo_mlx.cli", "data", "preview", str(tmp_path / "rows.csv")),
        env=child.environment() | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    said = done.stdout.decode(encoding)
    assert ("日本" if encoding == "utf-8" else "\\u65e5\\u672c") in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize("arguments", [["runs"], ["recipes", "list"], ["recipes", "explain"]])
def test_an_output_that_is_full_is_not_the_disk_of_the_runs(arguments: list[str]) -> None:
    listing.create("one").recipe_path.write_text("")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            child.command("yofo_mlx.cli", *arguments),
            env=child.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "standard output cannot be written: No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 2
