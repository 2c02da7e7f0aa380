"""How a rehearsal is done: who judges, behind how many demonstrations, of how many rows."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.family import FAMILIES
from yofo_mlx.system.text import shorten

JUDGES = ("label", "number", "exact", "normalised", "model", "command")
USUAL: dict[str, str] = {
    "classification": "label",
    "nli": "label",
    "multilabel": "label",
    "math": "number",
    "qa": "normalised",
    "extraction": "normalised",
}
"""Judges by family. Answers of other families have no one right form: the model judges, if it has a
chat template; one without follows no instruction."""
SHOTS = 8


@dataclass(frozen=True)
class RehearsalSettings:
    """What is asked, and who judges."""

    judges: Mapping[str, str] = field(default_factory=dict)
    """By family; the empty one is for all others."""
    shots: int | None = None
    """Demonstrations before each input; None: SHOTS where the base needs them."""
    limit: int | None = None
    """Most rows of a task."""
    paraphrase: bool = True
    distill: int | None = None
    """Tokens of the teacher's distribution that are kept; None: nothing is distilled."""
    doubt: bool = False
    """Only how unsure the base is of the expected answers is found out."""
    command: tuple[str, ...] = ()
    """Program that judges, with its arguments."""

    def judge(self, family: str) -> str | None:
        """Return who is said to judge a family's answers."""
        return self.judges.get(family) or self.judges.get("")


def read_settings(
    judges: Sequence[str],
    command: str | None,
    *,
    shots: int | None = None,
    limit: int | None = None,
    paraphrase: bool = True,
    distill: int | None = None,
    doubt: bool = False,
) -> RehearsalSettings:
    """Return the settings that options stand for, such as `--judge model` or `--judge qa=exact`."""
    named: dict[str, str] = {}
    for one in judges:
        family, _, judge = one.rpartition("=")
        if judge not in JUDGES:
            hint = f"judges are {', '.join(JUDGES)}; FAMILY=JUDGE is for one family"
            raise RecipeError(f"there is no judge '{shorten(judge, 60)}'", hint)
        if family and family not in FAMILIES:
            hint = f"families are {', '.join(FAMILIES)}"
            raise RecipeError(f"there is no family '{shorten(family, 60)}'", hint)
        named[family] = judge
    if "command" in named.values() and command is None:
        raise RecipeError(
            "--judge command needs a command",
            "add --command PROGRAM, such as a script that runs unit tests",
        )
    if command is not None and "command" not in named.values():
        raise RecipeError("--command is given, and no judge is one", "add --judge command")
    if (distill or doubt) and (named or (distill and doubt)):
        raise RecipeError(
            "--distill, --doubt and --judge are three different things",
            "give one of them; each writes a folder of its own",
        )
    words = _program(command) if command is not None else ()
    return RehearsalSettings(named, shots, limit, paraphrase, distill, doubt, words)


def _program(command: str) -> tuple[str, ...]:
    """Return the words of a command; files that it names are found from wherever it runs."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise RecipeError(f"--command {shorten(command)}: {error}", "close its quotes") from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise RecipeError(
            f"--command {shorten(command)}: there is no such program", "name one that can be run"
        )
    files = (str(Path(word).absolute()) if Path(word).is_file() else word for word in words[1:])
    return (str(Path(program).absolute()), *files)
