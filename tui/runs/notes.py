"""What a run's user should know: how it ended, what went wrong, which key goes on."""

from textual.content import Content

from yofo_mlx.runs.divergence import HINT
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import ENDED
from yofo_mlx.runs.listing import word
from yofo_mlx.system.quantities import plural

from ..shared.words import lines, muted, number, safe
from .fixes import fix_of
from .view import RunView

LAST_WORDS = 5  # lines


def notes(view: RunView) -> Content:
    """Return what went wrong with a run, and what its user should know or may do."""
    said: list[Content] = []
    if view.end is not None and view.end["kind"] == "failed":
        said += [*_trouble(view.end), _go_on(view)]
    elif view.status == "died":
        said += _death(view)
    elif view.end is not None and view.end["kind"] == "stopped":
        said.append(safe(f"Stopped: {view.end.get('reason', 'asked to')}. ") + _go_on(view))
    if view.is_diverged:
        said += _diverged(view)
    said += _anew(view) if view.status in ENDED else []
    if view.status == "finished" and not (view.is_diverged or view.evaluation):
        keys = [(key, "bold $text-accent") for key in "ep"]
        said.append(Content.assemble("Measure it with ", keys[0], ", try it with ", keys[1], "."))
    if words := _own_words(view):
        said.append(muted("last words of the console:"))
        said += [Content("  ") + safe(line, 400) for line in words[-LAST_WORDS:]]
    if view.made.is_edited:
        said.append(muted("its recipe.toml was edited since: what was trained counts"))
    shown = view.warnings[-2:]
    if len(view.warnings) > len(shown):
        said.append(muted(f"{plural(len(view.warnings), 'warning')}, the last:"))
    for warning in shown:
        said.append(Content.styled("! ", "$text-warning") + _joined(warning))
    return lines(said)


def _diverged(view: RunView) -> list[Content]:
    first, last = view.losses[0][1], view.losses[-1][1]
    state = "Finished, but diverged" if view.status == "finished" else "Diverged"
    said = f"{state}: the loss went from {number(first)} to {number(last)}."
    return [Content.styled(said, "$text-error"), safe(f"{HINT[0].upper()}{HINT[1:]}.")]


def _anew(view: RunView) -> list[Content]:
    """Say what the key f changes, where it is known what would have helped."""
    fix = fix_of(view)
    if fix is None:
        return []
    key = ("f", "bold $text-accent")
    return [Content.assemble(f"Start anew with {fix.words} with ", key, ".")]


def _own_words(view: RunView) -> list[str]:
    """Return what the console says that the run's last event has not said already."""
    end = view.end or {}
    said = [
        text for text in (end.get("message"), end.get("hint")) if isinstance(text, str) and text
    ]
    return [line for line in view.console if not any(text in line for text in said)]


def _go_on(view: RunView) -> Content:
    """Say what the key c does with a run that ended."""
    key = ("c", "bold $text-accent")
    if view.has_checkpoint:
        rest = f" (or `yofo resume {word(view.run)}`)."
        return Content.assemble("Go on from the last checkpoint with ", key, safe(rest))
    if view.status == "failed":
        return Content.assemble("Start anew with other settings with ", key, ".")
    return Content.assemble("There is no checkpoint yet: begin again at step 0 with ", key, ".")


def _death(view: RunView) -> list[Content]:
    words = view.death.message if view.death else "it ended without a word"
    said = [Content.styled(f"The trainer died: {words}.", "$text-error"), _go_on(view)]
    hint = view.death.hint if view.death else ""
    _, going_on, rest = hint.rpartition("goes on; ")  # which the key c says
    rest = f"{rest[0].upper()}{rest[1:]}." if going_on else hint
    return [*said, muted(rest)] if rest else said


def _trouble(event: Event) -> list[Content]:
    message = safe(event.get("message", "failed without a word")).stylize("$text-error")
    return [message, safe(event["hint"])] if event.get("hint") else [message]


def _joined(event: Event) -> Content:
    hint = event.get("hint")
    return safe(f"{event.get('message', '')}" + (f" ({hint})" if hint else ""), 400)
