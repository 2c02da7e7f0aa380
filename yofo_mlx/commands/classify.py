"""`yofo classify`: the likeliest label for each row of a file, with its probability."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.answering.asking import LABEL_COLUMNS, Asker, Chooser
from yofo_mlx.answering.shots import judged_shots
from yofo_mlx.commands import given
from yofo_mlx.commands.answering import Asked, Files, answer_file, show
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.eval import check_picture
from yofo_mlx.errors import ExitCode, Mistakes, RecipeError
from yofo_mlx.evaluation import calibration
from yofo_mlx.prompting.demonstrations import Style
from yofo_mlx.prompting.inprocess import InProcess
from yofo_mlx.system.files import disk_error
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import printable
from yofo_mlx.tasks.families import holds_labels
from yofo_mlx.tasks.spelling import respelled, spelled


@dataclass(frozen=True)
class ClassifyWishes:
    """What is wanted beside labels."""

    labels: Sequence[str] = ()
    runners_up: int | None = 3  # None: all of them
    calibrate: bool = False
    picture: Path | None = None
    as_json: bool = False


def classify(asked: Asked, files: Files, wishes: ClassifyWishes) -> ExitCode:
    """Label each row of a file."""
    picture, mistakes, labels = wishes.picture, Mistakes(), list[str]()
    with mistakes.noted():
        check_picture(picture)
    with mistakes.noted():
        labels = given.labels_of(wishes.labels)
        if not labels and not asked.demos:
            wrong = "there is nothing to choose among: no demonstrations and no labels"
            raise RecipeError(wrong, "give `--demos FILE`, or `--labels 'a|b'`")
    found: dict[str, Any] = {}

    def make(session: InProcess, room: Chatroom, style: Style) -> Asker:
        chosen = tuple(labels or _labels_of(room, style))
        shown = dict.fromkeys(example.output for example in room.examples)
        for one, other in respelled(shown, chosen).items():
            words = f"{spelled(one, other)} is shown, {spelled(other, one)} is a label"
            say(f"warning: {words}: spell a label in one way")
        prefix, blocks = session.prompter.prefix, session.prompter.blocks
        chooser = Chooser(prefix, chosen, wishes.runners_up, blocks=blocks)
        if not chooser.is_compared:
            say(f"{len(chosen):,} labels: only the likeliest of them is looked for")
        if not wishes.calibrate:
            return chooser
        fitted = _calibrated(chooser)
        found["calibration"] = asdict(fitted)
        say(_told(fitted))
        return chooser.at(fitted.temperature)

    settings = {
        "labels": labels,
        "runners-up": wishes.runners_up,
        "calibration": wishes.calibrate,
    }
    answered = answer_file(asked, files, [*LABEL_COLUMNS], make, settings, mistakes)
    if answered is None:
        return ExitCode.OK
    code = show(answered, files, found, as_json=wishes.as_json)
    if picture:  # last: a picture that fails costs nothing else
        _draw(picture, answered.summary.told, files)
    return code


def _calibrated(chooser: Chooser) -> calibration.Calibration:
    """Return the temperature that the demonstrations say, or why they say none."""
    if not chooser.is_compared:
        return calibration.none(f"{len(chooser.labels):,} labels are not compared")
    if chooser.prefix.tails or chooser.blocks:
        return calibration.none("each query sees demonstrations of its own")
    return calibration.calibrate([*judged_shots(chooser.prefix, chooser.labels)])


def _labels_of(room: Chatroom, style: Style) -> Sequence[str]:
    """Return the labels of the demonstrations, or of the run's task that has all of them."""
    labels = list(dict.fromkeys(example.output for example in room.examples))
    for task in style.tasks:
        if task.labels and set(labels) <= set(task.labels):
            return task.labels
    if not holds_labels(room.examples):
        say("warning: the answers of the demonstrations hardly come again: are they labels?")
    return labels


def _told(fitted: calibration.Calibration) -> str:
    if fitted.reason:
        return f"probabilities stay as they are: {fitted.reason}"
    before, after = (100 * (error or 0) for error in (fitted.error_before, fitted.error_after))
    return (
        f"temperature {fitted.temperature:.2f}: calibration error on the demonstrations"
        f" {before:.1f} -> {after:.1f} percent"
    )


def _draw(path: Path, found: calibration.Reliability, files: Files) -> None:
    if not found.rows():
        say(f"no picture: {files.data} has no answers")
        return
    try:
        calibration.draw(path, found, f"{Path(files.data).name}: how sure, how right")
    except OSError as error:
        raise disk_error(error, path.parent, "the same command with another --out") from error
    say(f"picture: {printable(str(path))}")
